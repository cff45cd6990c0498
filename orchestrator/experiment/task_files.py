"""A task file by itself, read and checked as it would be in an experiment."""

from collections.abc import Mapping
from pathlib import Path

from layerscope.jobs.specs.faults import PathTo
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.faults import PlacedFault, refuse
from layerscope.orchestrator.experiment.rules.target_rules import task_faults
from layerscope.orchestrator.experiment.tasks import Corpus, Task
from layerscope.orchestrator.experiment.validation import validated
from layerscope.orchestrator.experiment.yaml.environment import with_environment
from layerscope.orchestrator.experiment.yaml.parsing import read_file
from layerscope.orchestrator.experiment.yaml.yaml_tree import Node, child_of, fault_at

_PATHS = {("data", role) for role in ("train", "test", "validation")}


def read_task(path: Path, environ: Mapping[str, str]) -> Task:
    """The task of a file; files without a test split are corpora for continued pretraining.

    Raises:
        ConfigurationError: all faults of the file, one a line; or it is an experiment's, and that alone.
    """
    faults: list[PlacedFault] = []
    tree = read_file(Path(path), faults)
    if child_of(tree, "experiment") is not None:
        message = f"this is an experiment file, not a task's: `layerscope plan {path}` checks it"
        raise ConfigurationError(str(fault_at(tree, ("experiment",), message, of_key=True)))
    where = "paths: train, test and validation under data"
    tree = with_environment(tree, environ, is_path=_is_path, where=where, faults=faults)
    task = validated(Corpus if _is_corpus(tree) else Task, tree, faults)
    if task is not None and not faults:
        faults += [fault_at(tree, each.path, each.message) for each in task_faults((), task)]
    refuse(faults)
    assert task is not None
    return task


def _is_path(path: PathTo) -> bool:
    return path in _PATHS


def _is_corpus(tree: Node) -> bool:
    data = child_of(tree, "data")
    if data is None:
        return False
    source = child_of(data, "source")
    return source is not None and source.value == "files" and child_of(data, "test") is None
