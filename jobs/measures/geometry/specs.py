"""Specs, settings, curves and stages of label geometry."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.measure import Curve, Examples, Measure, Parent, States, Subject, Wanted
from layerscope.jobs.specs.roles import START, TUNED, Role
from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict

CORRELATION = (-1.0, 1.0)


class GeometrySpec(Spec):
    """DirectProbe on every layer, separately for training and test examples.

    Parents: states (text_states or span_states), data (prepare or tokenise_annotations: names of labels).
    """

    kind: Literal["geometry"] = "geometry"
    permutations: Annotated[int, Field(ge=0)] = 1
    """Number of permutations of the training labels, as a control for the number of clusters."""
    duplicates: Literal["drop", "majority"] = "drop"
    """Examples with the same state and different labels are dropped, or get the majority label."""
    resamples: PositiveInt = 2000
    """Bootstrap resamples of the labels, for the bounds of correlations."""
    seed: int = 0


class ShiftSpec(Spec):
    """Shift of labels by fine-tuning on the same training examples, layer by layer.

    Parents: states, other (text_states or span_states; the base model's), geometry, other_geometry (of
    these).
    """

    kind: Literal["shift"] = "shift"
    resamples: PositiveInt = 2000
    """Bootstrap resamples of the labels, for the bounds of the correlation."""
    seed: int = 0


class PathsSpec(Spec):
    """Trajectories of label centroids over training, layer by layer.

    Parents: start, those named by `checkpoints`, end (text_states or span_states of the same examples),
    data (prepare or tokenise_annotations: names of labels).
    """

    kind: Literal["paths"] = "paths"
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    """Roles of the states at checkpoints, in the order of training."""


class GeometrySettings(Strict):
    """Label geometry under `measures` in an experiment."""

    geometry: bool = False
    """DirectProbe: clusters of the labels and their distances before and after fine-tuning, and the shift of
    each label."""
    permutations: Annotated[int, Field(ge=0)] = 1
    """Number of label permutations, as a chance level of the number of clusters; 0 skips them."""


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
    title="Label geometry (DirectProbe)",
    words="Clusters, distances and correlations of labels in every layer (Zhou and Srikumar 2021, 2022). "
    "Bands of correlations are 95 % bootstrap intervals over labels; bands of distances span the proved "
    "lower and upper bounds, over all seeds.",
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
    title="Centroid shift",
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
    title="Centroid trajectories",
    curves={"path_length": Curve(), "plane_share": Curve(scale=(0.0, 1.0))},
    draws_curves=False,
    stages=_paths,
    modules={"paths": "layerscope.jobs.measures.geometry.centroid_trajectories_stage"},
)
