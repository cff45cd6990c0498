"""Something in an experiment that does not go together, as reading tells it."""

from dataclasses import dataclass

from layerscope.orchestrator.experiment.yaml.yaml_tree import PathTo


@dataclass(frozen=True)
class Contradiction:
    """A fault at a written path; at its key where the key is what is wrong.

    `rests_on` are the other paths that it follows from: while one of them is at fault it need not be so.
    """

    path: PathTo
    message: str
    of_key: bool = False
    rests_on: tuple[PathTo, ...] = ()
