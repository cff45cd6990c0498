"""The committed JSON schema is that of what may be written."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from orchestrator.experiment.schema import experiment_schema


def test_the_committed_schema_is_current():
    committed = Path("configs/experiment.schema.json").read_text()
    current = json.dumps(experiment_schema(), indent=2) + "\n"
    assert committed == current, "layerscope schema > configs/experiment.schema.json brings it up to date"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "encoder: {package: a}",
        "tasks: [trec, {task: a, data: {source: hub, name: b}}]",
        "profiles: {a: {b.c: 1}}",
    ],
)
def test_the_schema_takes_what_reading_takes(sound, line):
    _validate({**_loaded(sound), **(_loaded(line) or {})})


@pytest.mark.parametrize(
    "line", ["epoch: 1", "encoder: 3", "tasks: [{task: a, data: {target: topic}}]", "grid: {epochs: 1}"]
)
def test_the_schema_refuses_what_reading_refuses(sound, line):
    with pytest.raises(jsonschema.ValidationError):
        _validate({**_loaded(sound), **_loaded(line)})


def _validate(written):
    jsonschema.Draft202012Validator(experiment_schema()).validate(written)


def _loaded(text):
    return YAML(typ="safe", pure=True).load(text)
