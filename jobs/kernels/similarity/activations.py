"""Layers of activations for kernels: checked, paired by row, and centred a few rows at a time.

Axes: N examples, D features.

Columns are centred in float64 before multiplication. The [CLS] vectors of an encoder can differ by as little
as a millionth of their mean, which products of uncentred float32 values lose. A layer is never copied whole:
its rows are centred when they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROWS = 512
"""Rows held in float64 at once."""


@dataclass(frozen=True)
class CentredLayer:
    """A layer with columns of mean 0 and Frobenius norm 1, or all 0 if it is constant.

    Similarities do not depend on the scale, but without scaling the products could overflow or underflow.
    """

    values_ND: np.ndarray
    """The values as passed in, not centred."""
    mean_D: np.ndarray
    scale: float
    """Factor that scales the centred layer to norm 1; 0 for a layer that is the same for all examples."""

    @property
    def num_examples(self) -> int:
        return len(self.values_ND)

    @property
    def width(self) -> int:
        return int(self.values_ND.shape[1])

    @property
    def is_constant(self) -> bool:
        return self.scale == 0

    def rows(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows start..stop, centred and scaled, in float32."""
        stop = self.num_examples if stop is None else min(stop, self.num_examples)
        rows_ND = np.empty((stop - start, self.width), dtype=np.float32)
        self.read_into(rows_ND, start)
        return rows_ND

    def read_into(self, rows_ND: np.ndarray, start: int) -> None:
        """Fill an array with centred and scaled rows from `start` on."""
        for at in range(0, len(rows_ND), _ROWS):
            part = rows_ND[at : at + _ROWS]
            centred = np.subtract(
                self.values_ND[start + at : start + at + len(part)], self.mean_D, dtype=np.float64
            )
            np.multiply(centred, self.scale, out=part, casting="same_kind")

    def square_norms(self) -> np.ndarray:
        """Squared norms of the rows: float64 (N,). They sum to 1."""
        squares_N = np.empty(self.num_examples)
        for at in range(0, self.num_examples, _ROWS):
            rows = self.rows(at, at + _ROWS).astype(np.float64)
            squares_N[at : at + len(rows)] = np.einsum("nd,nd->n", rows, rows)
        return squares_N


def centred_pair(
    layers_a: Sequence[np.ndarray], layers_b: Sequence[np.ndarray] | None
) -> tuple[list[CentredLayer], list[CentredLayer]]:
    """Both sides, centred; the second *is* the first object if `layers_b` is None.

    Raises ValueError for no layers, shapes other than (N, D), N < 2, different N, and values that are not
    finite.
    """
    named = [(f"layers_a[{index}]", np.asarray(layer)) for index, layer in enumerate(layers_a)]
    if layers_b is not None:
        named += [(f"layers_b[{index}]", np.asarray(layer)) for index, layer in enumerate(layers_b)]
    if not len(layers_a) or (layers_b is not None and not len(layers_b)):
        raise ValueError("similarity needs at least one layer on each side.")
    first_name, first = named[0]
    for name, layer in named:
        check_layer(name, layer)
        if len(layer) < 2:
            raise ValueError(
                f"{name} must be (examples, features) with 2 examples or more, got {layer.shape}."
            )
        if len(layer) != len(first):
            raise ValueError(
                f"{name} has {len(layer)} examples and {first_name} has {len(first)}: "
                "all layers must have the same examples in the same order."
            )
    centred = [_centred(name, layer) for name, layer in named]
    a = centred[: len(layers_a)]
    return a, a if layers_b is None else centred[len(layers_a) :]


def check_layer(name: str, layer: np.ndarray) -> None:
    """Raises ValueError unless the shape is (examples, features) and not empty."""
    if layer.ndim != 2 or not all(layer.shape):
        raise ValueError(f"{name} must be (examples, features), got {layer.shape}.")


def check_paired(ids_a: Sequence[str], ids_b: Sequence[str]) -> None:
    """Check that the rows of two sides are the same examples in the same order.

    Raises ValueError that names the first difference, or a duplicate id: rows could be paired in two ways.
    """
    what = "the rows of the two sides are not the same examples in the same order"
    for row, (id_a, id_b) in enumerate(zip(ids_a, ids_b, strict=False)):
        if id_a != id_b:
            raise ValueError(f"{what}: row {row} is {id_a!r} on one side and {id_b!r} on the other.")
    if len(ids_a) != len(ids_b):
        more = ids_a if len(ids_a) > len(ids_b) else ids_b
        row = min(len(ids_a), len(ids_b))
        raise ValueError(
            f"{what}: there are {len(ids_a)} and {len(ids_b)} rows; row {row}, {more[row]!r}, has no partner."
        )
    row_by_id: dict[str, int] = {}
    for row, example in enumerate(ids_a):
        if row_by_id.setdefault(example, row) != row:
            raise ValueError(f"duplicate example {example!r} in rows {row_by_id[example]} and {row}.")


def is_rounding(spread: float, mean_norm: float, num_examples: int, dtype: np.dtype) -> bool:
    """Whether a spread (the Frobenius norm of centred rows) may be only the rounding of a constant.

    A stored value has a relative error up to eps / 2, so a spread up to eps times the mean is not
    significant. Activations have at most float32 precision, whatever their type.
    """
    precision = float(np.finfo(np.float32).eps)
    if np.issubdtype(dtype, np.floating):
        precision = max(precision, float(np.finfo(dtype).eps))
    return bool(spread <= precision * np.sqrt(num_examples) * mean_norm)


def _centred(name: str, layer_ND: np.ndarray) -> CentredLayer:
    with np.errstate(invalid="ignore"):  # inf - inf; reported below
        mean_D = layer_ND.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean_D).all():
        raise ValueError(f"{name} has values that are not finite.")
    squares = 0.0
    for at in range(0, len(layer_ND), _ROWS):
        centred = np.subtract(layer_ND[at : at + _ROWS], mean_D, dtype=np.float64)
        squares += float(np.vdot(centred, centred))
    spread = np.sqrt(squares)
    is_constant = is_rounding(spread, float(np.linalg.norm(mean_D)), len(layer_ND), layer_ND.dtype)
    return CentredLayer(layer_ND, mean_D, 0.0 if is_constant else 1 / spread)
