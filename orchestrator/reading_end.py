"""The other end of what is printed: whether anybody still reads it."""

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from layerscope.orchestrator.errors import ReaderGone


@contextmanager
def reader_gone_told() -> Iterator[None]:
    """Raise ReaderGone in place of the error of an output that nobody reads; other pipes break as before."""
    try:
        yield
    except BrokenPipeError as error:
        if _is_read():
            raise
        raise ReaderGone from error


class ReadConsole(Console):
    """A console that says so when nobody reads it any more; rich would end the program with code 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich."""
        raise ReaderGone


def _is_read() -> bool:
    """Whether the other end of the output, if it is a pipe, is open."""
    ends = select.poll()
    ends.register(sys.stdout.fileno(), 0)
    return not ends.poll(0)
