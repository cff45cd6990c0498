"""A row of a task's data: its text and its target."""

from dataclasses import dataclass

from layerscope.jobs.text.reading.choices import Choice


@dataclass(frozen=True)
class Row:
    """A text and its target."""

    id: str
    """Position of the row: its first line, or its number in formats without lines; from 1."""
    text: str
    label: str | None
    """None if no label column was requested, or answers are given."""
    text_pair: str | None = None
    """The second text of a pair; None if no column for it was requested."""
    choices: tuple[Choice, ...] | None = None
    """Names and texts, one of them the label's; None if no column for them was requested."""
    answers: tuple[str, ...] | None = None
    """Texts of the correct choices; None if no column for them was requested."""
    placeholder: str | None = None
    """Placeholder for a choice in the second text."""
