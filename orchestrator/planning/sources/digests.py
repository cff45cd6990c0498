"""SHA-256 of large files, cached while size and modification time of the file are unchanged.

Reading 400 MB of weights takes one to two seconds, and every plan needs their digest.
"""

import hashlib
import json
import os
import time
from pathlib import Path

Entry = tuple[int, int, str]
"""Size, time of change in nanoseconds, and digest of a file."""
SETTLED_SECONDS = 2.0
"""A file that changed this recently is not cached: another change could have the same time."""


def sha256_of(path: Path, *, memory: Path | None = None) -> str:
    """64 hexadecimal digits.

    Args:
        memory: JSON file of digests known from earlier calls, made where it is not there; without it, or
            where it cannot be written, the file is read.
    """
    status = path.stat()
    known = _known(memory)
    state = (status.st_size, status.st_mtime_ns)
    *remembered, digest = known.get(str(path.resolve()), (0, 0, ""))
    if tuple(remembered) == state:
        return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if memory is not None and time.time() - status.st_mtime > SETTLED_SECONDS:
        _remember(memory, known | {str(path.resolve()): (*state, digest)})
    return digest


def _known(memory: Path | None) -> dict[str, Entry]:
    if memory is None or not memory.is_file():
        return {}
    try:
        known: dict[str, Entry] = json.loads(memory.read_text(encoding="utf-8"))
    except ValueError:  # Only a shortcut: one that cannot be read is written anew.
        return {}
    return known


def _remember(memory: Path, known: dict[str, Entry]) -> None:
    aside = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        aside.replace(memory)
    except OSError:  # A place that cannot be written costs time, and is reported by those who must write.
        return
