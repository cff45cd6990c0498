"""The geometry of labels as values: specs, settings, curves and stages."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.measure import Curve, Examples, Measure, Parent, States, Subject, Wanted
from layerscope.jobs.specs.roles import START, TUNED, Role
from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict

CORRELATION = (-1.0, 1.0)


class GeometrySpec(Spec):
    """DirectProbe on every layer, of the training and of the test examples apart.

    Parents: states (text_states or span_states), data (prepare or tokenise_annotations: names of labels).
    """

    kind: Literal["geometry"] = "geometry"
    permutations: Annotated[int, Field(ge=0)] = 1
    """How often the training labels are permuted, as a control of the number of clusters."""
    duplicates: Literal["drop", "majority"] = "drop"
    """What becomes of examples with the same state and different labels: left out, or given one label."""
    resamples: PositiveInt = 2000
    """Of the labels, for the bounds of correlations."""
    seed: int = 0


class ShiftSpec(Spec):
    """How far fine-tuning moved the labels of the same training examples, layer by layer.

    Parents: states, other (text_states or span_states; the start), geometry, other_geometry (of the same).
    """

    kind: Literal["shift"] = "shift"
    resamples: PositiveInt = 2000
    """Of the labels, for the bounds of the correlation."""
    seed: int = 0


class PathsSpec(Spec):
    """The paths of the labels' centroids through the training, layer by layer.

    Parents: start, those named by `checkpoints`, end (text_states or span_states of the same examples),
    data (prepare or tokenise_annotations: names of labels).
    """

    kind: Literal["paths"] = "paths"
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    """Roles of the states along the training, in its order."""


class GeometrySettings(Strict):
    """Keys of `measures` in an experiment that speak of the geometry of labels."""

    geometry: bool = False
    """DirectProbe: clusters of the labels and their distances before and after tuning, and how far each
    label moved."""
    permutations: Annotated[int, Field(ge=0)] = 1
    """How often labels are permuted, to see how many clusters chance would need; 0 leaves it out."""


def _geometry(settings: GeometrySettings, subject: Subject) -> Iterator[Wanted]:
    if settings.geometry and subject.facts.has_labels:
        for model in subject.trained_models:
            role = Role("geometry", subject.name, model)
            spec = GeometrySpec(permutations=settings.permutations)
            yield Wanted(role, spec, {"states": States(model), "data": Examples()})


def _shift(settings: GeometrySettings, subject: Subject) -> Iterator[Wanted]:
    if START not in subject.models:
        return
    start: dict[str, Parent] = {
        "other": States(START),
        "other_geometry": Role("geometry", subject.name, START),
    }
    for wanted in _geometry(settings, subject):
        if wanted.role.model != START:
            role = Role("shift", subject.name, wanted.role.model)
            yield Wanted(role, ShiftSpec(), {"states": States(role.model), "geometry": wanted.role, **start})


def _paths(settings: GeometrySettings, subject: Subject) -> Iterator[Wanted]:
    along = subject.checkpoints
    if settings.geometry and subject.facts.has_labels and START in subject.models and along:
        parents: dict[str, Parent] = {"start": States(START), "end": States(TUNED), "data": Examples()}
        parents |= {model: States(model) for model in along}
        yield Wanted(Role("paths", subject.name), PathsSpec(checkpoints=along), parents)


_DISTANCES = tuple(f"{of}_distance_{end}" for of in ("min", "mean") for end in ("lower", "upper"))
_BOUNDED = ("", "_low", "_high")
GEOMETRY = Measure(
    name="geometry",
    title="Geometry of labels",
    words="Clusters, distances and correlations of labels in every layer (Zhou and Srikumar 2021, 2022). "
    "Bands of correlations are 95 % bootstrap bounds over labels; those of distances go from the lower to "
    "the upper end of what is proved, over all seeds.",
    called="geometry",
    curves={
        "clusters": Curve(),
        "labels": Curve(),
        "linear": Curve(scale=(0.0, 1.0)),
        "permuted_clusters": Curve(),
        "contradicted": Curve(),
        "pairs_too_small": Curve(scale=(0.0, 1.0)),
        **{name: Curve() for name in _DISTANCES},
        **{f"test_pearson{end}": Curve(scale=CORRELATION) for end in _BOUNDED},
    },
    draws_curves=False,
    stages=_geometry,
    modules={"geometry": "layerscope.jobs.measures.geometry.direct_probe_stage"},
)
SHIFT = Measure(
    name="shift",
    title="Shift of centroids",
    curves={
        **{f"pearson{end}": Curve(scale=CORRELATION) for end in _BOUNDED},
        "rising": Curve(),
        "falling": Curve(),
        "mean_change": Curve(),
        "centroid_shift": Curve(),
        "centroid_shift_max": Curve(),
        "common_shift": Curve(),
    },
    draws_curves=False,
    stages=_shift,
    modules={"shift": "layerscope.jobs.measures.geometry.centroid_shift_stage"},
)
PATHS = Measure(
    name="paths",
    title="Trajectories of centroids",
    curves={"path_length": Curve(), "plane_share": Curve(scale=(0.0, 1.0))},
    draws_curves=False,
    stages=_paths,
    modules={"paths": "layerscope.jobs.measures.geometry.centroid_trajectories_stage"},
)
