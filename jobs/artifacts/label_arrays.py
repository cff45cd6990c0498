"""Stage results about the labels of a task: a record of arrays and label names in one file."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def write_record(path: Path, record: "DataclassInstance") -> None:
    """Write every field of a dataclass; the field `labels` has strings."""
    arrays = {field.name: np.asarray(getattr(record, field.name)) for field in fields(record)}
    np.savez(path, allow_pickle=True, **arrays)


def read_record(path: Path, kind: type[Record]) -> Record:
    """Read the written record as a dataclass of this kind."""
    with np.load(path) as file:
        arrays = {field.name: file[field.name] for field in fields(kind)}
    return kind(**arrays | {"labels": tuple(arrays["labels"].tolist())})
