"""Removes what a killed run left beside the artifacts."""

import os
import shutil
import socket
from pathlib import Path

from orchestrator.store.artifacts import Store


def remove_leftovers(store: Store) -> int:
    """Remove folders aside whose writer on this host is gone; returns how many."""
    leftovers = [path for path in (store.root / ".aside").glob("*") if _writer_is_gone(path)]
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return len(leftovers)


def _writer_is_gone(path: Path) -> bool:
    key_and_host, process, _ = path.name.rsplit("-", 2)
    if key_and_host.split("-", 1)[1] != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
