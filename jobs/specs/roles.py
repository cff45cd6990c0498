"""Roles of a variant's stages: the trainings by a fixed name, and measures by what they are taken of."""

from dataclasses import dataclass
from typing import Self

TUNED = ""
"""The fine-tuned model."""
START = "start"
"""The base model, before fine-tuning."""
RANDOM = "random"
"""An encoder of the same shape with randomly initialised weights."""
AT = "at-"
"""What the name of a checkpoint along the training begins with, as `at-0.5` half way through."""
NOT_MEASURES = ("finetune", "pretrain", "multitask", "view")
"""Roles of trainings, and of the prepared texts: their curves, if any, do not run over layers."""


@dataclass(frozen=True)
class Role:
    """A measure, of which examples and in which model.

    It is written `<measure>/<subject>/<model>`, without the parts that are empty.
    """

    measure: str
    subject: str = ""
    """Name of a probing task, or what a measure tells its stages apart by; empty for a variant's own task."""
    model: str = TUNED

    def __str__(self) -> str:
        return "/".join(filter(None, (self.measure, self.subject, self.model)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The role that is written so."""
        measure, _, rest = text.partition("/")
        subject, _, last = rest.rpartition("/")
        return cls(measure, subject, last) if _is_model(last) else cls(measure, rest)


def _is_model(name: str) -> bool:
    return name in (START, RANDOM) or name.startswith(AT)
