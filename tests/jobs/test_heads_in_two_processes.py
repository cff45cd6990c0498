"""Heads that read layers and windows in every way: two gloo processes train as one does."""

import json

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import finetune
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.encoders.head_files import load_classifier
from layerscope.jobs.text.tokenising.inputs import inputs_of
from tests.jobs.tiny import (
    NO_DROPOUT,
    finetune_spec,
    make_context,
    planted_windows,
    write_pooler,
    write_rows,
)
from tests.jobs.two_processes import METRICS, Case, train_together

pytestmark = pytest.mark.slow

LAYERS = [("last", None), ((1, 2), "concat"), ((1, 2), "mean"), ((1, 2), "max"), (1, None)]
WINDOWS = ["mean", "max", "attention", "logits", "vote"]
POOLINGS = {"cls": 0, "mean": 2, "last": 3}
"""Each reads all of these layers and windows, but each way of windows with other layers than the others."""


def _heads() -> dict[str, dict[str, object]]:
    heads = [
        (pooling, *layers, WINDOWS[(place + shift) % len(WINDOWS)])
        for pooling, shift in POOLINGS.items()
        for place, layers in enumerate(LAYERS)
    ]
    heads += [("pooler", "last", None, window_pooling) for window_pooling in WINDOWS]
    fields = ("pooling", "layers", "layer_pooling", "window_pooling")
    return {"-".join(map(str, head)).replace(" ", ""): dict(zip(fields, head, strict=True)) for head in heads}


HEADS = _heads()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    # Windows differ enough for the attention to have gradients that are more than rounding errors.
    encoder = write_pooler(folder / "encoder", initializer_range=0.2, **NO_DROPOUT)
    columns = planted_windows(23)
    columns["type_ids"] = [[int(place > 2) for place in range(len(text))] for text in columns["texts"]]
    # Of 11 training rows in batches of 5 the last has one row, and so none for the second process.
    task = write_rows(folder / "task", num_held_out=6, **columns)
    return {"encoder": encoder, "data": task, "pooler": encoder}


def spec_of(head):
    # The large epsilon of bert-adam leaves gradients of rounding errors alone; AdamW makes steps of them.
    recipe = {"epochs": 1, "batch_size": 5, "learning_rate": 1e-3, "layer_decay": 0.9, "warmup": 0.0}
    return finetune_spec(**recipe | {"optimizer": "bert-adam"} | head)


@pytest.fixture(scope="module")
def gang(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gang")
    train_together({name: Case(spec_of(head), inputs) for name, head in HEADS.items()}, folder)
    return folder


@pytest.mark.parametrize("name", HEADS)
def test_the_stored_head_gives_the_stored_predictions(gang, inputs, name):
    out, test = gang / name / "out", read_split(inputs["data"], "test")
    with torch.inference_mode():
        logits_BK = load_classifier(out).eval()(*inputs_of(test, 0))
    stored = json.loads((out / "test_predictions.json").read_text())
    assert stored["predictions"] == logits_BK.argmax(1).tolist()
    config = json.loads((out / "config.json").read_text())
    assert config["num_hidden_layers"] == (1 if HEADS[name]["layers"] == 1 else 2)


def weights_of(out) -> dict[str, torch.Tensor]:
    encoder, head = (load_file(out / name) for name in ("model.safetensors", "head.safetensors"))
    return encoder | {f"head/{name}": value for name, value in head.items()}


@pytest.mark.parametrize("name", HEADS)
def test_two_processes_train_every_head_as_one_does(gang, inputs, name, tmp_path):
    context = make_context(tmp_path, train=True, **inputs)
    metrics = finetune.run(spec_of(HEADS[name]), context)
    together, alone = weights_of(gang / name / "out"), weights_of(context.out)
    assert together.keys() == alone.keys()
    for weight, value in alone.items():
        # A bias of the keys has a gradient of rounding errors alone, which Adam makes steps of.
        if not weight.endswith("key.bias"):
            # Sums in another order, in float32; weighing a batch wrongly moves weights by 1e-4 and more.
            torch.testing.assert_close(together[weight], value, atol=1e-5, rtol=0, msg=weight)
    start = load_file(inputs["encoder"] / "model.safetensors")
    moved = [(value - start[weight]).abs().max().item() for weight, value in alone.items() if weight in start]
    assert max(moved) > 5e-4
    found = torch.load(gang / name / "0" / METRICS)
    assert found["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-4)
