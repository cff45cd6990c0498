"""Encoders that are code of their own from the experiment file to the results, alone and by Ray's workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.own_models import in_hub_cache, make_own_encoder, modules_under
from tests.tiny import write_experiment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()"]
HUB, COMMIT = "maker/mine", "c" * 40
CLUSTER = "num_cpus: 2\nworkers: 2\n"
SHORT = {"corpus": "within-task", "steps": 4, "batch_size": 4, "block_length": 32}
EVERY_LOAD = {
    "encoder": {"hub": HUB, "revision": COMMIT, "trust_remote_code": True},
    "pretraining": {"further": SHORT},
    "multi_task": {"joint": {"epochs": 1, "batch_size": 8, "max_length": 32}},
    "grid": {"pretraining": ["none", "further", "joint"], "features": [None, "last"]},
    "recipe": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 8, "max_length": 32, "pooling": "mean"},
    "measures": {"num_train": 40, "num_test": 40, "checkpoints": [0.5], "random_encoder": True},
}
"""One continued pretraining, one joint training, frozen features, a random encoder and a checkpoint."""


class Place:
    """A folder in which one works, with caches of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        in_hub_cache(folder / "hub", HUB, COMMIT, make_own_encoder(folder / "made", tokenizer_is_code=True))
        (folder / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")

    def say(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command, with nobody to ask."""
        caches = {"XDG_CACHE_HOME": "cache", "HF_HUB_CACHE": "hub", "HF_MODULES_CACHE": "modules"}
        environment = {name: str(self.folder / path) for name, path in caches.items()}
        environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [*COMMAND, *command],
            cwd=self.folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def done(self, *command: str) -> str:
        """What a command prints that ends well."""
        result = self.say(*command)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def scores(self, experiment: str, store: str) -> dict[tuple[str, ...], float]:
        """What is measured of each variant and layer, but for times."""
        rows = json.loads(self.done("compare", experiment, "--store", store, "--format", "json"))
        assert rows
        return {
            (row["measure"], row["metric"], str(row["layer"])): row["value"]
            for row in rows
            if not row["metric"].startswith("train/")
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    """Where everything was computed in one process."""
    place = Place(tmp_path_factory.mktemp("own-code"))
    write_experiment(place.folder / "every.yaml", place.folder, **EVERY_LOAD)
    place.done("run", "every.yaml", "--store", "serial", "--serial")
    return place


def test_every_stage_is_computed_in_one_process(place):
    status = json.loads(place.done("status", "every.yaml", "--store", "serial", "--json"))
    assert {variant["state"] for variant in status["variants"]} == {"done"}


@pytest.mark.ray
def test_workers_compute_the_same(place):
    few = {name: EVERY_LOAD[name] for name in ("encoder", "recipe")}
    write_experiment(place.folder / "few.yaml", place.folder, **few)
    place.done("run", "few.yaml", "--store", "ray", "--cluster", "cluster.yaml")
    place.done("run", "few.yaml", "--store", "alone", "--serial")
    # There is no dropout, so that two workers differ from one by the order of sums alone.
    alone = place.scores("few.yaml", "alone")
    assert place.scores("few.yaml", "ray") == pytest.approx(alone, abs=1e-3)


def test_an_export_is_refused_with_where_the_code_is(place):
    key = next((place.folder / "serial/finetune").iterdir()).name
    result = place.say("export", key, "--out", "out", "--store", "serial")
    assert result.returncode == 2
    assert "its encoder is code of its own" in result.stderr
    assert not (place.folder / "out").exists()


def test_the_folder_of_a_fine_tuning_loads_with_its_code(place):
    from transformers import AutoModel

    from layerscope.jobs.own_code import code_digest

    folder = next((place.folder / "serial/finetune").iterdir())
    assert code_digest(folder) == code_digest(place.folder / "made")
    with modules_under(place.folder / "modules"):
        assert type(AutoModel.from_pretrained(folder, trust_remote_code=True)).__name__ == "MineModel"


def test_models_are_analysed_once_their_code_may_run(place):
    (place.folder / "topic.yaml").write_text(
        json.dumps(
            {
                "task": "topic",
                "data": {"source": "sample", "target": "topic", "num_train": 60, "num_test": 40, "seed": 1},
            }
        ),
        encoding="utf-8",
    )
    key = next((place.folder / "serial/finetune").iterdir()).name
    command = ("analyze", f"{HUB}@{COMMIT}", key, "--task", "topic.yaml", "--store", "serial", "--serial")
    short = ("--set", "recipe.epochs=1", "--set", "recipe.max_length=32")
    refused = place.say(*command, *short)
    assert refused.returncode == 2
    assert "with analyze: --trust-remote-code" in refused.stderr
    place.done(*command, *short, "--trust-remote-code")
