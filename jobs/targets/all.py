"""All task types by name."""

from collections.abc import Mapping

from layerscope.jobs.specs.targets import Target
from layerscope.jobs.targets.answers import ANSWERS
from layerscope.jobs.targets.choice import CHOICE
from layerscope.jobs.targets.label import LABEL
from layerscope.jobs.targets.number import NUMBER
from layerscope.jobs.targets.task_type import TaskType

TARGETS: Mapping[Target, TaskType] = {
    "label": LABEL,
    "number": NUMBER,
    "choice": CHOICE,
    "answers": ANSWERS,
}
