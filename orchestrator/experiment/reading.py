"""The experiment file: read with its profiles, overrides and tasks, checked, and written out again."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from layerscope.jobs.specs.faults import Fault, PathTo, dotted
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.faults import Place, PlacedFault, refuse, suggestion
from layerscope.orchestrator.experiment.overrides import (
    Override,
    applied,
    parse_overrides,
    profile_overrides,
)
from layerscope.orchestrator.experiment.placing import placed
from layerscope.orchestrator.experiment.reference import reference_faults, with_used_parts
from layerscope.orchestrator.experiment.rules.consistency import consistency_faults
from layerscope.orchestrator.experiment.rules.target_rules import target_faults
from layerscope.orchestrator.experiment.validation import validated
from layerscope.orchestrator.experiment.yaml.environment import with_environment
from layerscope.orchestrator.experiment.yaml.parsing import read_file
from layerscope.orchestrator.experiment.yaml.yaml_tree import (
    Node,
    child_of,
    fault_at,
    got,
    with_child,
    without,
)

_FOLDER_PREFIXES = ("/", "./", "../", "${")
_STAND_INS: dict[PathTo, Any] = {
    ("experiment",): "unnamed",
    ("encoder",): {"hub": "unnamed"},
    ("tasks",): [{"task": "unnamed", "data": {"source": "sample", "target": "topic"}}],
    ("search", "trials"): 1,
}


def read_with_places(
    path: Path, *, overrides: Iterable[str] = (), profile: str | None = None, environ: Mapping[str, str]
) -> tuple[Experiment, Node]:
    """The experiment of a file after a profile and overrides, and the tree with the place of each value.

    Raises ConfigurationError with all faults, one per line. All profiles of the file are checked.
    Paths of data and of the encoder's folder are left as they are written: relative to where one works.
    Of a reference only the tables and claims that are used are kept.
    """
    path = Path(path)
    faults: list[PlacedFault] = []
    reader = _Reader(path.parent, environ)
    written = read_file(path, faults)
    profiles = _profiles(written, faults)
    tree = reader.expanded(without(written, ("profiles",)), faults)
    steps = [_asked_profile(profiles, profile, path, faults), parse_overrides(overrides, faults)]
    experiment, changed, found = reader.checked(tree, steps)
    unused = {name: changes for name, changes in profiles.items() if name != profile}
    refuse([*faults, *found, *reader.faults_of_profiles(tree, unused)])
    assert experiment is not None
    return with_used_parts(experiment), changed


def resolved_yaml(experiment: Experiment) -> str:
    """YAML of the resolved experiment, defaults included; reads back identically."""
    yaml = YAML()
    yaml.width = 1000
    out = StringIO()
    yaml.dump(_laid_out(experiment.model_dump(mode="json", exclude_none=True)), out)
    return out.getvalue()


@dataclass(frozen=True)
class _Reader:
    folder: Path
    environ: Mapping[str, str]

    def checked(
        self, tree: Node, steps: Iterable[list[Override]] = ()
    ) -> tuple[Experiment | None, Node, list[PlacedFault]]:
        faults: list[PlacedFault] = []
        for changes in steps:
            tree = self.expanded(applied(tree, changes, Experiment, faults), faults)
        where = "paths: a task's train, test and validation, an encoder's folder and tokenizer, and plug-ins"
        tree = with_environment(tree, self.environ, is_path=_is_path, where=where, faults=faults)
        experiment = validated(Experiment, tree, faults, stand_ins=_STAND_INS)
        if experiment is not None:
            found = chain(
                consistency_faults(experiment),
                target_faults(experiment),
                reference_faults(experiment),
            )
            faults += [placed(tree, each) for each in found if not _is_open(each, faults)]
        return experiment, tree, faults

    def faults_of_profiles(self, tree: Node, profiles: Mapping[str, list[Override]]) -> list[PlacedFault]:
        """What is wrong only under a profile."""
        if not profiles:
            return []
        without_profile = set(self.checked(tree)[2])
        faults = []
        for name, changes in profiles.items():
            *_, found = self.checked(tree, [changes])
            faults += [
                replace(fault, message=f"{fault.message} (under the profile '{name}')")
                for fault in found
                if fault not in without_profile
            ]
        return faults

    def expanded(self, tree: Node, faults: list[PlacedFault]) -> Node:
        """The tree with encoders, tasks and a paper that were given by name written out."""
        encoder, encoders = tree.value.get("encoder"), tree.value.get("encoders")
        reference = tree.value.get("reference")
        if encoder is not None:
            tree = with_child(tree, "encoder", _spelt_out(encoder))
        if encoders is not None and isinstance(encoders.value, dict):
            named = {name: _spelt_out(each) for name, each in encoders.value.items()}
            tree = with_child(tree, "encoders", replace(encoders, value=named))
        for part in ("tasks", "probing", "corpora"):
            tasks = tree.value.get(part)
            if tasks is not None and isinstance(tasks.value, tuple):
                items = [
                    self._file_of("task", tree, (part, index), node, faults)
                    for index, node in enumerate(tasks.value)
                ]
                tree = with_child(tree, part, replace(tasks, value=tuple(items)))
        if reference is not None and (paper := child_of(reference, "paper")) is not None:
            paper = self._file_of("reference", tree, ("reference", "paper"), paper, faults)
            tree = with_child(tree, "reference", with_child(reference, "paper", paper))
        return tree

    def _file_of(self, kind: str, tree: Node, path: PathTo, node: Node, faults: list[PlacedFault]) -> Node:
        if not isinstance(node.value, str):
            return node
        file = self._named_file(f"{kind}s", node.value)
        if not file.is_file():
            faults.append(fault_at(tree, path, _no_such_file(kind, node.value, file)))
            return node
        try:
            return read_file(file, faults)
        except ConfigurationError as error:
            faults.append(fault_at(tree, path, f"cannot be read: {error}"))
            return node

    def _named_file(self, kinds: str, name: str) -> Path:
        if name.endswith((".yaml", ".yml")):
            return Path(os.path.normpath(self.folder / name))
        above = [self.folder / f"../{kinds}", self.folder / f"../../{kinds}"]
        folder = next((each for each in above if each.is_dir()), above[0])
        return Path(os.path.normpath(folder / f"{name}.yaml"))


def _spelt_out(encoder: Node) -> Node:
    if not isinstance(encoder.value, str):
        return encoder
    source = "folder" if encoder.value.startswith(_FOLDER_PREFIXES) else "hub"
    return replace(encoder, value={source: encoder})


def _no_such_file(kind: str, name: str, file: Path) -> str:
    if name.endswith((".yaml", ".yml")):
        return f"the file {file} does not exist"
    known = sorted(each.stem for each in file.parent.glob("*.yaml"))
    listed = f"{file.parent} has {', '.join(known)}" if known else f"{file.parent} has no {kind}s"
    return f"there is no {kind} '{name}'{suggestion(name, known)}; {listed}"


def _profiles(written: Node, faults: list[PlacedFault]) -> dict[str, list[Override]]:
    profiles = written.value.get("profiles")
    if profiles is None:
        return {}
    if not isinstance(profiles.value, dict):
        message = f"must be a mapping of names to overrides, not {got(profiles)}"
        faults.append(fault_at(written, ("profiles",), message))
        return {}
    overrides = {}
    for name, profile in profiles.value.items():
        if isinstance(profile.value, dict):
            overrides[name] = profile_overrides(profile)
        else:
            overrides[name] = []
            message = f"must be a mapping of overrides such as 'recipe.epochs: 1', not {got(profile)}"
            faults.append(fault_at(written, ("profiles", name), message))
    return overrides


def _asked_profile(
    profiles: Mapping[str, list[Override]], name: str | None, path: Path, faults: list[PlacedFault]
) -> list[Override]:
    if name is None or name in profiles:
        return profiles[name] if name else []
    known = f"it has {', '.join(profiles)}" if profiles else "it has none"
    message = f"{path} has no profile '{name}'{suggestion(name, profiles)}; {known}"
    faults.append(PlacedFault(Place(f"--profile {name}"), "", message))
    return []


def _laid_out(value: Any) -> Any:
    """Lists and small mappings of scalars on one line, everything else in blocks."""
    match value:
        case dict(entries):
            laid_out: Any = CommentedMap({key: _laid_out(each) for key, each in entries.items()})
            parts, fits_a_line = list(entries.values()), len(entries) <= 3
        case list(items):
            laid_out = CommentedSeq(map(_laid_out, items))
            parts, fits_a_line = items, True
        case scalar:
            return scalar
    if fits_a_line and not any(isinstance(part, dict | list) for part in parts):
        laid_out.fa.set_flow_style()
    return laid_out


def _is_open(fault: Fault, faults: Iterable[PlacedFault]) -> bool:
    """Whether it need not be so, since something that it is about is at fault."""
    about = [f"{dotted(path)}." for path in (fault.path, *fault.rests_on)]
    wrong = [f"{each.path}." for each in faults]
    return any(one.startswith(other) or other.startswith(one) for one in about for other in wrong)


def _is_path(path: PathTo) -> bool:
    match path:
        case (
            ("encoder", "folder")
            | ("encoders", str(), "folder")
            | ("encoder", "scratch", "tokenizer")
            | ("encoders", str(), "scratch", "tokenizer")
            | ("measures", "plugins", int())
            | ("tasks" | "probing" | "corpora", int(), "data", "train" | "test" | "validation")
        ):
            return True
        case _:
            return False
