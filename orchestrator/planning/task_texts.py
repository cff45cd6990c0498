"""What is known of a task's texts before anything is computed: how many learn, and their tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.text.corpora import Row
from jobs.text.splits import stratified_split
from jobs.text.tokenizer import load_tokenizer
from jobs.text.truncation import count_tokens
from orchestrator.experiment.experiment import Experiment, Task
from orchestrator.experiment.variants import possible_values
from orchestrator.planning.encoders import LocatedEncoder


@dataclass(frozen=True)
class TaskTexts:
    """The texts of a task whose data was looked at."""

    num_train: int
    """Texts of the training split, without those that validate."""
    rows_by_split: Mapping[str, Sequence[Row]]

    def count_tokens(self, encoder: LocatedEncoder, limit: int, enough: int) -> int:
        """Tokens of all splits when each text is cut; a bound where that is no more than `enough`."""
        texts = [row.text for rows in self.rows_by_split.values() for row in rows]
        return count_tokens(texts, load_tokenizer(encoder.folder), limit, enough=enough)


def texts_of(task: Task, rows_by_split: Mapping[str, Sequence[Row]]) -> TaskTexts:
    """What the rows of a task say."""
    train = rows_by_split["train"]
    if "validation" in rows_by_split:
        return TaskTexts(len(train), rows_by_split)
    kept, _ = stratified_split(
        [str(row.label) for row in train], fraction=task.validation.fraction, seed=task.validation.seed
    )
    return TaskTexts(len(kept), rows_by_split)


def train_size_faults(experiment: Experiment, texts_by_task: Mapping[str, TaskTexts]) -> list[str]:
    """Sizes that are more than a task has texts, in words."""
    sizes = [size for size in possible_values(experiment, "train_size") if size is not None]
    largest = max(sizes, default=0)
    return [
        f"train_size: task {task} has {texts.num_train} training texts, not {largest:g}: at most "
        f"{texts.num_train}, or a share below 1"
        for task, texts in texts_by_task.items()
        if largest > texts.num_train
    ]
