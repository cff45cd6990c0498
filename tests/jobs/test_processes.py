import json

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import finetune, pretrain
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.context import LOG, StageContext
from layerscope.jobs.encoders.heads import pool
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.processes import alone, share
from layerscope.jobs.specs.stages import PretrainSpec
from layerscope.jobs.text.tokenising.batches import pad
from tests.jobs.tiny import (
    NO_DROPOUT,
    curve,
    finetune_spec,
    make_context,
    planted,
    pretrain_spec,
    write_encoder,
    write_rows,
    write_task,
)
from tests.jobs.two_processes import METRICS, WEIGHTS, Case, train_together

pytestmark = pytest.mark.slow

CLOCK = {"train/seconds", "train/examples_per_second", "train/micro_batch_size"}
"""What one process and two may differ in."""
ALIKE = (
    "finetune-cls",
    "finetune-mean",
    "finetune-frozen",
    "finetune-lora",
    "finetune-parts",
    "finetune-crowded",
    "pretrain",
    "pretrain-single",
    "pretrain-pairs",
    "pretrain-parts",
    "pretrain-crowded",
)
TOLERANCE = {"finetune-parts": 1e-6, "finetune-crowded": 1e-6}
"""Of weights. One step of bert-adam, whose epsilon is large, leaves rounding errors as they are."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    encoder = write_encoder(folder / "encoder", **NO_DROPOUT)
    texts, labels = planted(121)
    task = write_rows(folder / "task", texts, labels, num_held_out=40)
    corpus = write_task(folder / "corpus", encoder, max_length=None)
    labelled, raw = {"encoder": encoder, "data": task}, {"encoder": encoder, "corpus/0": corpus}
    # 41 training rows in batches of 5: no batch divides by 2, and the last has one row for two processes.
    recipe = {"epochs": 2, "batch_size": 5, "learning_rate": 1e-3, "layer_decay": 0.9}
    once = {"epochs": 1, "batch_size": 41, "warmup": 0.0, "optimizer": "bert-adam", "learning_rate": 3e-3}
    few = {"batch_size": 5, "steps": 3, "learning_rate": 1e-3}
    return {
        "finetune-frozen": Case(finetune_spec(pooling="cls", frozen_layers=1, **recipe), labelled),
        "finetune-lora": Case(finetune_spec(lora_rank=2, lora_alpha=2.0, **recipe), labelled),
        "finetune-bfloat16": Case(finetune_spec(precision="bfloat16", **recipe), labelled),
        "finetune-parts": Case(finetune_spec(**once), labelled, micro_batch_size=3),
        "finetune-crowded": Case(finetune_spec(**once), labelled, harm="crowd"),
        "finetune-cls": Case(finetune_spec(pooling="cls", **recipe), labelled),
        "finetune-mean": Case(finetune_spec(pooling="mean", **recipe), labelled),
        "pretrain": Case(pretrain_spec(batch_size=3, learning_rate=1e-3), raw),
        "pretrain-single": Case(pretrain_spec(batch_size=1, steps=3, learning_rate=1e-3), raw),
        "pretrain-pairs": Case(pretrain_spec(batch_size=3, masking="word", next_sentence=True), raw),
        "pretrain-parts": Case(pretrain_spec(next_sentence=True, **few), raw, micro_batch_size=1),
        "pretrain-crowded": Case(pretrain_spec(next_sentence=True, **few), raw, harm="crowd"),
        "pretrain-bfloat16": Case(pretrain_spec(precision="bfloat16", **few), raw),
        "pretrain-interrupted": Case(
            pretrain_spec(batch_size=3, masking="word", next_sentence=True), raw, harm="interrupt"
        ),
        "spoilt": Case(finetune_spec(epochs=16), labelled, harm="spoil"),
        "interrupted": Case(finetune_spec(pooling="mean", **recipe), labelled, harm="interrupt"),
    }


@pytest.fixture(scope="module")
def gang(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gang")
    train_together(cases, folder)
    return folder


def weights_of(out) -> dict[str, torch.Tensor]:
    head = out / "head.safetensors"
    return load_file(out / "model.safetensors") | (load_file(head) if head.exists() else {})


def without_clock(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCK}


@pytest.mark.parametrize("name", [*ALIKE, "finetune-bfloat16", "pretrain-bfloat16"])
def test_both_processes_end_with_the_same_weights_and_scores(gang, name):
    metrics = [without_clock(torch.load(gang / name / rank / METRICS)) for rank in "01"]
    assert metrics[0] == metrics[1]
    if name.startswith("finetune"):
        first, second = (torch.load(gang / name / rank / WEIGHTS) for rank in "01")
        assert all(torch.equal(value, second[weight]) for weight, value in first.items())


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_train_as_one_does(gang, cases, name, tmp_path):
    case = cases[name]
    context = make_context(tmp_path, case.inputs, train=True)
    stage = pretrain if isinstance(case.spec, PretrainSpec) else finetune
    metrics = stage.run(case.spec, context)
    start = load_encoder(case.inputs["encoder"]).state_dict()
    together = weights_of(gang / name / "out")
    moved = 0.0
    for weight, value in weights_of(context.out).items():
        # A bias of the keys adds the same to all scores of a query: its gradient is rounding error, which
        # Adam makes steps of.
        if not weight.endswith("key.bias"):
            # Sums in another order, in float32; weighing a batch wrongly moves weights by 1e-4 and more.
            torch.testing.assert_close(together[weight], value, atol=TOLERANCE.get(name, 1e-5), rtol=0)
            begun = start.get(weight.removeprefix("bert."))
            moved = max(moved, 0 if begun is None else (value - begun).abs().max().item())
    assert moved > 1e-3
    found = torch.load(gang / name / "0" / METRICS)
    assert without_clock(found) == pytest.approx(without_clock(metrics), abs=1e-3)
    logged = StageContext(inputs={}, out=tmp_path, scratch=gang / name / "scratch")
    loss = "train/mlm_loss" if stage is pretrain else "train/loss"
    assert curve(logged, loss) == pytest.approx(curve(context, loss), abs=1e-3)


def test_every_process_scores_its_share_with_the_best_weights(gang, cases):
    out, test = gang / "spoilt" / "out", read_split(cases["spoilt"].inputs["data"], "test")
    encoder, head = load_encoder(out).eval(), load_file(out / "head.safetensors")
    with torch.inference_mode():
        ids_BT, mask_BT = pad(test.texts, 0)
        pooled_BD = pool(encoder(ids_BT, mask_BT).last_hidden_state, mask_BT, "mean")
    expected = (pooled_BD @ head["weight"].T + head["bias"]).argmax(1).tolist()
    assert json.loads((out / "test_predictions.json").read_text())["predictions"] == expected
    metrics = torch.load(gang / "spoilt" / "0" / METRICS)
    assert metrics["diverged"] == 1
    assert metrics["test/accuracy"] > 0.5


def test_processes_take_parts_of_their_own_share_and_halve_them_together(gang):
    whole, parts, crowded = (
        [torch.load(gang / name / rank / METRICS)["train/micro_batch_size"] for rank in "01"]
        for name in ("finetune-mean", "finetune-parts", "finetune-crowded")
    )
    assert whole == [3, 3]
    assert parts == [3, 3]
    assert crowded == [1, 1]
    # Halves of 21, the larger share of 41 rows, until the second process has room.
    assert sizes_without_room(gang / "finetune-crowded") == [21, 10, 5, 2]


def test_a_pretraining_takes_and_halves_parts_so_too(gang):
    whole, parts, crowded = (
        [torch.load(gang / name / rank / METRICS)["train/micro_batch_size"] for rank in "01"]
        for name in ("pretrain-bfloat16", "pretrain-parts", "pretrain-crowded")
    )
    assert whole == [3, 3]
    assert parts == crowded == [1, 1]
    assert sizes_without_room(gang / "pretrain-parts") == []
    # The second process has 2 of 5 examples, the first has 3.
    assert sizes_without_room(gang / "pretrain-crowded") == [3]


def sizes_without_room(folder) -> list[int]:
    log = folder / "scratch" / LOG
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[4]) for line in lines if line.startswith("out of memory with")]


@pytest.mark.parametrize(
    "names", [("finetune-mean", "interrupted"), ("pretrain-pairs", "pretrain-interrupted")], ids=str
)
def test_a_gang_resumes_where_it_was_interrupted(gang, names):
    undisturbed, interrupted = (gang / name / "out" for name in names)
    expected, found = weights_of(undisturbed), weights_of(interrupted)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_one_process_has_the_whole_share():
    accelerator = alone()
    assert share([3, 1, 2], accelerator) == [3, 1, 2]
    assert accelerator.device.type == "cpu"


def test_a_process_trains_on_the_device_last_asked_for(monkeypatch):
    with monkeypatch.context() as pretended:
        pretended.setattr(torch.cuda, "is_available", lambda: True)
        pretended.setattr(torch.cuda, "set_device", lambda device: None)
        wanted = (False, True, True, False, True)
        assert [alone(use_gpu=use_gpu).device.type for use_gpu in wanted] == [
            "cuda" if use_gpu else "cpu" for use_gpu in wanted
        ]
        alone()
