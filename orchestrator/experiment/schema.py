"""The JSON schema of an experiment file, for editors; what may be written, shorthands included."""

from typing import Any

from jobs.specs.stages import SampleData
from orchestrator.experiment.experiment import Experiment, Files, Hub


def experiment_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). It cannot say what must hold between keys; reading checks that."""
    schema = Experiment.model_json_schema()
    properties, definitions = schema["properties"], schema["$defs"]
    for model in (Files, Hub, SampleData):
        definitions[model.__name__]["required"].insert(0, "source")
    properties["encoder"] = {
        "description": "A name on the Hugging Face Hub, a folder (/..., ./..., ../...), or a mapping.",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/EncoderSource"}],
    }
    properties["tasks"]["description"] = "Names of files in ../tasks, paths that end in .yaml, or mappings."
    properties["tasks"]["items"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Task"}]}
    properties["profiles"] = {
        "description": "Named sets of overrides, keys dotted or nested; --profile NAME applies one.",
        "type": "object",
        "additionalProperties": {"type": "object"},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
