"""Tuned on words and on texts, probed on both, before, along and after the training: one experiment."""

import pytest

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.study_report import render_report, study_figures
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.tracking.pages import study_pages
from layerscope.orchestrator.workspace import open_workspace
from tests.tiny import make_encoder, write_experiment

pytestmark = pytest.mark.slow

WORDS = {
    "task": "pos",
    "data": {"source": "sample_annotations", "label": "upos", "num_train": 30, "num_test": 12},
}
TEXTS = {
    "task": "topic",
    "data": {"source": "sample", "target": "topic", "num_train": 40, "num_test": 24, "seed": 1},
    "validation": {"fraction": 0.4, "seed": 0},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    path = write_experiment(
        folder / "tiny.yaml",
        make_encoder(folder / "encoder"),
        tasks=[WORDS, TEXTS],
        probing=[WORDS | {"task": "tags"}, TEXTS | {"task": "topics"}],
        pretraining={"within": {"steps": 2, "batch_size": 4, "block_length": 24}},
        grid={"pretraining": ["none", "within"]},
        measures={"num_train": 30, "num_test": 20, "checkpoints": [0.5], "sentence_length": 48},
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return workspace, schedule


def test_every_variant_is_done_and_measured(opened):
    workspace, schedule = opened
    study = workspace.study(schedule)
    assert [(variant.task, variant.state) for variant in study.variants] == [
        ("pos", "done"),
        ("pos", "done"),
        ("topic", "done"),
        ("topic", "done"),
    ]
    probes = {f"probe{of}{model}" for of in ("", "/tags", "/topics") for model in ("", "/start", "/at-0.5")}
    for variant in study.variants:
        assert probes | {"cka/start", "depth"} <= set(variant.folders)
        assert ("train/num_units" in read_metrics(variant.folders["finetune"])) == (variant.task == "pos")


def test_checkpoints_are_shown_in_report_and_pages(opened):
    workspace, schedule = opened
    study = workspace.study(schedule)
    figures = study_figures(study)
    assert {"probe/pos/accuracy_along", "probe/topic/tags_accuracy_along"} <= set(figures)
    assert "over training" in render_report(study, figures=figures)
    pages = study_pages(study, study_key="study", live=False)
    names = {point.metric for page in pages if page.level == "variant" for point in page.points}
    assert {"probe/at-0.5/accuracy", "probe/topics/at-0.5/accuracy", "test/accuracy"} <= names


def test_the_same_experiment_again_has_nothing_to_do(opened):
    workspace, _ = opened
    assert workspace.schedule().is_over
