"""An experiment with joint training, frozen features and training sizes, run in this process."""

import json

import pytest

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.study_report import render_report
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.tracking.pages import study_pages
from layerscope.orchestrator.workspace import open_workspace
from tests.tiny import make_encoder, write_experiment

pytestmark = pytest.mark.slow


def task(name: str, target: str, seed: int) -> dict:
    data = {"source": "sample", "target": target, "num_train": 40, "num_test": 24, "seed": seed}
    return {"task": name, "data": data, "validation": {"fraction": 0.4, "seed": 0}}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    path = write_experiment(
        folder / "tiny.yaml",
        make_encoder(folder / "encoder"),
        tasks=[task("topic", "topic", 1), task("mood", "sentiment", 2)],
        multi_task={"joint": {"epochs": 1, "batch_size": 8, "learning_rate": 5e-3, "max_length": 32}},
        grid={"pretraining": ["none", "joint"], "features": [None, "last-2"], "train_size": [0.5]},
        measures={"num_train": 20, "num_test": 20, "cka": False, "depth": False},
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return workspace, schedule


def test_every_variant_is_done_with_its_scores(opened):
    workspace, schedule = opened
    study = workspace.study(schedule)
    assert [variant.state for variant in study.variants] == ["done"] * 8
    for variant in study.variants:
        metrics = read_metrics(variant.folders["finetune"])
        assert metrics["train/num_texts"] == 12
        assert 0 <= metrics["test/accuracy"] <= 1
        assert (variant.folders["finetune"] / "test_predictions.json").exists()
    counts = [stage.kind for stage in schedule.plan.stages().values()]
    assert (counts.count("multitask"), counts.count("features"), counts.count("feature_head")) == (1, 4, 4)


def test_joint_training_is_a_result_of_its_own(opened):
    workspace, schedule = opened
    (stage,) = [stage for stage in schedule.plan.stages().values() if stage.kind == "multitask"]
    metrics = workspace.store.record(stage)["metrics"]
    assert {"topic/test/accuracy", "mood/test/accuracy", "mood/validation/accuracy"} <= set(metrics)


def test_report_and_pages_show_frozen_encoders(opened):
    workspace, schedule = opened
    study = workspace.study(schedule)
    html = render_report(study)
    assert "multitask mood validation accuracy" in html
    assert "Heads on frozen features are trained in 4 runs (4 cells): " in html
    pages = study_pages(study, study_key="study", live=False)
    frozen = [page for page in pages if page.level == "variant" and page.params["features"] == "last-2"]
    assert len(frozen) == 4
    assert {"test/accuracy", "train/num_texts"} <= {point.metric for page in frozen for point in page.points}


def test_the_record_of_a_head_names_its_variant(opened):
    workspace, schedule = opened
    (record, *_) = workspace.store.records("feature_head")
    variant = json.loads(json.dumps(record["provenance"]["variant"]))
    assert variant["recipe"]["features"] == "last-2"
    assert variant["recipe"]["layer_decay"] is None


def test_the_same_experiment_again_has_nothing_to_do(opened):
    workspace, _ = opened
    assert workspace.schedule().is_over
