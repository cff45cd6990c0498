"""Errors in the configuration, each with its place; all are reported at once."""

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
class Fault:
    """What is wrong at a place; `path` is dotted, as in an override."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        already_named = self.place.line is None and self.path in self.place.source
        return f"{self.place}: {self.message}" if already_named else self._in_full()

    def _in_full(self) -> str:
        return ": ".join(part for part in (str(self.place), self.path, self.message) if part)


def refuse(faults: Iterable[Fault]) -> None:
    """Raises one ConfigurationError with one line per fault, or returns if there is none.

    Of several faults of a value only the first is reported. Files come before the command line.
    """
    first = {}
    for fault in faults:
        first.setdefault((fault.place, fault.path), fault)
    if first:
        raise ConfigurationError("\n".join(map(str, sorted(first.values(), key=_order))))


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is close."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _order(fault: Fault) -> tuple[bool, str, int, int]:
    place = fault.place
    return place.line is None, place.source, place.line or 0, place.column or 0
