"""Faults with their places in what was written; all of them are reported at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from layerscope.orchestrator.errors import ConfigurationError


@dataclass(frozen=True)
class Place:
    """A line and column (from 1) of a file, or something of the command line, which has neither."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class PlacedFault:
    """What is wrong at a place; `path` is dotted, as in an override."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        is_named = self.place.line is None and self.path in self.place.source
        parts = (str(self.place), "" if is_named else self.path, self.message)
        return ": ".join(filter(None, parts))


def refuse(faults: Iterable[PlacedFault]) -> None:
    """Raises one ConfigurationError with one line per fault, or returns if there is none.

    Of several faults of a value only the first is reported. Files come before the command line.
    """
    first: dict[tuple[Place, str], PlacedFault] = {}
    for fault in faults:
        first.setdefault((fault.place, fault.path), fault)
    if first:
        raise ConfigurationError("\n".join(map(str, sorted(first.values(), key=_order))))


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is close."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _order(fault: PlacedFault) -> tuple[bool, str, int, int]:
    place = fault.place
    return place.line is None, place.source, place.line or 0, place.column or 0
