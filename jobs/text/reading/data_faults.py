"""What is wrong with data files and their rows, in words."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

MAX_FAULTS = 10
"""Maximum faults listed in a message; the others are counted."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Fault:
    """Stands for a row that could not be read."""

    reason: str


@dataclass(frozen=True)
class Note:
    """A warning about a file."""

    reason: str


class Noted(NamedTuple, Generic[Found]):
    """Content of a file, and warnings about it."""

    found: list[Found]
    notes: tuple[str, ...]


def existing(path: Path) -> Path:
    """The path; raises a ValueError that lists what exists instead."""
    if path.exists():
        return path
    if "\\" in str(path) and (other := Path(str(path).replace("\\", "/"))).exists():
        raise ValueError(f"{path}: no such file; folders are parted by / here: {other}")
    beside = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else None
    there = (
        "no such folder either" if beside is None else f"in its folder are {', '.join(beside) or 'no files'}"
    )
    raise ValueError(f"{path}: no such file; {there}")


def listed(faults: Sequence[str]) -> str:
    """A line for each of the first `MAX_FAULTS`."""
    more = [f"... and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
    return "\n  ".join([*faults[:MAX_FAULTS], *more])


def lacking(column: str, fields: Iterable[str]) -> str:
    """Lists the existing columns if a column is missing; empty if it exists without a value."""
    there = list(fields)
    if column in there:
        return ""
    same = [name for name in there if name.strip().casefold() == column.strip().casefold()]
    similar = same or difflib.get_close_matches(column, there, n=1)
    question = f"; did you mean {similar[0]!r}?" if similar else ""
    return f": there is no column {column!r} among {', '.join(there) or 'none'}{question}"


def twice(names: Iterable[str]) -> str | None:
    """The first name that occurs a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
