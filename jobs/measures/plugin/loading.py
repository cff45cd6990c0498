"""Loads a plug-in measure: the value `MEASURE` of its file, or an entry point."""

from pathlib import Path
from typing import Any

from layerscope.jobs.specs.measure import LayerMeasure
from layerscope.jobs.user_code import Source, load_value

ATTRIBUTE = "MEASURE"


def load(source: Source, *, digest: str | None = None) -> LayerMeasure:
    """Execute the file and return the measure that it defines.

    Raises:
        ValueError: it fails (with the line), has another digest, or defines no measure.
    """
    found = load_value(source, ATTRIBUTE, digest=digest)
    if not isinstance(found, LayerMeasure):
        raise ValueError(
            f"{source.path}: defines no {ATTRIBUTE}: end it with {ATTRIBUTE} = LayerMeasure(title, function, "
            "curves), of which `from layerscope import Curve, LayerMeasure`"
        )
    if not found.curves:
        raise ValueError(f"{source.path}: {ATTRIBUTE} declares no curves: name each value that it returns")
    return found


def declared(path: str, entry_point: str | None) -> dict[str, Any]:
    """The measure's declaration as JSON values; for the planner, which executes no user code itself."""
    measure = load(Source(Path(path), entry_point))
    curves = {name: (curve.words, *curve.scale) for name, curve in measure.curves.items()}
    return {
        "title": measure.title,
        "words": measure.words,
        "curves": curves,
        "needs_labels": measure.needs_labels,
    }
