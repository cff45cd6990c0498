"""Every shipped experiment loads, plans and keeps its keys.

A changed key means that what users have stored is computed again: a decision that the changelog explains.
`RENEW_GOLDEN_KEYS=1 pytest tests/architecture/test_shipped_configurations.py` writes the file anew.
"""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from layerscope.orchestrator.experiment.cluster import read_cluster
from layerscope.orchestrator.experiment.task_files import read_task
from layerscope.orchestrator.experiment.tasks import Files
from layerscope.orchestrator.experiment.variants import Variant, grid_cells, grid_variants, make_recipe
from layerscope.orchestrator.planning.checks.task_checks import check_task
from layerscope.orchestrator.planning.fingerprint import fingerprint
from layerscope.orchestrator.planning.locating import look_at
from layerscope.orchestrator.planning.planner import make_plan
from tests.tiny import read_experiment

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden_keys.json"
TASKS = sorted((ROOT / "configs" / "tasks").glob("*.yaml"))
CLUSTERS = sorted((ROOT / "configs" / "clusters").glob("*.yaml"))
EXPERIMENTS = sorted((ROOT / "configs" / "experiments").rglob("*.yaml"))
SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", ROOT.parent / "shared")).absolute()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "configs" / "experiments").with_suffix("").as_posix()


def read(path: Path, *, profile: str | None = None):
    return read_experiment(path, profile=profile, environ={"LAYERSCOPE_SHARED": str(SHARED)})


def small_profile(path: Path) -> str | None:
    """The profile that runs on the data that is here; the file itself may name the Hub's."""
    return "small" if "\n  small:\n" in path.read_text(encoding="utf-8") else None


def variants_of(experiment) -> list[Variant]:
    """Of a search, whose variants are not known, those of its recipe in each cell."""
    return grid_variants(experiment) or [
        Variant(task.task, make_recipe(experiment, cell), seed)
        for task in experiment.tasks
        for cell in grid_cells(experiment)
        for seed in experiment.seeds
    ]


def golden_of(experiment) -> dict[str, object]:
    plan = make_plan(experiment, look_at(experiment), variants_of(experiment))
    keys = sorted(plan.stages())
    return {"variants": len(plan.variants), "stages": len(keys), "keys": fingerprint(keys)}


def skip_what_is_not_here(experiment) -> None:
    package = experiment.encoder.package
    if package and importlib.util.find_spec(package.replace("-", "_")) is None:
        pytest.skip(f"the package {package} is not installed")
    for task in experiment.tasks:
        for path in (task.data.train, task.data.test) if isinstance(task.data, Files) else ():
            if Path(path).is_relative_to(SHARED) and not Path(path).exists():
                pytest.skip(f"{path} is not here: set LAYERSCOPE_SHARED to the folder of shared data")


def test_there_are_experiments():
    assert "quickstart" in [name_of(path) for path in EXPERIMENTS]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_an_experiment_is_called_like_its_file_and_says_what_it_asks(path):
    experiment = read(path)
    assert experiment.experiment == name_of(path).replace("/", "_")
    assert experiment.description


@pytest.mark.parametrize(
    "path",
    [
        # Those of papers read many tasks and look at their tokens.
        pytest.param(path, marks=pytest.mark.slow if path.parent.name != "experiments" else ())
        for path in EXPERIMENTS
    ],
    ids=name_of,
)
def test_an_experiment_keeps_its_keys(path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    experiment = read(path, profile=small_profile(path))
    skip_what_is_not_here(experiment)
    found = golden_of(experiment)
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if os.environ.get("RENEW_GOLDEN_KEYS") == "1":
        golden[name_of(path)] = found
        GOLDEN.write_text(json.dumps(dict(sorted(golden.items())), indent=2) + "\n", encoding="utf-8")
    assert golden.get(name_of(path)) == found


def test_the_golden_keys_are_those_of_experiments_that_exist():
    assert set(json.loads(GOLDEN.read_text(encoding="utf-8"))) <= {name_of(path) for path in EXPERIMENTS}


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_a_cluster_file_loads(path):
    assert read_cluster(path, {}).workers >= 1


@pytest.mark.slow
@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_a_task_fits_its_data(path):
    task = read_task(path, {"LAYERSCOPE_SHARED": str(SHARED)})
    assert task.task == path.stem
    if task.data.source == "hub" or not Path(task.data.train).exists():
        pytest.skip("its data are not here")
    assert check_task(task).num_rows["train"] > 0
