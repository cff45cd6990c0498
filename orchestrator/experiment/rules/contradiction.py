"""A contradiction in an experiment, as reading reports it."""

from dataclasses import dataclass

from layerscope.orchestrator.experiment.yaml.yaml_tree import PathTo


@dataclass(frozen=True)
class Contradiction:
    """A fault at a path; at its key if the key is wrong.

    `rests_on` are the other paths that it follows from: it is not reported while one of them has a fault.
    """

    path: PathTo
    message: str
    of_key: bool = False
    rests_on: tuple[PathTo, ...] = ()
