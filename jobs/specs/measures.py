"""What the stages compute that measure layers: their geometry, and probes besides the linear one."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict
from layerscope.jobs.specs.stages import ProbeSpec

ProbeKind = Literal["linear", "mlp"]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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


class PathsSpec(Spec):
    """The paths of the labels' centroids through the training, layer by layer.

    Parents: start, those named by `checkpoints`, end (extract or represent; the same training examples),
    data (prepare or annotate, for the names of the labels).
    """

    kind: Literal["paths"] = "paths"
    checkpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    """Roles of the states along the training, in its order."""


class SpreadSpec(Spec):
    """How the states of test examples are spread in every layer. Parents: states (extract or represent)."""

    kind: Literal["spread"] = "spread"


class Networks(Strict):
    """Networks of two hidden layers, of which the best on held-out examples is fitted anew, to all of train.

    It is found by successive halving: all train for a few epochs, then the better quarter, and so on.
    """

    sizes: Annotated[tuple[tuple[PositiveInt, PositiveInt], ...], Field(min_length=1)] = tuple(
        (first, second) for first in (32, 64, 128, 256) for second in (32, 64, 128, 256)
    )
    """Widths of the hidden layers; the defaults are those of Zhou and Srikumar (2022)."""
    decays: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (
        1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0,
    )  # fmt: skip
    """L2 weights, as scikit-learn's `alpha`."""
    starts: PositiveInt = 5
    """How often the best one is fitted anew, from different initialisations."""
    max_epochs: PositiveInt = 1000
    """Of a network that gains for so long; it is fitted anew for as many as it took to its best accuracy."""


class MlpProbeSpec(Spec):
    """A probe of two hidden ReLU layers on every layer. Parents: states (extract or represent)."""

    kind: Literal["mlp_probe"] = "mlp_probe"
    version: int = 2
    networks: Networks = Networks()
    seed: int = 0


class ControlProbeSpec(Spec):
    """A probe of labels that are drawn at random for each word, and only learnt by heart.

    Parents: states (represent), data (annotate, for the words), probe (that of the true labels).
    """

    kind: Literal["control_probe"] = "control_probe"
    probe: Annotated[ProbeSpec | MlpProbeSpec, Field(discriminator="kind")]
    """The same as that of the true labels."""
    seed: int = 0
    """Of the labels."""


class DescriptionLengthSpec(Spec):
    """Bits that tell the training labels to someone who has a layer. Parents: states (extract, represent)."""

    kind: Literal["description_length"] = "description_length"
    version: int = 2
    """Of two labels, a penalty was half as strong until 2."""
    seed: int = 0
    """Of the order in which examples are told."""


class RandomEncoderSpec(Spec):
    """An encoder of the same shape with fresh weights. Outside file: encoder."""

    kind: Literal["random_encoder"] = "random_encoder"
    encoder: str
    """Digest of the encoder whose configuration is taken."""
    seed: int = 0
