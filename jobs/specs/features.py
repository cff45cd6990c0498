"""Frozen features: token states of an encoder computed once, and heads trained on them."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.spec import PositiveInt, Spec
from layerscope.jobs.specs.targets import MetricName, OwnMetric

FeatureLayers = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^last(-[1-9][0-9]*)?$")]
"""A layer (0 is the embeddings), `last`, or `last-N`: the last N, their states side by side."""
FeatureHead = Literal["linear", "bilstm"]


class FeaturesSpec(Spec):
    """States of every token of train, validation and test, in float16.

    Parents: data (prepare), encoder (optional: pretrain or multitask; else the outside file encoder).
    """

    kind: Literal["features"] = "features"
    encoder: str
    """Digest of the weights that everything starts from; a parent stands above it."""
    snapshot: int | None = None
    """Step of a pretrain parent whose encoder is taken; its last one without."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Layers from bottom to top, 0 the embeddings; several are concatenated."""


class FeatureHeadSpec(Spec):
    """A head trained on frozen features. Parents: features, data (prepare: ids and labels)."""

    kind: Literal["feature_head"] = "feature_head"
    training: Training
    """What does not concern a head alone is at its default."""
    head: FeatureHead
    head_hidden: PositiveInt
    """Width of each direction of the LSTM, and of the attention over its states."""
    seed: int
    selected_by: MetricName | OwnMetric | None = None
    """By which metric on the validation split the best weights are chosen; by accuracy without."""


def chosen_layers(layers: FeatureLayers, depth: int) -> tuple[int, ...]:
    """The layers that are meant, of an encoder with `depth` layers above its embeddings.

    Raises:
        ValueError: there is no such layer, or there are not so many.
    """
    if isinstance(layers, int):
        if layers > depth:
            raise ValueError(f"layer {layers} does not exist: the encoder has layers 0 to {depth}")
        return (layers,)
    count = int(layers.removeprefix("last").removeprefix("-") or 1)
    if count > depth + 1:
        raise ValueError(f"{layers} are too many: the encoder has layers 0 to {depth}")
    return tuple(range(depth + 1 - count, depth + 1))
