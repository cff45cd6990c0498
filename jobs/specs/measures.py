"""What the stages compute that measure the geometry of layers."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.specs.spec import PositiveInt, Spec


class GeometrySpec(Spec):
    """DirectProbe on every layer, of the training and of the test examples apart.

    Parents: states (extract or represent), data (prepare or annotate, for the names of the labels).
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

    Parents: states, other (extract or represent; the start), geometry, other_geometry (of the same).
    """

    kind: Literal["shift"] = "shift"
    resamples: PositiveInt = 2000
    """Of the labels, for the bounds of the correlation."""
    seed: int = 0


class SpreadSpec(Spec):
    """How the states of test examples are spread in every layer. Parents: states (extract or represent)."""

    kind: Literal["spread"] = "spread"
