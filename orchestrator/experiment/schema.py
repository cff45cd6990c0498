"""JSON schemas of experiment, task and reference files, for editors; shorthands included."""

from typing import Any

from layerscope.jobs.specs.annotations import SampleAnnotationsData
from layerscope.jobs.specs.references import Paper
from layerscope.jobs.specs.stages import SampleData
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.tasks import AnnotatedFiles, Corpus, CorpusFiles, Files, Hub, Task

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
    for pattern in properties["encoders"]["patternProperties"]:
        properties["encoders"]["patternProperties"][pattern] = properties["encoder"]
    for name, model in (("tasks", "Task"), ("probing", "Task"), ("corpora", "Corpus")):
        properties[name]["description"] = "Names of files in ../tasks, paths that end in .yaml, or mappings."
        properties[name]["items"] = {"anyOf": [{"type": "string"}, {"$ref": f"#/$defs/{model}"}]}
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
    """The schema of a file in `configs/tasks`; one without a test split can be used under `corpora` only."""
    schema, corpus = Task.model_json_schema(), Corpus.model_json_schema()
    schema["$defs"]["CorpusFiles"] = corpus["$defs"]["CorpusFiles"]
    kinds = schema["properties"]["data"]
    kinds["oneOf"] = [
        {"$ref": "#/$defs/CorpusFiles"} if kind["$ref"] == "#/$defs/Files" else kind
        for kind in kinds["oneOf"]
    ]
    kinds["discriminator"]["mapping"]["files"] = "#/$defs/CorpusFiles"
    del schema["$defs"]["Files"]
    _require_source(schema)
    return {"$schema": DRAFT, **schema}


def reference_schema() -> dict[str, Any]:
    """The schema of a file in `configs/references`."""
    return {"$schema": DRAFT, **Paper.model_json_schema()}


def _require_source(schema: dict[str, Any]) -> None:
    for name in (
        model.__name__
        for model in (Files, CorpusFiles, Hub, SampleData, AnnotatedFiles, SampleAnnotationsData)
    ):
        if name in schema["$defs"]:
            schema["$defs"][name]["required"].insert(0, "source")
