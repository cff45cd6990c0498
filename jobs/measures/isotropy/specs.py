"""Spec, settings, curves and stages of isotropy."""

from collections.abc import Iterator
from typing import Literal

from layerscope.jobs.specs.measure import Curve, Measure, States, Subject, Wanted
from layerscope.jobs.specs.roles import Role
from layerscope.jobs.specs.spec import Spec, Strict


class SpreadSpec(Spec):
    """Isotropy of every layer on test examples. Parents: states (text_states or span_states)."""

    kind: Literal["spread"] = "spread"


class IsotropySettings(Strict):
    """Isotropy under `measures` in an experiment."""

    spread: bool = False
    """Effective rank, isotropy, intrinsic dimension, and the ratio of between-label to within-label
    variance."""


def _stages(settings: IsotropySettings, subject: Subject) -> Iterator[Wanted]:
    if settings.spread and subject.facts.has_labels:
        for model in subject.trained_models:
            yield Wanted(Role("spread", subject.name, model), SpreadSpec(), {"states": States(model)})


SPREAD = Measure(
    name="spread",
    title="Isotropy and dimensionality",
    words="Number of directions that the hidden states of test examples occupy, how evenly, and the variance "
    "between labels relative to the variance within.",
    called="spread",
    curves={
        "effective_rank": Curve("effective rank"),
        "participation_ratio": Curve(),
        "mean_cosine": Curve("mean cosine similarity of two examples", (-1.0, 1.0)),
        "isoscore": Curve("IsoScore", (0.0, 1.0)),
        "intrinsic_dimension": Curve("intrinsic dimension (TwoNN)"),
        "between_within": Curve("between-label / within-label variance"),
    },
    stages=_stages,
    modules={"spread": "layerscope.jobs.measures.isotropy.stage"},
)
