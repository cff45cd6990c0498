"""An encoder of the same shape with fresh weights: what of a probe's accuracy needs no pretraining?"""

import torch
from transformers import AutoModel

from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.checked_loading import read_config
from layerscope.jobs.encoders.loading import save_encoder
from layerscope.jobs.specs.stages import RandomEncoderSpec


def run(spec: RandomEncoderSpec, context: StageContext) -> dict[str, float]:
    """Leave the encoder as `AutoModel` loads it, with the tokenizer of the outside file."""
    folder = context.inputs["encoder"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        encoder = AutoModel.from_config(read_config(folder), dtype=torch.float32)
    save_encoder(encoder, context.out, tokenizer_from=folder)
    return {"parameters": float(sum(weights.numel() for weights in encoder.parameters()))}
