"""What is computed of the similarity of layers beyond the map of linear CKA."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.specs.spec import PositiveInt, Share, Spec


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
]
"""`cka`: linear and debiased, with standard errors. `biased_cka`: with what chance alone gives. `rbf`: with
a Gaussian kernel, debiased. `leverage`: CKA without the 1 % of examples that stand out most, and how much
these hold. `partial_cka`: CKA after the words of the texts were taken out. The others are as they are
called in `jobs.numerics.similarity`."""


class SimilaritySpec(Spec):
    """One measure of similarity for every pair of layers, of a model with itself or with another.

    Parents: states (extract), other (extract, against another model), data (prepare: the words of the
    texts, for partial_cka).
    """

    kind: Literal["similarity"] = "similarity"
    measure: SimilarityMeasure
    against: Literal["itself", "other"]
    num_halves: Annotated[int, Field(ge=2)] = 20
    """Random halves of the examples from which intervals come where there is no formula for them."""
    seed: int = 0
