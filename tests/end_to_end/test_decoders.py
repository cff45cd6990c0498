"""A decoder-only model with a byte-level tokenizer as subject: tuned, measured, reported, shortened."""

import json

import pytest
from typer.testing import CliRunner

from layerscope.jobs.study_report import render_report
from layerscope.orchestrator.cli import app
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.workspace import open_workspace
from tests.jobs.tiny import write_byte_tokenizer, write_encoder
from tests.tiny import write_experiment

pytestmark = pytest.mark.slow

WORDS = {
    "task": "pos",
    "data": {"source": "sample_annotations", "label": "upos", "num_train": 30, "num_test": 12},
}
STAGES = {"finetune", "probe", "probe/start", "probe/pos", "geometry", "cka/start", "depth", "depth/refit"}
PAIRED = [
    {"first": f"the word {word} stands here", "second": f"and {other} there", "same": str(word == other)}
    for word in ("good", "bad", "old", "new")
    for other in ("good", "bad", "old", "new", word, word)
] * 3


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    encoder = write_encoder(folder / "encoder", architecture="llama", max_position_embeddings=400)
    write_byte_tokenizer(encoder)
    rows = "".join(json.dumps(row) + "\n" for row in PAIRED)
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    topic = {
        "task": "topic",
        "data": {"source": "sample", "target": "topic", "num_train": 60, "num_test": 40, "seed": 1},
        "validation": {"fraction": 0.4, "seed": 0},
    }
    pairs = {
        "task": "same",
        "data": {
            "source": "files",
            "train": str(folder / "train.jsonl"),
            "test": str(folder / "test.jsonl"),
        },
        "columns": {"text": "first", "text_pair": "second", "label": "same"},
    }
    path = write_experiment(
        folder / "tiny.yaml",
        encoder,
        tasks=[topic, pairs],
        probing=[WORDS],
        recipe={"learning_rate": 5e-3, "epochs": 2, "batch_size": 8, "max_length": 12, "layer_decay": 0.9},
        grid={"pooling": ["last", "mean"], "truncation": ["head", "tail"]},
        measures={
            "num_train": 40,
            "num_test": 100,
            "refit": True,
            "geometry": True,
            "similarity": ["cka", "procrustes"],
        },
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return workspace, schedule


def test_every_variant_is_tuned_and_measured(opened):
    workspace, schedule = opened
    assert set(schedule.counts()) == {"computed"}
    study = workspace.study(schedule)
    assert len(study.variants) == 8 and {variant.state for variant in study.variants} == {"done"}
    for variant in study.variants:
        assert set(variant.folders) >= STAGES
    assert "pooling=last" in render_report(study)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_tuned_model_is_cut_and_scores_what_depth_promised(opened, tmp_path, pooling):
    _, schedule = opened
    variant = next(
        one
        for one in schedule.plan.variants
        if (one.task, one.recipe["pooling"], one.recipe["truncation"]) == ("same", pooling, "head")
    )
    key, store = variant.stages["finetune"].key, str(schedule.store.root)
    out = ["--out", str(tmp_path / "model"), "--layers", "1", "--json"]
    result = CliRunner().invoke(app, ["export", key, "--store", store, *out])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["architecture"], told["layers"]) == ("LlamaForTokenClassification", 1)
    curves = (schedule.store.folder(variant.stages["depth"]) / "curves.jsonl").read_text().splitlines()
    assert told["score"] == json.loads(curves[1])["values"]["accuracy"]
