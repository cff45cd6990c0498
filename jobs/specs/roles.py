"""Roles of a variant's stages: trainings have fixed names, measures are named by examples and model."""

from dataclasses import dataclass
from typing import Self

TUNED = ""
"""The fine-tuned model."""
START = "start"
"""The base model, before fine-tuning."""
RANDOM = "random"
"""An encoder of the same shape with randomly initialised weights."""
AT = "at-"
"""Prefix of checkpoint names, as `at-0.5` for half of the training."""
NOT_MEASURES = ("finetune", "pretrain", "multitask", "view")
"""Roles of trainings and tokenised texts: their curves, if any, are not over layers."""


@dataclass(frozen=True)
class Role:
    """A measure with its examples and its model.

    Written as `<measure>/<subject>/<model>`, without empty parts.
    """

    measure: str
    subject: str = ""
    """Name of a probing task, or what distinguishes the stages of a measure; empty for a variant's own
    task."""
    model: str = TUNED

    def __str__(self) -> str:
        return "/".join(filter(None, (self.measure, self.subject, self.model)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a written role."""
        measure, _, rest = text.partition("/")
        subject, _, last = rest.rpartition("/")
        return cls(measure, subject, last) if _is_model(last) else cls(measure, rest)


def _is_model(name: str) -> bool:
    return name in (START, RANDOM) or name.startswith(AT)
