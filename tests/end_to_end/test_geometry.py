"""An experiment with every measure of layers, run in this process and shown in report and pages."""

import re

import pytest

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.study_report import render_report, study_figures
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.tracking.memory import MemoryTracker
from layerscope.orchestrator.tracking.pages import study_pages
from layerscope.orchestrator.workspace import open_workspace
from tests.jobs.report.studies import logged_curves
from tests.tiny import make_encoder, write_experiment

pytestmark = pytest.mark.slow

WORDS = {"source": "sample_annotations", "label": "upos", "num_train": 30, "num_test": 30}
REQUESTED = {
    "probe": ["linear", "mlp"],
    "networks": {"sizes": [[8, 8]], "decays": [1e-3], "starts": 2, "max_epochs": 20},
    "control": True,
    "description_length": True,
    "random_encoder": True,
    "geometry": True,
    "spread": True,
    "checkpoints": [0.5],
    "cka": False,
    "depth": False,
    "num_train": 60,
    "num_test": 40,
}
LAYERS = [0, 1, 2]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geometry")
    path = write_experiment(
        folder / "tiny.yaml",
        make_encoder(folder / "encoder"),
        probing=[{"task": "pos", "data": WORDS}],
        measures=REQUESTED,
        seeds=[1, 2],
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return workspace, schedule


@pytest.fixture(scope="module")
def study(opened):
    workspace, schedule = opened
    return workspace.study(schedule)


def test_every_stage_is_stored_and_the_start_is_measured_once(opened):
    _, schedule = opened
    stages = schedule.plan.stages().values()
    assert {schedule.state(stage) for stage in stages} <= {"stored", "computed"}
    kinds = [stage.kind for stage in stages]
    # Of two seeds half way and at the end, and of their common start, for the task and for the probing task.
    assert (kinds.count("geometry"), kinds.count("shift"), kinds.count("spread")) == (10, 8, 10)
    # Of each seed, for both tasks.
    assert kinds.count("paths") == 4
    # And of the random encoder.
    assert (kinds.count("mlp_probe"), kinds.count("control_probe")) == (12, 12)
    assert kinds.count("random_encoder") == 1


@pytest.mark.parametrize(
    "metric",
    [
        "geometry/clusters",
        "geometry/start/min_distance_lower",
        "geometry/pos/permuted_clusters",
        "shift/pos/pearson",
        "shift/pos/at-0.5/pearson",
        "geometry/at-0.5/clusters",
        "shift/pos/centroid_shift",
        "paths/path_length",
        "paths/pos/plane_share",
        "spread/pos/start/effective_rank",
        "mlp_probe/pos/random/accuracy",
        "mlp_probe_control/pos/selectivity",
        "probe_control/pos/start/selectivity",
        "probe/pos/random/accuracy",
        "description_length/compression",
    ],
)
def test_a_curve_over_layers_reaches_the_tracker(study, metric):
    tracker = MemoryTracker()
    for page in study_pages(study, study_key="study", live=False):
        tracker.publish("tiny", page)
        if page.level == "variant":
            assert [point.step for point in page.points if point.metric == metric] == LAYERS
    assert len(tracker.pages("tiny")) == 4


def test_what_is_logged_is_what_reports_may_name(study):
    logged = logged_curves(study)
    assert {measure: names - set(MEASURES[measure].curves) for measure, names in logged.items()} == {
        measure: set() for measure in logged
    }
    whole = set(logged) - {"probe"}  # which has one curve for each metric of labels, and others of numbers
    assert {measure: logged[measure] for measure in whole} == {
        one: set(MEASURES[one].curves) for one in whole
    }


def test_figures_reach_the_pages_of_study_and_variants(study):
    study_page, _, *variants = study_pages(study, study_key="study", figures=study_figures(study), live=False)
    for name in (
        "pos_pearson_along",
        "pos_clusters",
        "pos_test_pearson",
        "pos_pearson",
        "pos_nearest",
        "pos_plane",
        "pos_paths",
        "path_length",
        "clusters",
    ):
        assert f"figures/geometry/topic/{name}.png" in study_page.images
    assert "figures/mlp_probe/topic/pos_accuracy.png" in study_page.images
    assert "figures/spread/topic/pos_isoscore.png" in study_page.images
    for page in variants:
        assert {"figures/geometry/pos_nearest.png", "figures/geometry/pos_plane.png"} <= set(page.images)


def test_the_report_has_sections_and_tables(study):
    html = render_report(study)
    for words in (
        "Label geometry (DirectProbe)",
        "Isotropy and dimensionality",
        "Label geometry at the last layer",
        "Probes at the last layer",
    ):
        assert words in html
    assert "MLP probe, accuracy" in html
    assert "Fine-tuned on one task, probed for another: linear probe, accuracy" in html
    shown = re.sub(r'data-value="nan"|<script>.*</script>', "", html, flags=re.DOTALL)
    assert not re.search(r"\bnan\b", shown)
