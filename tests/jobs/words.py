"""Annotated sentences of one word each, and states of these words."""

from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.layers import Part, write_layers
from layerscope.jobs.artifacts.sentences import EncodedSentence, EncodedUnit, read_annotated, write_annotated

LABELS = ["adj", "noun", "verb"]


def write_words(folder: Path, words_by_split: dict[str, np.ndarray], labels_by_split: dict[str, np.ndarray]):
    """Tokenised annotations: of each word, a number, its token between two special ones."""
    folder.mkdir(parents=True)
    sentences = {
        split: [
            EncodedSentence(
                f"{split} {row}",
                (f"word {word}",),
                (2, 10 + int(word), 3),
                (EncodedUnit(((1, 2),), LABELS[labels_by_split[split][row]], f"word {word}"),),
            )
            for row, word in enumerate(words)
        ]
        for split, words in words_by_split.items()
    }
    write_annotated(folder, sentences, LABELS)
    return folder


def write_word_states(folder: Path, data: Path, layers_by_split: dict[str, list[np.ndarray]]) -> Path:
    """States of all units, in their order."""
    folder.mkdir(parents=True)
    parts = {}
    for split, layers in layers_by_split.items():
        units = read_annotated(data, split).units
        parts[split] = Part([unit.id for unit in units], [unit.label for unit in units], layers)
    write_layers(folder, parts, num_labels=len(LABELS))
    return folder
