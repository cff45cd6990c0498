"""A folder with a sound experiment, a task and ways to read and to spoil them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.experiment import Experiment
from tests.tiny import read_experiment

SOUND = """\
experiment: sound
encoder: some/encoder
tasks: [trec]
recipe:
  learning_rate: 2e-5
  epochs: 3
pretraining:
  within: {steps: 20}
grid:
  layer_decay: [1.0, 0.9]
  pretraining: [none, within]
seeds: [0, 1]
"""
TREC = """\
task: trec
data:
  source: files
  train: ${DATA:-data}/trec/train.jsonl
  test: ${DATA:-data}/trec/test.jsonl
"""


@dataclass(frozen=True)
class Folder:
    """Files of one test; faults are told with the file names alone."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, text: str, *overrides: str, profile: str | None = None, **environ: str) -> Experiment:
        path = self.write("experiments/x.yaml", text)
        return read_experiment(path, overrides=overrides, profile=profile, environ=environ)

    def faults(self, text: str, *overrides: str, profile: str | None = None, **environ: str) -> list[str]:
        with pytest.raises(ConfigurationError) as refused:
            self.read(text, *overrides, profile=profile, **environ)
        return self.told(refused.value)

    def told(self, error: Exception) -> list[str]:
        for folder in ("experiments", "tasks"):
            error = ConfigurationError(str(error).replace(f"{self.root / folder}", folder))
        return str(error).replace("experiments/", "").splitlines()


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.write("tasks/trec.yaml", TREC)
    return folder


@pytest.fixture
def sound():
    return SOUND
