"""What is computed of the similarity of layers beyond the map of linear CKA."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.specs.spec import PositiveInt, Share, Spec


class BlocksSpec(Spec):
    """Blocks of similar layers in the map of one model. Parents: map (cka, within a model)."""

    kind: Literal["blocks"] = "blocks"
    max_blocks: Annotated[int, Field(ge=2)] = 4
    level: Share = 0.05
    """A segmentation is accepted where drift has as much excess gain no more often than this."""
    num_draws: PositiveInt = 199
    """Maps of layers that drift without a jump, which the segmentation is tested against."""
    seed: int = 0
