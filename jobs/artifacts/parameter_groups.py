"""The parameter groups of a training: their sizes, peak learning rates and weight decay."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

PARAMETER_GROUPS = "parameter_groups.json"


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with the same learning rate and weight decay."""

    name: str
    num_parameters: int
    learning_rate: float
    """Peak learning rate."""
    weight_decay: float
    parameters: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Their names, in order."""


def write_parameter_groups(folder: Path, groups: Sequence[ParameterGroup]) -> None:
    """Write the groups of a training in their order."""
    content = [asdict(group) for group in groups]
    (folder / PARAMETER_GROUPS).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_parameter_groups(folder: Path) -> tuple[ParameterGroup, ...]:
    """The written groups; empty if there is no file."""
    path = folder / PARAMETER_GROUPS
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return tuple(ParameterGroup(**group | {"parameters": tuple(group["parameters"])}) for group in content)
