"""Fine-tuning recipes for text encoders on Ray, and what each did to every layer.

Measures are callable on your own arrays: `from layerscope import cka_map, direct_probe`. A plug-in defines a
measure of your own with `Curve` and `LayerMeasure`, a metric with `TaskMetric`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerscope.jobs.kernels.directprobe.directprobe import direct_probe
    from layerscope.jobs.kernels.similarity.cka import cka_map
    from layerscope.jobs.specs.measure import Curve, LayerMeasure
    from layerscope.jobs.specs.targets import TaskMetric

__all__ = ["Curve", "LayerMeasure", "TaskMetric", "cka_map", "direct_probe"]

_MODULES = {
    "Curve": "layerscope.jobs.specs.measure",
    "LayerMeasure": "layerscope.jobs.specs.measure",
    "TaskMetric": "layerscope.jobs.specs.targets",
    "cka_map": "layerscope.jobs.kernels.similarity.cka",
    "direct_probe": "layerscope.jobs.kernels.directprobe.directprobe",
}


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used, so that `import layerscope` stays light."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
