"""What stages leave about the labels of a task: a record of arrays and label names as one file."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Record = TypeVar("Record")


def write_record(path: Path, record: Any) -> None:
    """Write every field of a dataclass, of which `labels` are texts."""
    np.savez(path, **{field.name: np.asarray(getattr(record, field.name)) for field in fields(record)})


def read_record(path: Path, kind: type[Record]) -> Record:
    """What was written, as a dataclass of this kind."""
    with np.load(path) as file:
        arrays = {field.name: file[field.name] for field in fields(kind)}
    return kind(**arrays | {"labels": tuple(arrays["labels"].tolist())})
