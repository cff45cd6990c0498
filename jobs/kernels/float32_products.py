"""Products of float32 matrices at the full speed of a processor."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

_ROUNDING = 1e-5
"""Largest error of a product, in parts of its largest entry, that float32 explains: sums of 256 terms were
seen 1e-6 off. Of factors rounded to bfloat16 it is 5e-4."""


@contextmanager
def fast_float32_products() -> Iterator[None]:
    """Inside, torch multiplies float32 matrices on the processor by oneDNN wherever that is still float32.

    By default they go to MKL, which leaves half of the vector width of an AMD processor alone: 105 against
    245 GFLOP/s on one core of family 26. torch hands them to oneDNN where it is permitted to compute in
    bfloat16, a permission of which oneDNN makes use on tile units (AMX) only. So it is given where products
    under it are seen to be right to float32, and nothing changes elsewhere.
    """
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set when torch is imported
    before = settings.fp32_precision
    settings.fp32_precision = "bf16" if permission_leaves_float32() else before
    try:
        yield
    finally:
        settings.fp32_precision = before


@cache
def permission_leaves_float32() -> bool:
    """Whether products under the permission are seen to be right to float32; tried once in a process."""
    if not torch.backends.mkldnn.is_available():
        return False
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # as above
    before = settings.fp32_precision
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(2, 256, 256, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()
    settings.fp32_precision = "bf16"
    try:
        products = left @ right, torch.stack([left[0] @ right[0], left[1] @ right[1]])
    finally:
        settings.fp32_precision = before
    return all(float((product - exact).abs().max() / exact.max()) < _ROUNDING for product in products)
