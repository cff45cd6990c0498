"""The folder in which a Ray that is started here has its sockets and logs."""

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from layerscope.orchestrator.errors import PrerequisiteMissing

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path."""
LONGEST_FOLDER = LONGEST_SOCKET - len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
SYSTEM_FOLDER = Path("/tmp")

log = logging.getLogger(__name__)


def folder_for_ray(environment: Mapping[str, str], *, system_folder: Path = SYSTEM_FOLDER) -> Path:
    """`ray` in $RAY_TMPDIR, $TMPDIR or the system's folder, as Ray itself has it; where a socket cannot be
    there, and RAY_TMPDIR does not name it, one of the user's own in the system's folder.

    Batch systems give each job a TMPDIR, often with a path too long for a socket.

    Raises:
        PrerequisiteMissing: none of them will do.
    """
    named = next((name for name in ("RAY_TMPDIR", "TMPDIR") if environment.get(name)), None)
    first = (Path(environment[named]) if named else system_folder).absolute() / "ray"
    fault = _fault(first)
    if fault is None:
        return first
    told = f"{named or 'Ray'}: {fault}"
    advice = f"let RAY_TMPDIR name a folder that can be written, of at most {LONGEST_FOLDER - 4} bytes"
    if named == "RAY_TMPDIR":
        raise PrerequisiteMissing(f"{told}; {advice}")
    own = system_folder / f"ray-{os.getuid()}"
    if other := _fault(own):
        raise PrerequisiteMissing(f"{told}; {other}; {advice}")
    log.warning("%s; Ray's sockets, logs and temporary files are in %s", told, own)
    return own


def _fault(folder: Path) -> str | None:
    """Why Ray cannot have its sockets in a folder; None where it can."""
    if (length := len(os.fsencode(folder))) > LONGEST_FOLDER:
        return f"{folder} is too long for sockets: {length} bytes, at most {LONGEST_FOLDER}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror or error}"
