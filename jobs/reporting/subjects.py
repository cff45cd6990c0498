"""What a measure was taken of: the examples of which task, and the tuned model or what it is set against.

A role is `<measure>`, `<measure>/<probing task>`, and either with `/start` or `/random` behind it.
"""

from collections.abc import Iterable

from jobs.reporting.series import Band, band, series_by_metric
from jobs.reporting.study import VariantResult

START = "start"
"""The encoder before fine-tuning."""
RANDOM = "random"
"""An encoder of the same shape with fresh weights."""
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
    return [name for name in found if name.rpartition("/")[2] not in BASELINES]


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
    """Mean and range of a metric over the different artifacts of a role; None where there is none."""
    users = {variant.folders[role]: variant for variant in variants if role in variant.folders}
    series = [series_of(variant, role).get(metric) for variant in users.values()]
    known = [one for one in series if one]
    return band(known) if known else None
