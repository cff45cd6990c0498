"""What a measure was taken of: the examples of which task, and the tuned model or what it is set against.

A role is `<measure>`, `<measure>/<probing task>`, and either with `/start` or `/random` behind it, or with
`/at-<checkpoint>`, as `/at-0.5` half way through the training.
"""

from collections.abc import Iterable

from layerscope.jobs.reporting.series import Band, band, series_by_metric
from layerscope.jobs.reporting.study import VariantResult
from layerscope.jobs.specs.curves import checked_curve
from layerscope.jobs.specs.roles import AT, RANDOM, START

BASELINES = (START, RANDOM)


def measure_of(role: str) -> str:
    """`geometry` of `geometry/pos/start`."""
    return role.partition("/")[0]


def role_of(measure: str, subject: str, baseline: str = "") -> str:
    """The role of a measure of a subject, in the tuned model or in a baseline."""
    return "/".join(filter(None, (measure, subject, baseline)))


def subjects_of(variants: Iterable[VariantResult], measure: str) -> list[str]:
    """Names of the probing tasks that were measured after tuning, in order; "" is a variant's own task."""
    roles = dict.fromkeys(role for variant in variants for role in variant.folders)
    found = [role.partition("/")[2] for role in roles if measure_of(role) == measure]
    return [name for name in found if not _is_other_model(name.rpartition("/")[2])]


def checkpoints_of(variants: Iterable[VariantResult], measure: str, subject: str) -> list[str]:
    """Names of the checkpoints at which a subject was measured, in the order of the training."""
    roles = dict.fromkeys(role for variant in variants for role in variant.folders)
    prefix = role_of(measure, subject, AT)
    return [AT + role.removeprefix(prefix) for role in roles if role.startswith(prefix)]


def spoken_checkpoint(name: str) -> str:
    """`at-0.5` as "0.5 of the training", `at-200` as "200 steps"."""
    checkpoint = name.removeprefix(AT)
    return f"{checkpoint} of the training" if "." in checkpoint else f"{checkpoint} steps"


def _is_other_model(name: str) -> bool:
    return name in BASELINES or name.startswith(AT)


def spoken_subject(task: str, subject: str) -> str:
    """Of whose labels a figure or row speaks."""
    return f"{task}, labels of {subject}" if subject else task


def series_of(variant: VariantResult, role: str) -> dict[str, dict[int, float]]:
    """Value by layer of each metric of a role, without the role in its name; empty where it is not there."""
    if role not in variant.folders:
        return {}
    series = series_by_metric(variant.folders[role], role)
    return {metric.removeprefix(f"{role}/"): values for metric, values in series.items()}


def baseline_band(variants: Iterable[VariantResult], role: str, metric: str) -> Band | None:
    """Mean and range of a metric over the different artifacts of a role; None where it has no finite value.

    Raises ValueError where the measure has no such metric.
    """
    checked_curve(measure_of(role), metric)
    users = {variant.folders[role]: variant for variant in variants if role in variant.folders}
    series = [series_of(variant, role).get(metric) for variant in users.values()]
    known = [one for one in series if one]
    return band(known) if known else None
