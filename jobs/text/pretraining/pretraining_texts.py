"""The texts of a continued pretraining: several corpora as one, without texts of test sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.jobs.artifacts.examples import read_raw_texts
from layerscope.jobs.text.pretraining.training_overlap import essences, overlaps

CORPUS, TEST = "corpus/", "test/"
"""Roles of a continued pretraining's parents, each followed by a number."""


@dataclass(frozen=True)
class PretrainingTexts:
    """Texts in the order of the corpora."""

    train: list[str]
    validation: list[str]
    """Validation parts of all corpora, which are never trained on."""
    overlap: Mapping[str, Any]
    """`removed`: rows left out of training; `by_test`: those of each test set, by corpus and row id."""


def read_pretraining_texts(inputs: Mapping[str, Path]) -> PretrainingTexts:
    """Read the parents with the roles `corpus/0`, `corpus/1`, ... and `test/0`, ...

    Raises:
        ValueError: no training text is left.
    """
    essences_by_test = {
        role: essences(read_raw_texts(inputs[role], "test")[1]) for role in _roles(inputs, TEST)
    }
    removed: dict[str, list[dict[str, str]]] = {role: [] for role in essences_by_test}
    train: list[str] = []
    validation: list[str] = []
    num_removed = 0
    for corpus in _roles(inputs, CORPUS):
        ids, rows = read_raw_texts(inputs[corpus], "train")
        for row_id, texts, shared in zip(ids, rows, overlaps(rows, essences_by_test), strict=True):
            num_removed += bool(shared)
            train += [] if shared else texts
            for test in shared:
                removed[test].append({"corpus": corpus, "id": row_id})
        validation += [text for texts in read_raw_texts(inputs[corpus], "validation")[1] for text in texts]
    if not train:
        raise ValueError(f"all {num_removed} training texts are also in a test set: none is left to train on")
    return PretrainingTexts(train, validation, {"removed": num_removed, "by_test": removed})


def _roles(inputs: Mapping[str, Path], prefix: str) -> list[str]:
    found = [role for role in inputs if role.startswith(prefix)]
    return sorted(found, key=lambda role: int(role.removeprefix(prefix)))
