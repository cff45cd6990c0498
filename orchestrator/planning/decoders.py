"""What a recipe may not ask of a decoder-only model, whose tokens see only those before them."""

import json
from collections.abc import Iterator
from pathlib import Path

from orchestrator.experiment.experiment import Experiment
from orchestrator.experiment.variants import grid_cells, values_in
from orchestrator.planning.encoders import LocatedEncoder, model_type

DECODERS = (
    "bloom",
    "cohere",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "olmo",
    "olmo2",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "stablelm",
    "starcoder2",
)
"""Model types of transformers that read from left to right; others are known by `architectures` alone."""


def decoder_faults(experiment: Experiment, encoder: LocatedEncoder, name: str) -> Iterator[str]:
    """Heads on the first token and masked tokens, in words; none for other models.

    Args:
        name: Of the encoder in the experiment.
    """
    kind = model_type(encoder.folder)
    if kind not in DECODERS and not _predicts_next_token(encoder.folder):
        return
    cells = [cell for cell in grid_cells(experiment) if name in values_in(experiment, cell, "encoder")]
    why = f"{encoder.name} is of the type {kind}, which reads from left to right"
    if any(not task.has_units for task in (*experiment.tasks, *experiment.probing)):
        poolings = {value for cell in cells for value in values_in(experiment, cell, "pooling")}
        for pooling in sorted(poolings & {"cls", "pooler"}):
            yield f"pooling: {why}: the first token sees no other, so must be last or mean, not {pooling}"
    starts = {str(value) for cell in cells for value in values_in(experiment, cell, "pretraining")}
    for start in sorted(starts - {"none"}):
        first = start.partition("@")[0]
        if first not in experiment.multi_task:
            yield f"pretraining: {why}: it has no head for masked tokens, so must be none, not {start}"
            continue
        joint = experiment.multi_task[first]
        if joint.pooling == "cls":
            yield f"multi_task.{first}.pooling: {why}: must be last or mean, not cls"
        if joint.after is not None:
            yield f"multi_task.{first}.after: {why}: it has no head for masked tokens: leave it out"


def _predicts_next_token(folder: Path) -> bool:
    """Whether config.json names a head for the next token, as weights from the Hub have it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return any(name.endswith("ForCausalLM") for name in config.get("architectures") or ())
