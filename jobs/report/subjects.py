"""On which examples and in which models a measure was computed."""

from collections.abc import Iterable

from layerscope.jobs.report.series import Band, band, series_by_metric
from layerscope.jobs.report.study import VariantResult
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.roles import AT, NOT_MEASURES, TUNED, Role


def roles_of(variants: Iterable[VariantResult]) -> list[Role]:
    """The roles of all measures of these variants, each once and in order."""
    texts = dict.fromkeys(role for variant in variants for role in variant.folders)
    return [role for role in map(Role.parse, texts) if role.measure not in NOT_MEASURES]


def subjects_of(variants: Iterable[VariantResult], measure: Measure) -> list[str]:
    """Names of the probing tasks measured after fine-tuning, in order; "" is a variant's own task."""
    roles = [role for role in roles_of(variants) if role.measure == measure.name]
    return [role.subject for role in roles if role.model == TUNED]


def checkpoints_of(variants: Iterable[VariantResult], measure: Measure, subject: str) -> list[str]:
    """Names of the checkpoints at which a subject was measured, in the order of the training."""
    return [
        role.model
        for role in roles_of(variants)
        if (role.measure, role.subject) == (measure.name, subject) and role.model.startswith(AT)
    ]


def spoken_checkpoint(name: str) -> str:
    """`at-0.5` as "0.5 of training", `at-200` as "200 steps"."""
    checkpoint = name.removeprefix(AT)
    return f"{checkpoint} of training" if "." in checkpoint else f"{checkpoint} steps"


def spoken_subject(task: str, subject: str) -> str:
    """The task and, for a probing task, whose labels are probed."""
    return f"{task}, labels of {subject}" if subject else task


def series_of(variant: VariantResult, role: Role) -> dict[str, dict[int, float]]:
    """Value by layer of each metric of a role, named without the role; empty if the role is missing."""
    name = str(role)
    if name not in variant.folders:
        return {}
    series = series_by_metric(variant.folders[name], name)
    return {metric.removeprefix(f"{name}/"): values for metric, values in series.items()}


def baseline_band(
    variants: Iterable[VariantResult], measure: Measure, role: Role, metric: str
) -> Band | None:
    """Mean and range of a metric over the distinct artifacts of a role; None if no value is finite.

    Raises ValueError if the measure has no such metric.
    """
    measure.curve(metric)
    name = str(role)
    users = {variant.folders[name]: variant for variant in variants if name in variant.folders}
    series = [series_of(variant, role).get(metric) for variant in users.values()]
    known = [one for one in series if one]
    return band(known) if known else None
