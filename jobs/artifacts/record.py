"""The record of an artifact, written last: an artifact with a record is complete."""

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = "record.json"


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record atomically: a reader sees all of it or nothing, also after a crash."""
    write_whole(folder / RECORD, json.dumps(record, indent=1))


def read_record(folder: Path) -> dict[str, Any]:
    """Kind, key, spec, keys of the parents, metrics and provenance of a complete artifact."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def read_metrics(folder: Path) -> dict[str, float]:
    """The summary metrics of an artifact; empty while it is not complete."""
    return read_record(folder)["metrics"] if (folder / RECORD).exists() else {}


def write_whole(path: Path, text: str) -> None:
    """Write a small file atomically: a reader sees all of it or nothing, also after a crash."""
    aside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
