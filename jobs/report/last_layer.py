"""Values of measures at the last layer of fine-tuned models."""

from collections.abc import Sequence
from statistics import fmean

from layerscope.jobs.report.study import VariantResult
from layerscope.jobs.report.subjects import series_of
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.roles import TUNED, Role

NAN = float("nan")


def at_last_layer(
    variants: Sequence[VariantResult], measure: Measure, subject: str, metric: str, model: str = TUNED
) -> list[float]:
    """The metric of each variant with a finite value, at the last layer of the fine-tuned model, in `model`.

    Raises ValueError if the measure has no such metric.
    """
    measure.curve(metric)
    found = []
    for variant in variants:
        layer = last_layer([variant], measure, subject)
        values = series_of(variant, Role(measure.name, subject, model)).get(metric, {})
        if layer in values:
            found.append(values[layer])
    return found


def last_layer(variants: Sequence[VariantResult], measure: Measure, subject: str) -> int | None:
    """The highest layer of the fine-tuned models that has a value."""
    role = Role(measure.name, subject)
    layers = [layer for one in variants for values in series_of(one, role).values() for layer in values]
    return max(layers, default=None)


def mean_of(values: Sequence[float]) -> float:
    """The mean; NaN if empty."""
    return fmean(values) if values else NAN
