"""What is remembered on this machine: files under `~/.cache/layerscope` (`$XDG_CACHE_HOME`).

A folder that cannot be written costs time and nothing else.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path


def cache_folder() -> Path:
    """The folder of this user; a relative path is none, as the XDG specification says.

    Raises:
        RuntimeError: this user has no home.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "layerscope"


def path_of(kind: str, *parts: str, libraries: Sequence[str]) -> Path:
    """The file for something that follows from the parts and from the versions of the libraries."""
    names = [*(f"{name} {version(name)}" for name in libraries), *parts]
    return cache_folder() / kind / hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


def kept(path: Path) -> str | None:
    """What is kept there; none where nothing is."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def keep(path: Path, content: str) -> None:
    """Write a file whole, or not at all."""
    aside = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(content, encoding="utf-8")
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink()
