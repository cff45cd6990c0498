"""The context of a stage: its inputs by role, an output folder, and logging of curves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.jobs.artifacts.curves import append_points

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG = "log.txt"
"""Log file of a stage, in its scratch folder; workers' output goes there too."""


@dataclass
class StageContext:
    """Everything a stage may touch; it knows neither Ray nor MLflow nor the store."""

    inputs: Mapping[str, Path]
    """Folder of each parent's artifact, or path of an external file, by role."""
    out: Path
    """The content of this folder becomes the artifact."""
    scratch: Path
    """Survives retries of the same stage: checkpoints go here."""
    device: str = "cpu"
    """Torch device of a stage that runs in one process, as `cpu` or `cuda`."""
    is_main: bool = True
    """False on all but the first process of a gang: only the main one logs and writes."""
    accelerator: "Accelerator | None" = None
    """Set for the kinds that train, which run alike on one process or N."""
    micro_batch_size: int | None = None
    """Maximum examples per forward and backward pass of one process."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits of the stage by name; they determine whether it is computed, never the result."""

    curves: frozenset[str] | None = None
    """Names of the curves that a measure declares; None allows any name."""

    def log(self, step: int, **values: float) -> None:
        """Append values at a step to the artifact's curves; layer-wise measures use step = layer.

        Raises:
            ValueError: the measure does not declare a curve of this name.
        """
        if self.curves is not None and (undeclared := sorted(values.keys() - self.curves)):
            raise ValueError(f"{', '.join(undeclared)}: no curve that the measure declares")
        if self.is_main:
            append_points(self.scratch, step, values)

    def say(self, text: str) -> None:
        """Append lines to the stage's log."""
        if self.is_main:
            with (self.scratch / LOG).open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
