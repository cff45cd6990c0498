"""A row of a task's data: its text and what is to be predicted from it."""

from dataclasses import dataclass

from layerscope.jobs.text.reading.choices import Choice


@dataclass(frozen=True)
class Row:
    """A text and what is to be predicted from it."""

    id: str
    """Where the row stands: the line on which it begins, or its number where there are no lines; from 1."""
    text: str
    label: str | None
    """None where no label column was asked for, or answers are given."""
    text_pair: str | None = None
    """The second text of a pair; None where no column for it was asked for."""
    choices: tuple[Choice, ...] | None = None
    """Names and texts, one of them the label's; None where no column for them was asked for."""
    answers: tuple[str, ...] | None = None
    """Texts of the choices that are right; None where no column for them was asked for."""
    placeholder: str | None = None
    """What in the second text stands for a choice."""
