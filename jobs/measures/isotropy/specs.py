"""Isotropy as a value: spec, settings, curves and stages."""

from collections.abc import Iterator
from typing import Literal

from layerscope.jobs.specs.measure import Curve, Measure, States, Subject, Wanted
from layerscope.jobs.specs.roles import Role
from layerscope.jobs.specs.spec import Spec, Strict


class SpreadSpec(Spec):
    """Isotropy of every layer on test examples. Parents: states (text_states or span_states)."""

    kind: Literal["spread"] = "spread"


class IsotropySettings(Strict):
    """Keys of `measures` in an experiment that speak of isotropy."""

    spread: bool = False
    """Effective rank, isotropy, intrinsic dimension, and variance between labels over that within."""


def _stages(settings: IsotropySettings, subject: Subject) -> Iterator[Wanted]:
    if settings.spread and subject.facts.has_labels:
        for model in subject.trained_models:
            yield Wanted(Role("spread", subject.name, model), SpreadSpec(), {"states": States(model)})


SPREAD = Measure(
    name="spread",
    title="Spread of layers",
    words="How many directions the states of test examples use, how evenly, and how far the labels' means "
    "are apart for the variance around them.",
    called="spread",
    curves={
        "effective_rank": Curve("effective rank"),
        "participation_ratio": Curve(),
        "mean_cosine": Curve("mean cosine of two examples", (-1.0, 1.0)),
        "isoscore": Curve("IsoScore", (0.0, 1.0)),
        "intrinsic_dimension": Curve("intrinsic dimension (TwoNN)"),
        "between_within": Curve("variance between labels over that within"),
    },
    stages=_stages,
    modules={"spread": "layerscope.jobs.measures.isotropy.stage"},
)
