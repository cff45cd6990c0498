"""Specs, settings, curves and stages of probes; imports pydantic only."""

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.measure import Curve, Examples, Measure, States, Subject, Wanted
from layerscope.jobs.specs.roles import Role
from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict
from layerscope.jobs.specs.targets import METRICS, Target

ProbeKind = Literal["linear", "mlp"]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SHARE = (0.0, 1.0)


class ProbeSpec(Spec):
    """A linear probe on every layer. Parents: states (text_states)."""

    kind: Literal["probe"] = "probe"
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """L2 penalties, chosen on a held-out part of the training examples. For labels each is 1 / (C n), with
    the C of scikit-learn's `LogisticRegression` and n examples."""
    seed: int = 0
    target: Target = "label"
    """The prediction target; in multiple choice, each choice has a row of states."""


class Networks(Strict):
    """MLPs with two hidden layers; the best on held-out examples is refitted to all training examples.

    Selection is by successive halving: all train for a few epochs, then the better quarter, and so on.
    """

    sizes: Annotated[tuple[tuple[PositiveInt, PositiveInt], ...], Field(min_length=1)] = tuple(
        (first, second) for first in (32, 64, 128, 256) for second in (32, 64, 128, 256)
    )
    """Widths of the hidden layers; defaults of Zhou and Srikumar (2022)."""
    decays: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (
        1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0,
    )  # fmt: skip
    """L2 weights, as scikit-learn's `alpha`."""
    starts: PositiveInt = 5
    """Number of initialisations with which the best network is refitted."""
    max_epochs: PositiveInt = 1000
    """Maximum epochs while accuracy still improves; the refit takes as many as were needed for the best
    accuracy."""


class MlpProbeSpec(Spec):
    """An MLP probe with two hidden ReLU layers on every layer. Parents: states (text_states or
    span_states)."""

    kind: Literal["mlp_probe"] = "mlp_probe"
    networks: Networks = Networks()
    seed: int = 0


class ControlProbeSpec(Spec):
    """A probe on a control task: random labels per word type, which can only be memorised.

    Parents: states (span_states), data (tokenise_annotations: the words), probe (on the true labels).
    """

    kind: Literal["control_probe"] = "control_probe"
    probe: Annotated[ProbeSpec | MlpProbeSpec, Field(discriminator="kind")]
    """The same probe as for the true labels."""
    seed: int = 0
    """Seed of the random labels."""


class DescriptionLengthSpec(Spec):
    """Minimum description length of the labels given a layer (online code), in bits.

    Parents: states (text_states or span_states).
    """

    kind: Literal["description_length"] = "description_length"
    seed: int = 0
    """Seed of the order of examples in the code."""


class ProbeSettings(Strict):
    """Probes under `measures` in an experiment."""

    probe: bool | ProbeKind | Annotated[tuple[ProbeKind, ...], Field(min_length=1)] = True
    """`linear` (the same as true), `mlp` (two hidden layers), a list of both, or false."""
    networks: Networks = Networks()
    """Candidates for the mlp probe."""
    control: bool = False
    """Control tasks (random labels per word type) and selectivity, for probing tasks with annotated words,
    pairs and spans."""
    description_length: bool = False
    """Minimum description length of the labels given the layer (online code), in bits."""

    @property
    def probes(self) -> tuple[ProbeKind, ...]:
        """The kinds of probes."""
        match self.probe:
            case bool():
                return ("linear",) if self.probe else ()
            case str():
                return (self.probe,)
            case kinds:
                return kinds


def _linear(settings: ProbeSettings, subject: Subject) -> Iterator[Wanted]:
    if "linear" in settings.probes and subject.facts.has_one_answer:
        for model in subject.models:
            role = Role("probe", subject.name, model)
            yield Wanted(role, ProbeSpec(target=subject.target), {"states": States(model)})


def _mlp(settings: ProbeSettings, subject: Subject) -> Iterator[Wanted]:
    if "mlp" in settings.probes and subject.facts.has_labels:
        for model in subject.models:
            role = Role("mlp_probe", subject.name, model)
            yield Wanted(role, MlpProbeSpec(networks=settings.networks), {"states": States(model)})


def _linear_control(settings: ProbeSettings, subject: Subject) -> Iterator[Wanted]:
    yield from _control(settings, subject, "probe", _linear(settings, subject))


def _mlp_control(settings: ProbeSettings, subject: Subject) -> Iterator[Wanted]:
    yield from _control(settings, subject, "mlp_probe", _mlp(settings, subject))


def _control(
    settings: ProbeSettings, subject: Subject, probe: str, probes: Iterator[Wanted]
) -> Iterator[Wanted]:
    if not settings.control or not subject.has_words:
        return
    for wanted in probes:
        assert isinstance(wanted.spec, ProbeSpec | MlpProbeSpec)
        role = Role(f"{probe}_control", subject.name, wanted.role.model)
        parents = {"states": wanted.parents["states"], "data": Examples(), "probe": wanted.role}
        yield Wanted(role, ControlProbeSpec(probe=wanted.spec), parents)


def _description_length(settings: ProbeSettings, subject: Subject) -> Iterator[Wanted]:
    if settings.description_length and subject.facts.has_labels:
        for model in subject.models:
            role = Role("description_length", subject.name, model)
            yield Wanted(role, DescriptionLengthSpec(), {"states": States(model)})


_WORDS = {
    "accuracy": "accuracy of the linear probe",
    "macro_f1": "macro F1 of the linear probe",
    "pearson_spearman": "mean of Pearson's and Spearman's correlation of the linear probe",
}


def _selectivity(
    name: str,
    title: str,
    probe: str,
    stages: Callable[[ProbeSettings, Subject], Iterator[Wanted]],
    *,
    words: str = "",
) -> Measure:
    """The control task of a kind of probe."""
    return Measure(
        name=name,
        title=title,
        words=words,
        curves={
            "accuracy": Curve(scale=SHARE),
            "selectivity": Curve(f"selectivity of the {probe}", (-1.0, 1.0)),
        },
        stages=stages,
        modules={"control_probe": "layerscope.jobs.measures.probe.control_stage"},
    )


PROBE = Measure(
    name="probe",
    title="Linear probes by layer",
    words="Layer 0 is the embeddings.",
    called="linear probe",
    curves={name: Curve(_WORDS.get(name, ""), metric.scale) for name, metric in METRICS.items()},
    stages=_linear,
    modules={"probe": "layerscope.jobs.measures.probe.linear_stage"},
)
PROBE_CONTROL = _selectivity(
    "probe_control",
    "Selectivity of linear probes",
    "linear probe",
    _linear_control,
    words="Probe accuracy minus accuracy on a control task (a random label per word type).",
)
MLP_PROBE = Measure(
    name="mlp_probe",
    title="MLP probes by layer",
    words="Two hidden layers. The best of many networks on held-out examples (successive halving), refitted "
    "to all training examples; mean over initialisations.",
    called="MLP probe",
    curves={
        "accuracy": Curve("accuracy of the MLP probe", SHARE),
        "accuracy_deviation": Curve(scale=SHARE),
        "macro_f1": Curve(scale=SHARE),
        "decay": Curve(),
        "size_first": Curve(),
        "size_second": Curve(),
    },
    stages=_mlp,
    modules={"mlp_probe": "layerscope.jobs.measures.probe.mlp_stage"},
)
MLP_PROBE_CONTROL = _selectivity(
    "mlp_probe_control",
    "Selectivity of MLP probes",
    "MLP probe",
    _mlp_control,
)
DESCRIPTION_LENGTH = Measure(
    name="description_length",
    title="Minimum description length (MDL)",
    words="Compression: uniform code length of the training labels divided by their code length given "
    "the layer.",
    called="description length",
    curves={"bits": Curve(), "compression": Curve("compression of the labels")},
    stages=_description_length,
    modules={"description_length": "layerscope.jobs.measures.probe.description_length_stage"},
)
