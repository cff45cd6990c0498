"""Python files of the user's own that an experiment names: run, and the value that they define is taken.

A file is keyed by its sha256; it is run only as it was when the run was planned.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Source:
    """Where the value is."""

    path: Path
    entry_point: str | None = None
    """`module:attribute` of an installed package; none where the file is loaded by itself."""


def digest_of(path: Path) -> str:
    """sha256 of a file, 64 hexadecimal digits."""
    return sha256(path.read_bytes()).hexdigest()


def load_value(source: Source, attribute: str, *, digest: str | None = None) -> Any:
    """Run the file, and return the value of an attribute; None if it defines none.

    Args:
        digest: sha256 that the file must have.

    Raises:
        ValueError: the file cannot be run, with its line, or has changed since the run was planned.
    """
    if digest is not None and digest_of(source.path) != digest:
        raise ValueError(f"{source.path} has changed since the run was planned: run it again")
    with naming_lines_of(source.path):
        return _attribute(source, attribute)


@contextmanager
def naming_lines_of(path: Path) -> Iterator[None]:
    """Whatever the file raises becomes a ValueError that names its last executed line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{_place(path, error)}: {type(error).__name__}: {error}") from error


def _attribute(source: Source, attribute: str) -> Any:
    if source.entry_point is not None:
        module, _, named = source.entry_point.partition(":")
        return getattr(import_module(module), named or attribute, None)
    name = f"layerscope_plugin_{digest_of(source.path)[:16]}"
    specification = spec_from_file_location(name, source.path)
    if specification is None or specification.loader is None:
        raise ValueError("not a Python file: its name must end with .py")
    loaded = module_from_spec(specification)
    sys.modules[name] = loaded
    specification.loader.exec_module(loaded)
    return getattr(loaded, attribute, None)


def _place(path: Path, error: Exception) -> str:
    """The file and the last line of it that was run."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{path}:{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)
