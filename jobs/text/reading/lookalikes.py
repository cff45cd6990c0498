"""Labels that look the same but differ: they would silently become two classes."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping

from layerscope.jobs.text.reading.data_faults import listed

INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
"""Characters that take no room: soft hyphen, spaces of no width, marks of direction and of byte order."""


def refuse_lookalikes(place_by_label: Mapping[str, str]) -> None:
    """Raise ValueError where labels differ in nothing that can be seen.

    Args:
        place_by_label: Where each label occurs first, as file:row.
    """
    first_by_looks: dict[str, str] = {}
    faults = []
    for label, place in place_by_label.items():
        first = first_by_looks.setdefault(_looks(label), label)
        if first != label:
            faults.append(
                f"{place}: label {ascii(label)} looks like {ascii(first)} of {place_by_label[first]}, and is "
                f"another one: they differ in {_difference(label, first)}; write one of them throughout"
            )
    if faults:
        raise ValueError(listed(faults))


def alike(labels: Iterable[str]) -> Iterator[str]:
    """Notes on labels that differ only in case, or are two spellings of one number: they may be meant to be
    the same."""
    for how, key in (("differ only in upper and lower case", str.casefold), ("are the same number", _number)):
        groups: dict[object, list[str]] = {}
        for label in labels:
            groups.setdefault(key(label), []).append(label)
        for same in groups.values():
            if len(same) > 1 and key(same[0]) is not None:
                yield f"labels {', '.join(map(repr, same))} {how}, and are {len(same)} labels"


def nearest(label: str, known: Iterable[str]) -> str:
    """A known label similar to an unknown one; empty if there is none."""
    for key in (_looks, lambda text: _looks(text).casefold(), _number):
        like = [other for other in known if key(other) is not None and key(other) == key(label)]
        if like:
            return f"; {like[0]!r} does"
    return ""


def _looks(label: str) -> str:
    return " ".join(INVISIBLE.sub("", unicodedata.normalize("NFC", label)).split())


def _number(label: str) -> float | None:
    if not re.fullmatch(r"[+-]?\d+(\.\d*)?", label.strip(), re.ASCII):
        return None
    return float(label)


def _difference(label: str, other: str) -> str:
    same: dict[str, Callable[[str], str]] = {
        "white space": lambda text: " ".join(text.split()),
        "how accents are written (Unicode's NFC and NFD)": lambda text: unicodedata.normalize("NFC", text),
        "characters that take no room": lambda text: INVISIBLE.sub("", text),
    }
    found = [what for what, without in same.items() if without(label) == without(other)]
    return found[0] if found else " and ".join(same)
