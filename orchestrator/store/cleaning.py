"""Removes what a killed run left beside the artifacts."""

import os
import re
import shutil
import socket
from pathlib import Path

from layerscope.jobs.artifacts.record import RECORD
from layerscope.orchestrator.store.artifacts import Store


def remove_leftovers(store: Store) -> int:
    """Remove folders aside whose writer on this host is gone, and scratch of what is complete by now.

    Only for the run that holds the store. Returns how many folders there were.
    """
    leftovers = [path for path in (store.root / ".aside").glob("*") if _writer_is_gone(path)]
    leftovers += [path for path in (store.root / ".scratch").glob("*/*") if _is_complete(store, path)]
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return len(leftovers)


def _is_complete(store: Store, scratch: Path) -> bool:
    return (store.root / scratch.parent.name / scratch.name / RECORD).exists()


def _writer_is_gone(path: Path) -> bool:
    named = re.fullmatch(rf"[\w.]+-{re.escape(socket.gethostname())}-(\d+)-[0-9a-f]+(\.remains)?", path.name)
    if named is None:  # Of another host, or nothing of ours.
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
