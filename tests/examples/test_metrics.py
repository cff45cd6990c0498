"""Metrics of examples/: scored, selected by and shown like built-in ones, from plan to report."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from layerscope.jobs.artifacts.predictions import read_predictions
from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.report.ranking import rank_conditions
from layerscope.jobs.report.tidy_table import format_rows, tidy_rows
from layerscope.jobs.specs.targets import Metric, OwnMetric, metric_name
from layerscope.jobs.study_report import render_report
from layerscope.jobs.targets.own_metrics import load_metric
from layerscope.jobs.user_code import digest_of
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.search.cells import cells_of
from layerscope.orchestrator.tracking.pages import study_pages
from layerscope.orchestrator.workspace import open_workspace
from tests.jobs.report.studies import make_study, make_variant, write_predictions, write_record
from tests.tiny import write_experiment

KAPPA = Path(__file__).parents[2] / "examples" / "metrics" / "cohen_kappa.py"
NOTHING = {"probe": False, "cka": False, "depth": False}
SAMPLE = {"source": "sample", "target": "topic", "num_train": 60, "num_test": 40, "seed": 1}


def task(metric: Path | str, **fields):
    return {"task": "topic", "data": SAMPLE, "metric": str(metric)} | fields


def opened(tmp_path, encoder, *tasks, **changes):
    path = write_experiment(
        tmp_path / "tiny.yaml", encoder, tasks=list(tasks), **({"measures": NOTHING} | changes)
    )
    return open_workspace(path, store=tmp_path / "runs")


def own(path: Path) -> OwnMetric:
    return OwnMetric(name=path.stem, source=digest_of(path))


def test_kappa_is_that_of_scikit_learn():
    specification = importlib.util.spec_from_file_location("kappa", KAPPA)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    random = np.random.default_rng(0)
    for num_labels in (2, 5):
        labels, predictions = random.integers(num_labels, size=(2, 60))
        assert module.kappa(labels, predictions) == pytest.approx(cohen_kappa_score(labels, predictions))
    assert module.kappa(np.ones(3), np.ones(3)) == 0


def test_it_selects_the_best_weights_is_shown_everywhere_and_an_edit_trains_again(tmp_path, tiny_encoder):
    mine = tmp_path / "cohen_kappa.py"
    mine.write_bytes(KAPPA.read_bytes())

    def run():
        measures = NOTHING | {"depth": True, "num_train": 40, "num_test": 40}
        workspace = opened(tmp_path, tiny_encoder, task(mine), seeds=[0, 1], measures=measures)
        workspace.store.create()
        schedule = workspace.schedule()
        todo = [one for one in schedule.plan.stages().values() if not workspace.store.has(one)]
        run_serially(schedule)
        return workspace.study(schedule), [one.kind for one in todo if workspace.store.has(one)]

    study, kinds = run()
    assert sorted(kinds) == [
        "depth",
        "depth",
        "finetune",
        "finetune",
        "prepare",
        "text_states",
        "text_states",
    ]
    for variant in study.variants:
        found = read_predictions(variant.folders["finetune"])
        metrics = read_metrics(variant.folders["finetune"])
        kappa = cohen_kappa_score(found.labels, found.predictions)
        assert metrics["test/cohen_kappa"] == pytest.approx(0.0 if np.isnan(kappa) else kappa)
        assert {"test/accuracy", "validation/cohen_kappa"} <= metrics.keys()
    (ranked,) = rank_conditions(study)
    kappas = [read_metrics(one.folders["finetune"])["test/cohen_kappa"] for one in study.variants]
    assert (ranked.metric, ranked.test.mean) == ("cohen_kappa", pytest.approx(np.mean(kappas)))
    page = render_report(study)
    assert "cohen_kappa" in page and study.metric_on_layers("topic") == "accuracy"
    assert "cohen_kappa" in format_rows(tidy_rows(study), "md", metric_of=study.metric).splitlines()[0]
    points = {
        point.metric for page in study_pages(study, study_key="study", live=False) for point in page.points
    }
    assert {"test/cohen_kappa", "validation/cohen_kappa"} <= points

    mine.write_text(mine.read_text() + "\n# edited\n")
    _, kinds = run()
    assert sorted(kinds) == ["depth", "depth", "finetune", "finetune", "text_states", "text_states"]


def test_a_head_on_frozen_features_is_scored_by_it_too(tmp_path, tiny_encoder):
    recipe = {"features": "last", "max_length": 32, "pooling": "mean"}
    workspace = opened(tmp_path, tiny_encoder, task(KAPPA), recipe=recipe)
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    (variant,) = workspace.study(schedule).variants
    assert "test/cohen_kappa" in read_metrics(variant.folders["finetune"])


def test_a_search_looks_for_it(tmp_path, tiny_encoder):
    search = {"trials": 2, "space": {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}}
    workspace = opened(tmp_path, tiny_encoder, task(KAPPA), search=search)
    (cell,) = cells_of(workspace.experiment, workspace.plan)
    assert cell.objective == "validation/cohen_kappa"


def test_a_package_offers_one_by_module_and_attribute(tmp_path, tiny_encoder, monkeypatch):
    (tmp_path / "their_scores.py").write_bytes(KAPPA.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    workspace = opened(tmp_path, tiny_encoder, task("their_scores:METRIC"))
    (variant,) = workspace.schedule().plan.variants
    assert variant.stages["finetune"].spec.selected_by == OwnMetric(
        name="metric", source=digest_of(KAPPA), entry_point="their_scores:METRIC"
    )
    assert [metric_name(one) for one in ("f1", "./a/b.py", "c.d:Kappa")] == ["f1", "b", "kappa"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("./nowhere.py", "there is no file .*nowhere.py"),
        ("no_such_package.scores:METRIC", "there is no installed module no_such_package.scores"),
        ("sys:METRIC", "the module sys is no Python file"),
        ("./accuracy.py", "accuracy is the name of a metric of layerscope: rename the file"),
        ("accurate", "or a Python file such as ./kappa.py, or module:attribute"),
        ("acuracy", r"must be one of accuracy.* \(did you mean 'accuracy'\?\)"),
        ("./numbers.py", "numbers is declared for number, and task topic has labels"),
        ("./empty.py", "empty.py: defines no METRIC: end it with METRIC = TaskMetric"),
        ("./broken.py", "broken.py:2: ZeroDivisionError"),
        ("./endless.py", r"endless.py: the scale \(0, inf\) must be two finite numbers"),
        ("./answers.py", "answers.py: targets must be label, number or choice, not answers"),
    ],
)
def test_what_is_no_metric_of_the_task_is_refused_at_its_line(
    tmp_path, tiny_encoder, monkeypatch, written, told
):
    monkeypatch.chdir(tmp_path)
    import_line = "from layerscope import TaskMetric\n"
    for name, code in {
        "empty": "",
        "broken": "x = 1\n1 / 0",
        "numbers": f"{import_line}METRIC = TaskMetric(max, targets=('number',))",
        "endless": f"{import_line}METRIC = TaskMetric(max, scale=(0, float('inf')))",
        "answers": f"{import_line}METRIC = TaskMetric(max, targets=('answers',))",
        "accuracy": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(code)
    with pytest.raises(ConfigurationError, match=rf"tiny.yaml:\d+:\d+: tasks.0.metric: .*{told}"):
        opened(tmp_path, tiny_encoder, task(written))


def test_two_metrics_of_one_name_are_refused(tmp_path, tiny_encoder):
    other = tmp_path / "cohen_kappa.py"
    other.write_text(KAPPA.read_text() + "# another\n")
    with pytest.raises(ConfigurationError, match="has the name of another one, of task topic"):
        opened(tmp_path, tiny_encoder, task(KAPPA), task(other, task="more"))


@pytest.mark.parametrize("returned", ["2.0", "float('nan')", "None", "'much'"])
def test_what_is_not_within_the_scale_fails_in_words(tmp_path, returned):
    path = tmp_path / "mine.py"
    path.write_text(
        f"from layerscope import TaskMetric\nMETRIC = TaskMetric(lambda true, predicted: {returned})\n"
    )
    metric = load_metric(own(path), path)
    with pytest.raises(ValueError, match="mine.py: mine returned .*, not a number from 0 to 1"):
        metric.value([0, 1], [0, 1])


def test_what_the_function_raises_names_its_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from layerscope import TaskMetric\n\n\ndef mine(true, predicted):\n    return 1 / 0\n\n\n"
        "METRIC = TaskMetric(mine)\n"
    )
    with pytest.raises(ValueError, match="mine.py:5: ZeroDivisionError: division by zero"):
        load_metric(own(path), path).value([0, 1], [0, 1])


def test_a_file_that_changed_since_the_plan_is_not_run(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("raise SystemExit")
    with pytest.raises(ValueError, match="mine.py has changed since the run was planned"):
        load_metric(OwnMetric(name="mine", source="0" * 64), path)


def test_numbers_are_not_tested_against_each_other_by_right_answers(tmp_path):
    variants = [
        write_predictions(write_record(make_variant(tmp_path, decay=decay), test__error=score), [1, 0])
        for decay, score in ((1.0, -0.1), (0.9, -0.2))
    ]
    error = Metric("error", scale=(-100, 0), compares="nothing")
    study = make_study(*variants, metric_by_task={"topic": "error"}, own_metrics={"error": error})
    first, second = rank_conditions(study)
    assert (first.test.mean, second.test.mean) == (-0.1, -0.2)
    assert (second.standing, second.p_value) == ("not compared", None)
