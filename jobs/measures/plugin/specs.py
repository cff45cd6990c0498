"""Measures of the user's own as values: spec and settings."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from layerscope.jobs.specs.measure import Curve, Measure, States, Subject, Wanted
from layerscope.jobs.specs.roles import Role
from layerscope.jobs.specs.spec import Spec, Strict

MODULES = {"plugin": "layerscope.jobs.measures.plugin.stage"}


class PluginSpec(Spec):
    """A measure of the user's own on every layer.

    Parents: states (text_states or span_states). Outside file: source.
    """

    kind: Literal["plugin"] = "plugin"
    name: str
    source: str
    """sha256 of the file that defines it."""
    entry_point: str | None = None
    """`module:attribute` of an installed package; none where the file is named."""


class PluginSettings(Strict):
    """Keys of `measures` in an experiment that name measures of the user's own."""

    plugins: tuple[str, ...] = ()
    """Measures of your own: files of Python, as ./rankme.py, relative to where you work, or names of entry
    points in the group `layerscope.measures`. They are code, which is run."""


def plugin_measure(spec: PluginSpec, path: str, declared: Mapping[str, Any]) -> Measure:
    """The measure that a file declares.

    Args:
        path: Of the file.
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
