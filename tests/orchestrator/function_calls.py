"""How often the functions of some modules are called while something is done."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any


@contextmanager
def counted_calls(*modules: ModuleType) -> Iterator[Counter]:
    """The calls by name; those of comprehensions and of what is written in C are not among them."""
    counts: Counter = Counter()
    files = {module.__file__ for module in modules}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename in files and not code.co_name.startswith("<"):
            counts[code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield counts
    finally:
        sys.setprofile(before)
