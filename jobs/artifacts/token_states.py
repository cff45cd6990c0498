"""States of every token on disk: one safetensors file per split, written and read in parts.

Axes: N texts, T tokens (of all texts in `states`, of the longest text in a batch), B texts of a batch,
D features.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch.nn.utils.rnn import pad_sequence

STATES, OFFSETS = "states", "offsets"
ABOUT = "features.json"


def write_tokens(
    folder: Path, split: str, parts: Iterable[np.ndarray], *, lengths: Sequence[int], width: int
) -> None:
    """Write `states` (all tokens, D) float16 of a split part by part, and `offsets` (N + 1).

    The library only writes whole tensors. The header is known beforehand, so the rows can be appended part by
    part (the format: eight bytes with the header's length, the header as JSON, the data).

    Args:
        parts: Rows of consecutive texts, (tokens, D) each, all texts in order.
    """
    offsets_N = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    border = int(offsets_N[-1]) * width * np.dtype("<f2").itemsize
    header = {
        STATES: {"dtype": "F16", "shape": [int(offsets_N[-1]), width], "data_offsets": [0, border]},
        OFFSETS: {
            "dtype": "I64",
            "shape": [len(offsets_N)],
            "data_offsets": [border, border + offsets_N.nbytes],
        },
    }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with _path(folder, split).open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        begin = file.tell()
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype="<f2").data)
        assert file.tell() - begin == border, "the parts are not the texts that were announced"
        file.write(offsets_N.astype("<i8").data)


def write_about_tokens(folder: Path, *, layers: Sequence[int], dropout: float) -> None:
    """Write the layers of the states, and the dropout of a head on this encoder."""
    content = {"layers": layers, "dropout": dropout}
    (folder / ABOUT).write_text(json.dumps(content), encoding="utf-8")


def read_dropout(folder: Path) -> float:
    """The dropout of a head on the encoder of these states."""
    dropout: float = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["dropout"]
    return dropout


class TokenStates:
    """The states of one split, read on demand."""

    def __init__(self, folder: Path, split: str) -> None:
        self._file = safe_open(_path(folder, split), framework="pt")
        self._states = self._file.get_slice(STATES)
        self._offsets = self._file.get_tensor(OFFSETS).tolist()
        self.width = self._states.get_shape()[1]
        self.lengths = [end - begin for begin, end in zip(self._offsets, self._offsets[1:], strict=False)]
        """Number of tokens of each text."""

    def text(self, row: int) -> torch.Tensor:
        """States (T, D) of one text."""
        states_TD: torch.Tensor = self._states[self._offsets[row] : self._offsets[row + 1]]
        return states_TD

    def padded(self, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """States (B, T, D) in float32, zero-padded, and a mask (B, T) that is 1 on tokens."""
        states = [self.text(row).float() for row in rows]
        masks = [torch.ones(len(one), dtype=torch.int64) for one in states]
        return pad_sequence(states, batch_first=True), pad_sequence(masks, batch_first=True)


def _path(folder: Path, split: str) -> Path:
    return folder / f"{split}.safetensors"
