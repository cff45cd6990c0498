"""Similarity of layers as values: specs, settings, curves and stages."""

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
    """A segmentation is accepted where drift has as much excess gain no more often than this."""
    num_draws: PositiveInt = 199
    """Maps of layers that drift without a jump, which the segmentation is tested against."""
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
"""`cka`: linear and debiased, with standard errors. `minibatch_cka`: an estimate of it from batches, with the
bounds that these tell. `biased_cka`: with what chance alone gives. `rbf`: with
a Gaussian kernel, debiased. `leverage`: CKA without the 1 % of examples that stand out most, and how much
these hold. `partial_cka`: CKA after the words of the texts were taken out. The others are as they are
called in `jobs.kernels.similarity.similarity_measures`."""


class SimilaritySpec(Spec):
    """One measure of similarity for every pair of layers, of a model with itself or with another.

    Parents: states (text_states), other (text_states, against another model), data (prepare: the words of the
    texts, for partial_cka).
    """

    kind: Literal["similarity"] = "similarity"
    measure: SimilarityMeasure
    against: Literal["itself", "other"]
    num_halves: Annotated[int, Field(ge=2, multiple_of=2)] = 20
    """Random halves of the examples, two for each split, from which intervals come where there is no formula
    for them."""
    batch_size: Annotated[int, Field(ge=4)] = 64
    """Examples of a batch of `minibatch_cka`."""
    seed: int = 0


Between = Literal["seeds", "conditions", "tasks"]


class SimilaritySettings(Strict):
    """Keys of `measures` in an experiment that speak of the similarity of layers."""

    cka: bool = True
    """Similarity of every two layers, within the tuned model and against its start."""
    similarity: tuple[SimilarityMeasure, ...] = ()
    """Further measures of how alike layers are, within the tuned model and against its start."""
    cka_between: tuple[Between, ...] = ()
    """Pairs of tuned models whose layers are compared on the same examples: `seeds` of one recipe and task,
    `conditions` of one task and seed, `tasks` of one recipe and seed (over the texts under probing)."""
    num_test: PositiveInt = 500
    """Test examples whose layers are looked at."""


def _ends(subject: Subject) -> tuple[str, ...]:
    """The tuned model, and its start where that is another one."""
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
    """Pairs of variants are planned when all variants are."""
    yield from ()


def _faults(settings: SimilaritySettings, facts: EncoderFacts, name: str) -> Iterator[Fault]:
    if "pwcca" in settings.similarity and settings.num_test <= 2 * facts.width:
        message = (
            f"pwcca of {name} needs more examples than two layers have directions: "
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
    title="Similarity of layers",
    words="Centred kernel alignment (CKA): 1 is the same up to rotation and scale.",
    curves={pair: Curve() for pair in _PAIRS},
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
    title="Further measures of similarity",
    words="A layer compared with itself has 1.",
    curves={name: Curve() for name in _SIMILARITIES},
    draws_curves=False,
    stages=_similarity,
    modules={"similarity": "layerscope.jobs.measures.similarity.further_stage"},
    faults=_faults,
)
BETWEEN = Measure(
    name="between",
    title="Between tuned models",
    words="CKA of the same layer of two models on the same examples.",
    curves={name: Curve() for name in _SIMILARITIES},
    draws_curves=False,
    stages=_between,
    modules={},
)
