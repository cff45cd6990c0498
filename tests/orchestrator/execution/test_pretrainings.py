"""Corpora, chains, snapshots and next sentences from the experiment file to the results, in one process."""

import json

import pytest

from layerscope.jobs.artifacts.overlap import OVERLAP
from layerscope.jobs.text.sample_corpus.sample_documents import sample_rows
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.workspace import open_workspace
from tests.tiny import write_experiment

SHORT = {"steps": 4, "batch_size": 4, "block_length": 32}
PRETRAINING = {
    "cross": SHORT | {"corpus": "cross-domain", "masking": "word"},
    "chain": SHORT | {"after": "cross", "next_sentence": True, "snapshots": [2]},
}
STARTS = ["cross", "chain@2", "chain"]


@pytest.fixture(scope="module")
def schedule(tmp_path_factory, tiny_encoder):
    folder = tmp_path_factory.mktemp("pretrainings")
    data = {
        "target": "topic",
        "length": "short",
        "evidence": "mixed",
        "num_train": 60,
        "num_test": 40,
        "seed": 1,
    }
    _, test = sample_rows(**data)
    planted = [{"text": row["text"].upper() + "!"} for row in test[:3]]
    rows = [*planted, *({"text": f"the film {number}. it was good."} for number in range(17))]
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    experiment = write_experiment(
        folder / "tiny.yaml",
        tiny_encoder,
        corpora=[{"task": "films", "data": {"source": "files", "train": str(path)}}],
        pretraining=PRETRAINING,
        grid={"pretraining": STARTS},
        recipe={"epochs": 1, "batch_size": 8, "max_length": 32, "pooling": "mean"},
        measures={"num_train": 40, "num_test": 40, "cka": False, "depth": False},
    )
    workspace = open_workspace(experiment, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return schedule


def test_every_start_leads_to_a_result(schedule):
    assert set(schedule.counts()) == {"computed"}
    assert [variant.recipe["pretraining"] for variant in schedule.plan.variants] == STARTS
    kinds = [stage.kind for stage in schedule.plan.stages().values()]
    assert {kind: kinds.count(kind) for kind in ("pretrain", "finetune", "text_states", "probe")} == {
        "pretrain": 2,
        "finetune": 3,
        "text_states": 6,
        "probe": 6,
    }


def test_test_texts_in_a_corpus_were_left_out(schedule):
    cross = schedule.plan.variants[0].stages["pretrain"]
    (left_out,) = json.loads((schedule.store.folder(cross) / OVERLAP).read_text())["by_test"].values()
    # One of the three may have been drawn to be held out, which is never trained on.
    assert len(left_out) == schedule.store.record(cross)["metrics"]["train/overlap_removed"] in (2, 3)
    assert {row["id"] for row in left_out} <= {"1", "2", "3"}


def test_a_snapshot_and_the_last_step_are_other_starts(schedule):
    begun = [
        schedule.store.record(variant.stages["probe/start"])["parents"]["states"]
        for variant in schedule.plan.variants[1:]
    ]
    assert begun[0] != begun[1]
    folders = [schedule.store.root / "text_states" / key for key in begun]
    layers = [sorted(folder.glob("*.safetensors")) for folder in folders]
    assert len(layers[0]) == len(layers[1]) > 1
    assert layers[0][-1].read_bytes() != layers[1][-1].read_bytes()
