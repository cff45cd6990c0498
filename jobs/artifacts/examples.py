"""Examples for fine-tuning and evaluation: the rows of a prepared task, or annotated sentences."""

from pathlib import Path
from typing import Literal

from layerscope.jobs.artifacts.sentences import (
    SENTENCES,
    LabelledUnit,
    read_annotated,
    read_annotated_labels,
    read_sentences,
)
from layerscope.jobs.artifacts.tokenised import (
    Split,
    read_labels,
    read_prepared_target,
    read_split,
    read_texts,
)
from layerscope.jobs.specs.targets import Target

SplitName = Literal["train", "validation", "test"]


def read_examples(folder: Path, name: SplitName) -> Split:
    """One split of the output of prepare or tokenise_annotations, without sentences without labelled
    spans."""
    return _sentences(folder, name) if are_annotated(folder) else read_split(folder, name)


def read_label_names(folder: Path) -> list[str]:
    """Names of the labels; a label's id is its position."""
    return read_annotated_labels(folder) if are_annotated(folder) else read_labels(folder)


def read_target(folder: Path) -> Target:
    """The prediction target of each row, or of each labelled span of a sentence."""
    return "label" if are_annotated(folder) else read_prepared_target(folder)


def read_raw_texts(folder: Path, name: SplitName) -> tuple[list[str], list[list[str]]]:
    """Ids of a split's rows or sentences, and their original texts; only whole views store them."""
    return read_sentences(folder, name) if are_annotated(folder) else read_texts(folder, name)


def are_annotated(folder: Path) -> bool:
    """Whether a folder holds annotated sentences."""
    return (folder / SENTENCES).is_file()


def _sentences(folder: Path, name: SplitName) -> Split:
    split = read_annotated(folder, name)
    units_of: dict[int, list[LabelledUnit]] = {unit.sentence: [] for unit in split.units}
    for unit in split.units:
        units_of[unit.sentence].append(unit)
    return Split(
        ids=[split.ids[place] for place in units_of],
        texts=[split.input_ids[place] for place in units_of],
        labels=[[unit.label for unit in units] for units in units_of.values()],
        type_ids=None if split.type_ids is None else [split.type_ids[place] for place in units_of],
        spans=[[unit.spans for unit in units] for units in units_of.values()],
    )
