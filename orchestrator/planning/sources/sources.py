"""External inputs of an experiment: encoders, and the data of tasks as the planner uses them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.specs.annotations import AnnotatedFilesData, SampleAnnotationsData
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.stages import FilesData, HubData, SampleData
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence
from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.sources.encoder_folders import (
    LocatedEncoder,
)
from layerscope.orchestrator.planning.sources.own_metrics import LocatedMetric
from layerscope.orchestrator.planning.sources.task_texts import (
    TaskTexts,
)


@dataclass(frozen=True)
class TaskSource:
    """A task's data as the planner sees it."""

    task: Task
    data: FilesData | HubData | SampleData
    data_version: int
    files: Mapping[str, str]
    """Paths of the splits by role."""
    exceeds: Callable[[LocatedEncoder, int], bool]
    """Whether any text has more tokens of an encoder than a limit; true where the texts were not looked at
    (Hub data)."""
    crowded: Callable[[LocatedEncoder, int, int], str | None] = lambda encoder, limit, overlap: None
    """The place of the first pair whose first text leaves too few tokens of a window for the second."""
    text_only: bool = False
    """Whether only its training texts are read: a corpus."""
    texts: TaskTexts | None = None
    """What the texts say; none where they were not looked at."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of the data."""

    @property
    def are_pairs(self) -> bool:
        """Whether the encoder reads two texts together: those of a pair, or a text and a choice."""
        return self.task.columns.text_pair is not None or self.task.columns.choices is not None

    def num_special(self, encoder: LocatedEncoder) -> int:
        """Special tokens around a text, or around and between those of a pair."""
        num_parts = 2 if self.are_pairs else 1
        return frame_of(encoder.tokenizer, num_parts=num_parts).num_special


@dataclass(frozen=True)
class AnnotatedSource:
    """Annotated sentences, or rows with marked spans, as the planner sees them."""

    task: Task
    data: AnnotatedFilesData | SampleAnnotationsData | FilesData | HubData
    data_version: int
    files: Mapping[str, str]
    """Paths of the splits by role."""
    num_train: int | None
    """Sentences of the training split, without those that validate; fewer where some are too long. None where
    they were not looked at (Hub data)."""
    sentences: Mapping[str, Sequence[AnnotatedSentence]] = field(default_factory=dict)
    """Of the splits that were looked at."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of the data."""


@dataclass(frozen=True)
class Sources:
    """External inputs of an experiment."""

    encoders: Mapping[str, LocatedEncoder]
    """Those that the recipes use, by the name that they have there."""
    tasks: Mapping[str, TaskSource | AnnotatedSource]
    probing: Mapping[str, TaskSource | AnnotatedSource]
    corpora: Mapping[str, TaskSource]
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)
    own_metrics: Mapping[str, LocatedMetric] = field(default_factory=dict)
    """Of the user's own, by task."""
    """Of layers, those of the user's own among them, by name."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of the data, after the name of their task."""
        every = {**self.tasks, **self.probing, **self.corpora}
        return tuple(f"{name}: {note}" for name, source in every.items() for note in source.notes)
