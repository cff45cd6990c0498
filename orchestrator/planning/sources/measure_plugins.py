"""Plug-in measures: located, named and declared before anything starts."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.measures.plugin.loading import ATTRIBUTE
from layerscope.jobs.measures.plugin.specs import PluginSpec, plugin_measure
from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.roles import NOT_MEASURES, RANDOM, START
from layerscope.jobs.user_code import Source, digest_of
from layerscope.orchestrator.planning.sources.fresh_process import call_apart
from layerscope.orchestrator.planning.sources.plugin_files import installed_module, python_file

GROUP = "layerscope.measures"
RESERVED = (*MEASURES, *NOT_MEASURES, START, RANDOM, "factors", "learning", "maps", "pretraining")
"""Roles, models and sections of the report: names that a plug-in cannot have."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def plugins_of(written: Sequence[str], faults: list[Fault]) -> Mapping[str, Measure]:
    """The measures by name; faults are added to the list, each at its place in the experiment."""
    found: dict[str, Measure] = {}
    for number, plugin in enumerate(written):
        try:
            measure = _plugin(plugin)
            if measure.name in found:
                raise ValueError(f"another plug-in is also named {measure.name}: rename one")
        except ValueError as error:
            faults.append(Fault(("measures", "plugins", number), str(error)))
        else:
            found[measure.name] = measure
    return found


def _plugin(written: str) -> Measure:
    is_file = written.endswith(".py") or "/" in written
    name, source = (Path(written).stem, python_file(written)) if is_file else (written, _installed(written))
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"{name!r} cannot be the name of a measure: it must be letters, digits and _, and not that of a "
            "measure or a section of layerscope"
        )
    spec = PluginSpec(name=name, source=digest_of(source.path), entry_point=source.entry_point)
    declared = call_apart(
        "layerscope.jobs.measures.plugin.loading:declared",
        path=str(source.path),
        entry_point=source.entry_point,
    )
    return plugin_measure(spec, str(source.path), declared)


def _installed(name: str) -> Source:
    points = entry_points(group=GROUP)
    if name not in points.names:
        known = ", ".join(sorted(points.names)) or "none"
        raise ValueError(
            f"no installed package has a measure {name!r} (entry points of {GROUP}: {known}); a file is "
            f"written as ./{name}.py"
        )
    try:
        return installed_module(points[name].module, points[name].attr or ATTRIBUTE)
    except ValueError as error:
        raise ValueError(f"the entry point {name!r}: {error}") from error
