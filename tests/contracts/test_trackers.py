"""What every tracker promises, tried on the one in memory and on MLflow over SQLite."""

import math
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import pytest

from layerscope.jobs.artifacts.curves import Point
from layerscope.orchestrator.tracking.memory import MemoryTracker
from layerscope.orchestrator.tracking.tracker import Page, Tracker

# MLflow 3.17 asks SQLAlchemy 2.1 for a loader that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:The ..noload.. loader strategy:DeprecationWarning")

EXPERIMENT = "depth of TREC"


@dataclass(frozen=True)
class Shown:
    """What a reader sees of one run."""

    name: str
    level: str
    parent: str | None
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    points: Counter
    """How often each (metric, step, value) is there."""
    artifacts: dict[str, bytes]


class Place(Protocol):
    """Where a tracker puts its pages, and how a test reads them back."""

    def tracker(self) -> Tracker: ...
    def read(self, experiment: str = EXPERIMENT) -> dict[str, Shown]: ...


class MemoryPlace:
    def __init__(self):
        self._tracker = MemoryTracker()

    def tracker(self):
        return self._tracker

    def read(self, experiment=EXPERIMENT):
        return {
            key: Shown(
                page.name,
                page.level,
                page.parent,
                page.status,
                dict(page.params),
                dict(page.tags),
                Counter((p.metric, p.step, p.value) for p in page.points),
                {path: text.encode() for path, text in page.texts.items()} | dict(page.images),
            )
            for key, page in self._tracker.pages(experiment).items()
        }


class MlflowPlace:
    def __init__(self, uri: str):
        from mlflow import MlflowClient

        self._uri = uri
        self._client = MlflowClient(uri)
        self._trackers = []

    def tracker(self):
        from layerscope.orchestrator.tracking.mlflow_runs import MlflowTracker

        self._trackers.append(MlflowTracker(self._uri))
        return self._trackers[-1]

    def close(self):
        for tracker in self._trackers:
            tracker.close()

    def read(self, experiment=EXPERIMENT):
        experiment_id = self._client.get_experiment_by_name(experiment).experiment_id
        runs = self._client.search_runs([experiment_id])
        key_by_run = {run.info.run_id: run.data.tags["layerscope.key"] for run in runs}
        assert len(set(key_by_run.values())) == len(runs), "two runs share a key"
        return {key_by_run[run.info.run_id]: self._shown(run, key_by_run) for run in runs}

    def _shown(self, run, key_by_run):
        points = Counter(
            (metric, entry.step, entry.value)
            for metric in run.data.metrics
            for entry in self._client.get_metric_history(run.info.run_id, metric)
        )
        parent = run.data.tags.get("mlflow.parentRunId")
        root = Path(unquote(urlsplit(run.info.artifact_uri).path))
        return Shown(
            run.info.run_name,
            run.data.tags["layerscope.level"],
            key_by_run[parent] if parent else None,
            run.info.status.lower(),
            dict(run.data.params),
            dict(run.data.tags),
            points,
            {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()},
        )


@pytest.fixture(params=["memory", "mlflow"])
def place(request, tmp_path):
    if request.param == "memory":
        yield MemoryPlace()
    else:
        folder = tmp_path / "a store"
        folder.mkdir()
        shutil.copy(request.getfixturevalue("empty_mlflow"), folder / "mlflow.db")
        mlflow_place = MlflowPlace(f"sqlite:///{folder}/mlflow.db")
        yield mlflow_place
        mlflow_place.close()


def curve(num_steps, metric="train/loss", start=1000.0):
    return tuple(Point(metric, step, start + step, 1 / (step + 1)) for step in range(num_steps))


STUDY = Page(
    key="study:1",
    level="study",
    name="depth",
    parent=None,
    status="running",
    params={"encoder": "minilm"},
    tags={"layerscope.variants.done": "0"},
    texts={"experiment.yaml": "name: depth\n"},
    images={"figures/layers.png": b"\x89PNG one"},
)
CONDITION = Page(key="condition:1", level="condition", name="decay=0.9", parent="study:1", status="running")
VARIANT = Page(
    key="0123456789abcdef",
    level="variant",
    name="decay=0.9 seed=0",
    parent="condition:1",
    status="running",
    params={"layer_decay": "0.9", "seed": "0"},
    tags={"layerscope.state": "running"},
    points=curve(5),
)


def test_pages_are_nested_and_show_what_they_were_given(place):
    tracker = place.tracker()
    for page in (STUDY, CONDITION, VARIANT):
        tracker.publish(EXPERIMENT, page)
    shown = place.read()
    assert {key: run.parent for key, run in shown.items()} == {
        STUDY.key: None,
        CONDITION.key: STUDY.key,
        VARIANT.key: CONDITION.key,
    }
    assert [shown[page.key].level for page in (STUDY, CONDITION, VARIANT)] == [
        "study",
        "condition",
        "variant",
    ]
    assert shown[STUDY.key].artifacts == {
        "experiment.yaml": b"name: depth\n",
        "figures/layers.png": b"\x89PNG one",
    }
    variant = shown[VARIANT.key]
    assert (variant.name, variant.status, variant.params) == (VARIANT.name, "running", VARIANT.params)
    assert variant.tags["layerscope.state"] == "running"
    assert variant.points == Counter((p.metric, p.step, p.value) for p in VARIANT.points)


def test_a_page_may_come_before_its_parent(place):
    tracker = place.tracker()
    for page in (VARIANT, CONDITION, STUDY):
        tracker.publish(EXPERIMENT, page)
    shown = place.read()
    assert shown[VARIANT.key].parent == CONDITION.key
    assert shown[CONDITION.key].parent == STUDY.key
    assert shown[STUDY.key].name == STUDY.name


def test_publishing_twice_changes_nothing(place):
    tracker = place.tracker()
    for page in (STUDY, CONDITION, VARIANT):
        tracker.publish(EXPERIMENT, page)
    before = place.read()
    for page in (STUDY, CONDITION, VARIANT):
        tracker.publish(EXPERIMENT, page)
    assert place.read() == before


def test_a_growing_curve_is_appended_and_its_end_is_shown(place):
    tracker = place.tracker()
    for num_steps in (2, 3, 7):
        tracker.publish(EXPERIMENT, replace(VARIANT, parent=None, points=curve(num_steps)))
    finished = replace(
        VARIANT, parent=None, status="finished", tags={"layerscope.state": "done"}, points=curve(7)
    )
    tracker.publish(EXPERIMENT, finished)
    shown = place.read()[VARIANT.key]
    assert shown.points == Counter((p.metric, p.step, p.value) for p in curve(7))
    assert (shown.status, shown.tags["layerscope.state"]) == ("finished", "done")


def test_a_run_is_found_again_after_a_restart_and_not_doubled(place):
    for num_steps in (3, 6, 6):
        tracker = place.tracker()
        for page in (STUDY, CONDITION, replace(VARIANT, points=curve(num_steps))):
            tracker.publish(EXPERIMENT, page)
        tracker.close()
    shown = place.read()
    assert len(shown) == 3
    assert shown[VARIANT.key].points == Counter((p.metric, p.step, p.value) for p in curve(6))


def test_a_value_that_changed_replaces_the_one_shown_before(place):
    for mean in (0.5, 0.75):
        tracker = place.tracker()
        condition = replace(CONDITION, points=(Point("test/accuracy", 0, 1000.0, mean),))
        for page in (STUDY, condition, VARIANT):
            tracker.publish(EXPERIMENT, page)
    shown = place.read()
    assert shown[CONDITION.key].points == Counter([("test/accuracy", 0, 0.75)])
    assert shown[VARIANT.key].parent == CONDITION.key


def test_a_changed_param_replaces_the_one_shown_before(place):
    tracker = place.tracker()
    for encoder in ("minilm", "roberta"):
        tracker.publish(EXPERIMENT, replace(STUDY, params={"encoder": encoder}))
    assert place.read()[STUDY.key].params == {"encoder": "roberta"}


def test_a_reason_that_no_longer_holds_is_taken_away(place):
    tracker = place.tracker()
    failed = {"layerscope.state": "failed", "layerscope.reason": "out of memory"}
    tracker.publish(EXPERIMENT, replace(VARIANT, parent=None, status="failed", tags=failed))
    assert place.read()[VARIANT.key].tags["layerscope.reason"] == "out of memory"
    tracker.publish(EXPERIMENT, replace(VARIANT, parent=None))
    shown = place.read()[VARIANT.key]
    assert shown.status == "running"
    assert "layerscope.reason" not in shown.tags


def test_an_artifact_is_replaced_when_its_content_changes(place):
    tracker = place.tracker()
    tracker.publish(EXPERIMENT, STUDY)
    tracker.publish(EXPERIMENT, replace(STUDY, images={"figures/layers.png": b"\x89PNG two"}, texts={}))
    assert place.read()[STUDY.key].artifacts == {
        "experiment.yaml": b"name: depth\n",
        "figures/layers.png": b"\x89PNG two",
    }


def test_1200_metrics_are_quick(place):
    points = tuple(
        Point(f"metric/{i}", step, 1000.0 + step, float(i)) for i in range(120) for step in range(10)
    )
    tracker = place.tracker()
    started = time.monotonic()
    tracker.publish(EXPERIMENT, replace(VARIANT, parent=None, points=points))
    # One call a metric takes more than a minute; a batch about one second.
    assert time.monotonic() - started < 15
    assert place.read()[VARIANT.key].points.total() == 1200


def test_many_params_and_tags_all_arrive(place):
    params = {f"factor_{i}": str(i) for i in range(250)}
    tags = {f"tag_{i}": str(i) for i in range(250)}
    place.tracker().publish(EXPERIMENT, replace(VARIANT, parent=None, params=params, tags=tags))
    shown = place.read()[VARIANT.key]
    assert shown.params == params
    assert tags.items() <= shown.tags.items()


def test_what_is_not_finite_is_left_out_and_said(place):
    points = (
        Point("train/loss", 0, 1000.0, 2.5),
        Point("train/loss", 1, 1001.0, math.nan),
        Point("validation/loss", 1, 1001.0, math.inf),
    )
    place.tracker().publish(EXPERIMENT, replace(VARIANT, parent=None, points=points))
    shown = place.read()[VARIANT.key]
    assert shown.points == Counter([("train/loss", 0, 2.5)])
    assert shown.tags["layerscope.not_finite"] == "train/loss, validation/loss"


def test_of_two_values_at_one_step_the_last_is_shown(place):
    points = (Point("train/loss", 3, 1000.0, 2.0), Point("train/loss", 3, 1060.0, 1.0))
    place.tracker().publish(EXPERIMENT, replace(VARIANT, parent=None, points=points))
    assert place.read()[VARIANT.key].points == Counter([("train/loss", 3, 1.0)])


HOSTILE = [
    "a=b",
    "a_b",
    "probe/Ünïcode 名/f1",
    "../../etc",
    "/root",
    "a//b",
    ".",
    "",
    'it\'s "quoted"\n',
    "%",
    "x" * 400,
]


def test_hostile_names_and_values_lose_nothing(place):
    experiment = 'it\'s an "experiment" / 100% %s; DROP TABLE runs; 名'
    page = replace(
        VARIANT,
        parent=None,
        name="'\"`/..\n" + "long" * 100,
        params={name: f"{name} ' \" `" for name in HOSTILE} | {"recipe": "r" * 9000},
        tags={name: "t" * 9000 for name in HOSTILE},
        points=tuple(Point(name, 0, 1000.0, float(i)) for i, name in enumerate(HOSTILE)),
        texts={"figures/layer decay=0.9 100%#.txt": "one", "../outside.txt": "two", "": "three"},
    )
    for _ in range(2):
        place.tracker().publish(experiment, page)
    shown = place.read(experiment)[VARIANT.key]
    assert sorted(value for _, _, value in shown.points) == [float(i) for i in range(len(HOSTILE))]
    assert shown.points.total() == len(HOSTILE)
    assert len(shown.params) == len(HOSTILE) + 1
    assert sorted(shown.artifacts.values()) == [b"one", b"three", b"two"]


def test_experiments_do_not_see_each_other(place):
    tracker = place.tracker()
    tracker.publish("one", STUDY)
    tracker.publish("two", replace(STUDY, status="failed"))
    assert place.read("one")[STUDY.key].status == "running"
    assert place.read("two")[STUDY.key].status == "failed"


def test_a_tracker_may_be_closed_twice_or_before_its_first_page(place):
    tracker = place.tracker()
    tracker.close()
    tracker.publish(EXPERIMENT, STUDY)
    tracker.close()
    tracker.close()
    assert STUDY.key in place.read()
