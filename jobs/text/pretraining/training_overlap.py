"""Finds training texts that are also in a test set, so that no encoder is trained on them."""

from collections.abc import Iterable, Mapping, Sequence, Set


def essence(text: str) -> str:
    """Letters and digits only, case folded: equal for copies of a text."""
    return "".join(filter(str.isalnum, text.casefold()))


def essences(rows: Iterable[Sequence[str]]) -> frozenset[str]:
    """The essences of all texts of some rows; a text without letters and digits has none."""
    return frozenset(found for texts in rows for text in texts if (found := essence(text)))


def overlaps(
    rows: Iterable[Sequence[str]], essences_by_test: Mapping[str, Set[str]]
) -> list[tuple[str, ...]]:
    """For each row the test sets that have one of its texts; most have none."""
    everywhere = frozenset().union(*essences_by_test.values())
    found = []
    for texts in rows:
        shared = essences([texts]) & everywhere
        found.append(tuple(test for test, known in essences_by_test.items() if shared & known))
    return found
