"""A randomly initialised encoder of the same architecture, as a baseline for probes."""

from pathlib import Path

import torch
from transformers import AutoModel, PreTrainedModel

from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.checked_loading import read_config
from layerscope.jobs.encoders.loading import save_encoder
from layerscope.jobs.encoders.own_classes import own_class
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.stages import RandomEncoderSpec


def run(spec: RandomEncoderSpec, context: StageContext) -> dict[str, float]:
    """Leave the encoder as `AutoModel` loads it, with the tokenizer of the outside file."""
    folder = context.inputs["encoder"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        encoder = _fresh(folder, code_of(spec.encoder))
    save_encoder(encoder, context.out, tokenizer_from=folder)
    return {"parameters": float(sum(weights.numel() for weights in encoder.parameters()))}


def _fresh(folder: Path, code: str | None) -> PreTrainedModel:
    config = read_config(folder, code=code)
    own = None if code is None else own_class(AutoModel, config, folder)
    if own is None:
        fresh: PreTrainedModel = AutoModel.from_config(config, dtype=torch.float32)
    else:
        fresh = own._from_config(config, dtype=torch.float32)
    return fresh
