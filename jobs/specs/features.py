"""Frozen features: token states of an encoder computed once, and heads trained on them."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.spec import PositiveInt, Spec
from layerscope.jobs.specs.targets import MetricName, OwnMetric

FeatureLayers = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^last(-[1-9][0-9]*)?$")]
"""A layer (0 is the embeddings), `last`, or `last-N`: the last N, concatenated."""
FeatureHead = Literal["linear", "bilstm"]


class FeaturesSpec(Spec):
    """Hidden states of every token of train, validation and test, in float16.

    Parents: data (prepare), encoder (optional: pretrain or multitask; else the external file encoder).
    """

    kind: Literal["features"] = "features"
    encoder: str
    """Digest of the base model's weights; a parent takes precedence."""
    snapshot: int | None = None
    """Step of a pretrain parent whose encoder is used; by default the last one."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Layers from bottom to top, 0 the embeddings; several are concatenated."""


class FeatureHeadSpec(Spec):
    """A head trained on frozen features. Parents: features, data (prepare: ids and labels)."""

    kind: Literal["feature_head"] = "feature_head"
    training: Training
    """Factors that do not concern the head are at their defaults."""
    head: FeatureHead
    head_hidden: PositiveInt
    """Hidden size of each direction of the LSTM, and of the attention over its states."""
    seed: int
    selected_by: MetricName | OwnMetric | None = None
    """Validation metric that selects the best weights; accuracy by default."""


def chosen_layers(layers: FeatureLayers, depth: int) -> tuple[int, ...]:
    """Layer numbers, for an encoder with `depth` layers above its embeddings.

    Raises:
        ValueError: a layer does not exist.
    """
    if isinstance(layers, int):
        if layers > depth:
            raise ValueError(f"layer {layers} does not exist: the encoder has layers 0 to {depth}")
        return (layers,)
    count = int(layers.removeprefix("last").removeprefix("-") or 1)
    if count > depth + 1:
        raise ValueError(f"{layers} are too many: the encoder has layers 0 to {depth}")
    return tuple(range(depth + 1 - count, depth + 1))
