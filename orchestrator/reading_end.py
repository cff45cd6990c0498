"""The other end of what is printed: whether anybody still reads it."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def unread_help_told() -> Iterator[None]:
    """End as a command does where nobody reads what typer itself prints, as --help; it would end with 1."""
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError) and (_is_discarded() or not _is_read()):
            raise SystemExit(ReaderGone.exit_code) from None
        raise


class ReadConsole(Console):
    """A console that says so when nobody reads it any more; rich would end the program with code 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich."""
        raise ReaderGone


def _is_discarded() -> bool:
    """Whether the output is the null device, which rich puts in place of a pipe that nobody reads."""
    return os.path.samestat(os.fstat(sys.stdout.fileno()), Path(os.devnull).stat())


def _is_read() -> bool:
    """Whether the other end of the output, if it is a pipe, is open."""
    ends = select.poll()
    ends.register(sys.stdout.fileno(), 0)
    return not ends.poll(0)
