"""The committed JSON schemas are those of what may be written."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from layerscope.orchestrator.experiment.schema import experiment_schema, reference_schema, task_schema

SCHEMAS = {"experiment": experiment_schema, "task": task_schema, "reference": reference_schema}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_committed_schema_is_current(kind):
    file = f"configs/{kind}.schema.json"
    current = json.dumps(SCHEMAS[kind](), indent=2) + "\n"
    assert Path(file).read_text() == current, f"layerscope schema {kind} > {file} brings it up to date"


@pytest.mark.parametrize("path", sorted(Path("configs").glob("[etr]*/**/*.yaml")), ids=str)
def test_every_shipped_file_names_its_schema_and_fits_it(path):
    text = path.read_text()
    kind = path.parts[1].removesuffix("s")
    up = "../" * (len(path.parts) - 2)
    assert text.startswith(f"# yaml-language-server: $schema={up}{kind}.schema.json\n")
    jsonschema.Draft202012Validator(SCHEMAS[kind]()).validate(_loaded(text))


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
