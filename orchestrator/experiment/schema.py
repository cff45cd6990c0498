"""JSON schemas of experiment and task files, for editors; what may be written, shorthands included."""

from typing import Any

from jobs.specs.stages import SampleData
from orchestrator.experiment.experiment import Corpus, CorpusFiles, Experiment, Files, Hub

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
    for name, model in (("tasks", "Task"), ("corpora", "Corpus")):
        properties[name]["description"] = "Names of files in ../tasks, paths that end in .yaml, or mappings."
        properties[name]["items"] = {"anyOf": [{"type": "string"}, {"$ref": f"#/$defs/{model}"}]}
    properties["profiles"] = {
        "description": "Named sets of overrides, keys dotted or nested; --profile NAME applies one.",
        "type": "object",
        "additionalProperties": {"type": "object"},
    }
    return {"$schema": DRAFT, **schema}


def task_schema() -> dict[str, Any]:
    """The schema of a file in `configs/tasks`; one without a test split can stand under `corpora` only."""
    schema = Corpus.model_json_schema()
    _require_source(schema)
    return {"$schema": DRAFT, **schema}


def _require_source(schema: dict[str, Any]) -> None:
    for name in (model.__name__ for model in (Files, CorpusFiles, Hub, SampleData)):
        if name in schema["$defs"]:
            schema["$defs"][name]["required"].insert(0, "source")
