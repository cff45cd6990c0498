"""Products under the permission: float32 still, and the setting is given back."""

import pytest
import torch

from layerscope.jobs.kernels import float32_products
from layerscope.jobs.kernels.float32_products import fast_float32_products

SETTINGS = torch.backends.mkldnn.matmul


@pytest.fixture(autouse=True)
def forget_answer():
    float32_products.permission_leaves_float32.cache_clear()
    yield
    float32_products.permission_leaves_float32.cache_clear()


@pytest.mark.parametrize("shape", [(200, 384, 256), (200, 384, 2048), (7, 5, 3)])
def test_products_are_right_to_float32(shape):
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(size, generator=generator) for size in ((rows, inner), (inner, columns)))
    exact = left.double() @ right.double()
    with fast_float32_products():
        error = float((left @ right - exact).abs().max() / exact.abs().max())
        transposed = float(((right.T @ left.T).T - exact).abs().max() / exact.abs().max())
    # Factors rounded to bfloat16 would give more than 1e-3.
    assert max(error, transposed) < 1e-5


def test_the_setting_is_given_back_whatever_happens():
    before = SETTINGS.fp32_precision
    with pytest.raises(KeyError), fast_float32_products():
        raise KeyError
    assert SETTINGS.fp32_precision == before


def test_no_permission_where_products_would_be_rounded(monkeypatch):
    """As on a processor with tile units, played by factors that are rounded."""
    monkeypatch.setattr(torch, "rand", lambda *size, generator: _Rounded(torch.randn(size).abs()))
    assert not float32_products.permission_leaves_float32()
    before = SETTINGS.fp32_precision
    with fast_float32_products():
        assert SETTINGS.fp32_precision == before


class _Rounded:
    def __init__(self, values):
        self.values = values

    def double(self):
        return self.values.double()

    def __getitem__(self, index):
        return _Rounded(self.values[index])

    def __matmul__(self, other):
        return (self.values.bfloat16() @ other.values.bfloat16()).float()
