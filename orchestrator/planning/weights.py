"""The names of the weights in an encoder's folder, without loading them."""

import json
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""The first kind that is there counts."""
PICKLES_OF_OLD_FILES = 4
"""Of which the last has the names: before version 1.6 PyTorch wrote no zip archive."""


def weight_names(folder: Path) -> set[str]:
    """Names of all weights; of pickled ones, every word in the pickle, of which nothing is run."""
    files = next(filter(None, (sorted(folder.glob(pattern)) for pattern in WEIGHTS)), [])
    return {name for file in files for name in (_stored if file.suffix == ".safetensors" else _pickled)(file)}


def _stored(file: Path) -> Iterator[str]:
    """A safetensors file begins with the length of a JSON header, in eight bytes, and the header."""
    with file.open("rb") as opened:
        yield from json.loads(opened.read(int.from_bytes(opened.read(8), "little")))


def _pickled(file: Path) -> Iterator[str]:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            yield from _words(archive.read(name))
    else:
        with file.open("rb") as opened:
            for _ in range(PICKLES_OF_OLD_FILES):
                yield from _words(opened)


def _words(pickle: bytes | BinaryIO) -> Iterator[str]:
    yield from (word for _, word, _ in pickletools.genops(pickle) if isinstance(word, str))
