"""The names of the labels of a task, whether it is of texts or of annotated sentences."""

from pathlib import Path

from layerscope.jobs.artifacts.sentences import SENTENCES, read_annotated_labels
from layerscope.jobs.artifacts.tokenised import read_labels


def label_names(folder: Path) -> list[str]:
    """Of what prepare or tokenise_annotations left; a label's id is its position."""
    return read_annotated_labels(folder) if (folder / SENTENCES).exists() else read_labels(folder)
