"""Spec and settings of plug-in measures."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from layerscope.jobs.specs.measure import Curve, Measure, States, Subject, Wanted
from layerscope.jobs.specs.roles import Role
from layerscope.jobs.specs.spec import Spec, Strict

MODULES = {"plugin": "layerscope.jobs.measures.plugin.stage"}


class PluginSpec(Spec):
    """A plug-in measure on every layer.

    Parents: states (text_states or span_states). External file: source.
    """

    kind: Literal["plugin"] = "plugin"
    name: str
    source: str
    """SHA-256 of the file that defines it."""
    entry_point: str | None = None
    """`module:attribute` of an installed package; None if a file is named."""


class PluginSettings(Strict):
    """Plug-in measures under `measures` in an experiment."""

    plugins: tuple[str, ...] = ()
    """Plug-in measures: Python files, as ./rankme.py, relative to the working directory, or names of entry
    points in the group `layerscope.measures`. Their code is executed."""


def plugin_measure(spec: PluginSpec, path: str, declared: Mapping[str, Any]) -> Measure:
    """The measure that a file declares.

    Args:
        path: Path of the file.
        declared: As `jobs.measures.plugin.loading.declared` returns it.
    """
    needs_labels = declared["needs_labels"]

    def stages(settings: object, subject: Subject) -> Iterator[Wanted]:
        if subject.facts.has_labels or not needs_labels:
            for model in subject.trained_models:
                role = Role(spec.name, subject.name, model)
                yield Wanted(role, spec, {"states": States(model)}, files={"source": path})

    return Measure(
        name=spec.name,
        title=declared["title"],
        words=declared["words"],
        called=declared["title"],
        curves={
            name: Curve(words or name, (low, high)) for name, (words, low, high) in declared["curves"].items()
        },
        stages=stages,
        modules=MODULES,
    )
