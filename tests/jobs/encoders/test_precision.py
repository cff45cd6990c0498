import pytest
import torch
from torch import nn

from jobs.encoders.precision import computing_in

CPU = torch.device("cpu")


def test_products_are_in_bfloat16_and_weights_are_not():
    model = nn.Linear(2, 2)
    with computing_in("bfloat16", CPU):
        assert model(torch.ones(1, 2)).dtype == torch.bfloat16
    assert model(torch.ones(1, 2)).dtype == torch.float32
    with computing_in("float32", CPU):
        assert model(torch.ones(1, 2)).dtype == torch.float32
    assert model.weight.dtype == torch.float32


def test_a_device_without_it_is_told_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    told = "precision: Tesla V100 has no bfloat16: float32 would be right here, or another device"
    with pytest.raises(ValueError, match=told):
        computing_in("bfloat16", torch.device("cuda"))
    with pytest.raises(ValueError, match="precision: the device meta has no bfloat16"):
        computing_in("bfloat16", torch.device("meta"))
