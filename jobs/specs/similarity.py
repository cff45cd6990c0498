"""What is computed of the similarity of layers beyond the map of linear CKA."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from layerscope.jobs.specs.spec import PositiveInt, Share, Spec, later


class BlocksSpec(Spec):
    """Blocks of similar layers in the map of one model. Parents: map (cka, within a model)."""

    kind: Literal["blocks"] = "blocks"
    version: int = 2
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
called in `jobs.numerics.similarity`."""


class SimilaritySpec(Spec):
    """One measure of similarity for every pair of layers, of a model with itself or with another.

    Parents: states (extract), other (extract, against another model), data (prepare: the words of the
    texts, for partial_cka).
    """

    kind: Literal["similarity"] = "similarity"
    version: int = 2
    """1 where intervals are as they were before they came from pairs of halves, or from more formulas."""
    measure: SimilarityMeasure
    against: Literal["itself", "other"]
    num_halves: Annotated[int, Field(ge=2, multiple_of=2)] = 20
    """Random halves of the examples, two for each split, from which intervals come where there is no formula
    for them."""
    batch_size: Annotated[int, Field(ge=4)] = later(64)
    """Examples of a batch of `minibatch_cka`."""
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _some_intervals_are_as_they_were(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {"version": 1} | fields if fields.get("measure") in ("cka", "svcca", "pwcca") else fields
