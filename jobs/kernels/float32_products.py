"""Products of float32 matrices at the full speed of a processor."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

_ROUNDING = 1e-5
"""Largest relative error of a product (by its largest entry) that float32 explains: 1e-6 was observed for
sums of 256 terms. Factors rounded to bfloat16 give 5e-4."""


@contextmanager
def fast_float32_products() -> Iterator[None]:
    """Context in which torch multiplies float32 matrices on the CPU with oneDNN, if that still is float32.

    The default is MKL, which uses half of the vector width of an AMD processor: 105 against 245 GFLOP/s on
    one core of family 26. torch uses oneDNN if it may compute in bfloat16, a permission that oneDNN uses only
    on tile units (AMX). So the permission is given only if a test product under it has float32 accuracy.
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
    """Whether test products under the permission have float32 accuracy; tested once per process."""
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
