"""JSON schemas of experiment, task and reference files, for editors; shorthands included."""

from typing import Any

from jobs.specs.references import Paper
from jobs.specs.stages import SampleData
from orchestrator.experiment.experiment import Experiment, Files, Hub, Task

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """The schema of an experiment file (draft 2020-12); what must hold between keys is checked by reading."""
    schema = Experiment.model_json_schema()
    _require_source(schema)
    properties = schema["properties"]
    properties["encoder"] = {
        "description": "A name on the Hugging Face Hub, a folder (/..., ./..., ../...), or a mapping.",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/EncoderSource"}],
    }
    properties["tasks"]["description"] = "Names of files in ../tasks, paths that end in .yaml, or mappings."
    properties["tasks"]["items"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Task"}]}
    schema["$defs"]["Reference"]["properties"]["paper"] = {
        "description": "The name of a file in ../references, a path that ends in .yaml, or a mapping.",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/Paper"}],
    }
    properties["profiles"] = {
        "description": "Named sets of overrides, keys dotted or nested; --profile NAME applies one.",
        "type": "object",
        "additionalProperties": {"type": "object"},
    }
    return {"$schema": DRAFT, **schema}


def task_schema() -> dict[str, Any]:
    """The schema of a file in `configs/tasks`."""
    schema = Task.model_json_schema()
    _require_source(schema)
    return {"$schema": DRAFT, **schema}


def reference_schema() -> dict[str, Any]:
    """The schema of a file in `configs/references`."""
    return {"$schema": DRAFT, **Paper.model_json_schema()}


def _require_source(schema: dict[str, Any]) -> None:
    for model in (Files, Hub, SampleData):
        schema["$defs"][model.__name__]["required"].insert(0, "source")
