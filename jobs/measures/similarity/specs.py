"""Specs, settings, curves and stages of layer similarity."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.encoders import EncoderFacts
from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.specs.measure import Curve, Examples, Measure, States, Subject, Wanted
from layerscope.jobs.specs.roles import START, TUNED, Role
from layerscope.jobs.specs.spec import PositiveInt, Share, Spec, Strict


class CkaSpec(Spec):
    """Linear CKA of every pair of layers. Parents: states, other (both text_states)."""

    kind: Literal["cka"] = "cka"
    against: Literal["itself", "start"]
    debiased: bool = True


class BlocksSpec(Spec):
    """Blocks of similar layers in the map of one model. Parents: map (cka, within a model)."""

    kind: Literal["blocks"] = "blocks"
    max_blocks: Annotated[int, Field(ge=2)] = 4
    level: Share = 0.05
    """Significance level at which a segmentation is accepted against smooth drift."""
    num_draws: PositiveInt = 199
    """Simulated maps of smooth drift that the segmentation is tested against."""
    seed: int = 0


SimilarityMeasure = Literal[
    "cka",
    "biased_cka",
    "rbf",
    "procrustes",
    "svcca",
    "pwcca",
    "rsa",
    "mutual_knn",
    "leverage",
    "partial_cka",
    "minibatch_cka",
]
"""`cka`: linear and debiased, with standard errors. `minibatch_cka`: an estimate of it from batches, with
bounds. `biased_cka`: with its chance level. `rbf`: with a Gaussian kernel, debiased. `leverage`: CKA without
the 1 % highest-leverage examples, and their share of the variance. `partial_cka`: CKA controlling for the
token counts of the texts. The others are named as in `jobs.kernels.similarity.similarity_measures`."""


class SimilaritySpec(Spec):
    """One similarity measure for every pair of layers, within a model or between two.

    Parents: states (text_states), other (text_states, against another model), data (prepare: the words of the
    texts, for partial_cka).
    """

    kind: Literal["similarity"] = "similarity"
    measure: SimilarityMeasure
    against: Literal["itself", "other"]
    num_halves: Annotated[int, Field(ge=2, multiple_of=2)] = 20
    """Random halves of the examples, two per split, for intervals without a formula."""
    batch_size: Annotated[int, Field(ge=4)] = 64
    """Examples per batch of `minibatch_cka`."""
    seed: int = 0


Between = Literal["seeds", "conditions", "tasks"]


class SimilaritySettings(Strict):
    """Layer similarity under `measures` in an experiment."""

    cka: bool = True
    """CKA of every pair of layers, within the fine-tuned model and against the base model."""
    similarity: tuple[SimilarityMeasure, ...] = ()
    """Other similarity measures, within the fine-tuned model and against the base model."""
    cka_between: tuple[Between, ...] = ()
    """Pairs of fine-tuned models whose layers are compared on the same examples: `seeds` of one recipe and
    task, `conditions` of one task and seed, `tasks` of one recipe and seed (on the texts under probing)."""
    num_test: PositiveInt = 500
    """Test examples used for all measures."""


def _ends(subject: Subject) -> tuple[str, ...]:
    """The fine-tuned model, and the base model if that is another one."""
    return tuple(model for model in (TUNED, START) if model in subject.models)


def _cka(settings: SimilaritySettings, subject: Subject) -> Iterator[Wanted]:
    if not settings.cka or not subject.is_own:
        return
    for model in _ends(subject):
        yield Wanted(Role("cka", "within", model), CkaSpec(against="itself"), {"states": States(model)})
    if START in subject.models:
        parents = {"states": States(TUNED), "other": States(START)}
        yield Wanted(Role("cka", model=START), CkaSpec(against="start"), parents)


def _blocks(settings: SimilaritySettings, subject: Subject) -> Iterator[Wanted]:
    if settings.cka and subject.is_own:
        for model in _ends(subject):
            yield Wanted(Role("blocks", model=model), BlocksSpec(), {"map": Role("cka", "within", model)})


def _similarity(settings: SimilaritySettings, subject: Subject) -> Iterator[Wanted]:
    if not subject.is_own:
        return
    for measure in settings.similarity:
        texts = {"data": Examples()} if measure == "partial_cka" else {}
        spec = SimilaritySpec(measure=measure, against="itself")
        parents = {"states": States(TUNED)} | texts
        yield Wanted(Role("similarity", f"{measure}/within"), spec, parents)
        if START in subject.models:
            spec = SimilaritySpec(measure=measure, against="other")
            parents = {"states": States(TUNED), "other": States(START)} | texts
            yield Wanted(Role("similarity", measure, START), spec, parents)


def _between(settings: SimilaritySettings, subject: Subject) -> Iterator[Wanted]:
    """Pairs of variants are planned once all variants are known."""
    yield from ()


def _faults(settings: SimilaritySettings, facts: EncoderFacts, name: str) -> Iterator[Fault]:
    if "pwcca" in settings.similarity and settings.num_test <= 2 * facts.width:
        message = (
            f"pwcca of {name} needs more examples than two layers have dimensions: "
            f"num_test above {2 * facts.width}, not {settings.num_test}"
        )
        yield Fault(("measures", "similarity"), message)


_PAIRS = ("next_layer", "same_layer")
_SIMILARITIES = (
    *_PAIRS,
    *(f"{pair}/{end}" for pair in _PAIRS for end in ("low", "high")),
    "floor",
    "largest_row",
    "top_percent",
)
CKA = Measure(
    name="cka",
    title="Layer similarity (CKA)",
    words="Linear centred kernel alignment, debiased: 1 means identical up to rotation and scale.",
    curves={pair: Curve() for pair in _PAIRS},
    captions={
        "cka/within/next_layer": ("CKA of neighbouring layers, fine-tuned model", "CKA"),
        "cka/within/start/next_layer": ("CKA of neighbouring layers, base model", "CKA"),
        "cka/start/same_layer": ("CKA of fine-tuned and base model, same layer", "CKA"),
    },
    stages=_cka,
    modules={"cka": "layerscope.jobs.measures.similarity.cka_stage"},
)
BLOCKS = Measure(
    name="blocks",
    title="Blocks of similar layers",
    curves={},
    stages=_blocks,
    modules={"blocks": "layerscope.jobs.measures.similarity.block_stage"},
)
SIMILARITY = Measure(
    name="similarity",
    title="Other similarity measures",
    words="A layer has similarity 1 with itself.",
    curves={name: Curve() for name in _SIMILARITIES},
    draws_curves=False,
    stages=_similarity,
    modules={"similarity": "layerscope.jobs.measures.similarity.further_stage"},
    faults=_faults,
)
BETWEEN = Measure(
    name="between",
    title="CKA between fine-tuned models",
    words="CKA of the same layer of two models on the same examples.",
    curves={name: Curve() for name in _SIMILARITIES},
    draws_curves=False,
    stages=_between,
    modules={},
)
