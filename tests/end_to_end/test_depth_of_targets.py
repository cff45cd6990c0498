"""Numbers and choices from the experiment to the report and to an exported model, with and without layers."""

import json

import numpy as np
import pytest

from layerscope.jobs.measures.layer_dropping.table import drop_rows
from layerscope.jobs.report.ranking import rank_conditions
from layerscope.jobs.study_report import render_report
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.exporting import export_variant
from layerscope.orchestrator.workspace import open_workspace
from tests.tiny import make_encoder, write_experiment

pytestmark = pytest.mark.slow

NUMBERS, CHOICES = "score", "pick"


def task_of(folder, name, make, **fields):
    random, data = np.random.default_rng(0), {"source": "files"}
    for split, count in (("train", 60), ("test", 30)):
        path = folder / f"{name}_{split}.jsonl"
        rows = [make(random) for _ in range(count)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data[split] = str(path)
    return {"task": name, "data": data, "validation": {"fraction": 0.2, "seed": 0}} | fields


def number(random):
    count = int(random.integers(0, 4))
    return {"text": " ".join(["the", *["was"] * count, "and"]), "label": count + 0.5}


def choice(random):
    right = int(random.integers(3))
    texts = ["was" if place == right else "and" for place in range(3)]
    return {"text": "the", "choices": texts, "label": right}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depths")
    path = write_experiment(
        folder / "tiny.yaml",
        make_encoder(folder / "encoder"),
        tasks=[
            task_of(folder, NUMBERS, number, predict="number", metric="pearson"),
            task_of(folder, CHOICES, choice, columns={"choices": "choices"}),
        ],
        grid={"learning_rate": [5e-3, 1e-3]},
        measures={"num_train": 48, "num_test": 30, "refit": True},
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return workspace, workspace.study(schedule)


def test_the_table_of_layers_that_could_go_has_every_task_by_its_metric(opened):
    _, study = opened
    assert {variant.state for variant in study.variants} == {"done"}
    rows = drop_rows(study)
    assert {(row.task, row.metric, row.head) for row in rows} == {
        (task, metric, head)
        for task, metric in ((NUMBERS, "pearson"), (CHOICES, "accuracy"))
        for head in ("tuned head", "refitted head")
    }
    assert len(rows) == 8
    page = render_report(study)
    assert "Removable layers" in page and "linear probe, mean of Pearson and Spearman" in page


def test_conditions_of_both_are_compared_example_by_example(opened):
    _, study = opened
    for one in rank_conditions(study):
        is_second = one.standing in ("worse", "indistinguishable")
        assert (one.difference is not None and one.p_value is not None) == is_second


@pytest.mark.parametrize(("task", "metric"), [(NUMBERS, "pearson"), (CHOICES, "accuracy")])
@pytest.mark.parametrize("head", ["tuned", "refitted"])
def test_a_model_of_either_is_exported(opened, tmp_path, task, metric, head):
    workspace, study = opened
    key = next(variant.key for variant in study.variants if variant.task == task)
    facts = export_variant(
        key, store=workspace.store, out=tmp_path / "out", layers="1", tolerance="0.5%", head=head
    )
    assert (facts.metric, facts.layers, facts.of_layers, facts.texts) == (metric, 1, 2, 30)
    assert (tmp_path / "out" / "README.md").exists()
