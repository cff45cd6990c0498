"""What is known of a task's texts before anything is computed: how many learn, and their tokens."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.text.reading.copies import texts_of_rows
from layerscope.jobs.text.reading.row_targets import strata
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.reading.splits import split_of_texts, stratified_sample
from layerscope.jobs.text.tokenising.truncation import count_tokens
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


@dataclass(frozen=True)
class TaskTexts:
    """The texts of a task whose data was looked at."""

    num_train: int
    """Texts of the training split, without those that validate."""
    rows_by_split: Mapping[str, Sequence[Row]]

    def count_tokens(self, encoder: LocatedEncoder, limit: int, enough: int) -> int:
        """Tokens of all splits when each text is cut; a bound where that is no more than `enough`."""
        texts = [row.text for rows in self.rows_by_split.values() for row in rows]
        return count_tokens(texts, encoder.tokenizer, limit, enough=enough)


def texts_of(task: Task, rows_by_split: Mapping[str, Sequence[Row]]) -> TaskTexts:
    """What the rows of a task say."""
    train = rows_by_split["train"]
    if "validation" in rows_by_split:
        return TaskTexts(len(train), rows_by_split)
    alike = strata(train, target_of(task.columns, task.predict))
    drawn = task.validation
    kept, _ = split_of_texts(alike, texts_of_rows(train), fraction=drawn.fraction, seed=drawn.seed)
    return TaskTexts(len(kept), rows_by_split)


def num_kept(texts: Sequence[Hashable], task: Task) -> int:
    """Of annotated sentences to train on, by what they say, those in the sample that do not validate."""
    places = stratified_sample([""] * len(texts), size=task.sample.train, seed=task.sample.seed)
    sample, drawn = [texts[place] for place in places], task.validation
    kept, _ = split_of_texts([""] * len(sample), sample, fraction=drawn.fraction, seed=drawn.seed)
    return len(kept)
