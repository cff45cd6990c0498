"""Loads a measure of the user's own: the value `MEASURE` of its file, or an entry point."""

from pathlib import Path
from typing import Any

from layerscope.jobs.specs.measure import LayerMeasure
from layerscope.jobs.user_code import Source, load_value

ATTRIBUTE = "MEASURE"


def load(source: Source, *, digest: str | None = None) -> LayerMeasure:
    """Run the file, and return the measure that it defines.

    Raises:
        ValueError: it cannot be run, has another digest, or defines no measure; says which line.
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
    """What the measure declares, as JSON has it; for the planner, which runs no code of others itself."""
    measure = load(Source(Path(path), entry_point))
    curves = {name: (curve.words, *curve.scale) for name, curve in measure.curves.items()}
    return {
        "title": measure.title,
        "words": measure.words,
        "curves": curves,
        "needs_labels": measure.needs_labels,
    }
