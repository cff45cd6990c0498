"""The answers of a row with choices, of which several may be right, and how near each choice comes to them.

An answer is identified by its text: in ReCoRD (Zhang et al. 2018) each form of the entity in the passage is
one. Texts are compared as by its official evaluation, which is SuperGLUE's: without case,
punctuation and articles, against the answer that suits best.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.jobs.artifacts.tokenised import Answers
from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.text.reading.choices import choices_of
from layerscope.jobs.text.reading.data_faults import lacking
from layerscope.jobs.text.reading.row_faults import unwritable


def answers_of(choices: Sequence[str], answers: Sequence[str]) -> Answers:
    """Of the texts of a row's choices, against those of its answers."""
    wanted = [_words_of(answer) for answer in answers]
    offered = [_words_of(choice) for choice in choices]
    return Answers(
        tuple(place for place, words in enumerate(offered) if words in wanted),
        tuple(max(_token_f1(words, answer) for answer in wanted) for words in offered),
    )


def answer_fault(fields: Mapping[str, Any], columns: Columns) -> str | None:
    """What is wrong with the answers of a row in whose choices `choice_fault` found nothing."""
    assert columns.answers is not None
    answers = fields.get(columns.answers)
    if answers is None or answers in ("", []):
        return f"no answers{lacking(columns.answers, fields)}"
    if not isinstance(answers, list):
        return f"answers of type {type(answers).__name__}, not a list"
    for answer in answers:
        if not isinstance(answer, str) or not answer.strip():
            return f"answer {answer!r} is no text"
        if reason := unwritable("answer", answer):
            return reason
    choices = [text for _, text in choices_of(fields, columns)]
    if not answers_of(choices, answers).right:
        return f"none of the answers {_listed(answers)} is among the choices {_listed(choices)}"
    return None


def placeholder_fault(columns: Columns, text_pair: str) -> str | None:
    """What is wrong with the second text of a row whose choices stand in it."""
    if columns.placeholder is None or columns.placeholder in text_pair:
        return None
    return f"second text without {columns.placeholder!r}, in whose place a choice is read"


def _words_of(text: str) -> list[str]:
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _token_f1(words: Sequence[str], answer: Sequence[str]) -> float:
    num_shared = (Counter(words) & Counter(answer)).total()
    return 2 * num_shared / (len(words) + len(answer)) if num_shared else 0.0


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(map(repr, texts[:8]))
    return shown if len(texts) <= 8 else f"{shown}, ... ({len(texts)})"
