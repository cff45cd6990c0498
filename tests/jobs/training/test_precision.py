import pytest
import torch
from torch import nn

from layerscope.jobs.training.precision import (
    CPU_CAPABILITIES,
    computing_in,
    has_bfloat16,
    say_that_it_is_emulated,
)

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


@pytest.mark.parametrize(
    ("capabilities", "has"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": True}, True),
        ({"architecture": "x86_64", "amx_tile": True, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, False),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, True),
        ({"architecture": "s390x"}, False),
    ],
    ids=lambda value: None if isinstance(value, bool) else "-".join(map(str, value)),
)
def test_a_cpu_that_only_emulates_it_says_so_once_and_computes(monkeypatch, caplog, capabilities, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    say_that_it_is_emulated.cache_clear()
    assert has_bfloat16(CPU) == has
    computing_in("float32", CPU)
    assert not caplog.messages
    for _ in range(2):
        with computing_in("bfloat16", CPU):
            assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    assert len(caplog.messages) == (not has)
    assert has or "this CPU has no instructions for bfloat16 and emulates it" in caplog.text


def test_the_cpu_of_this_machine_is_asked_by_names_that_torch_knows():
    known = torch.cpu.get_capabilities()
    names = {"x86_64": {"avx512_bf16", "amx_bf16"}, "aarch64": {"bf16"}, "arm64": {"bf16"}}
    assert names.get(known["architecture"], set()) <= known.keys() & set(CPU_CAPABILITIES)
