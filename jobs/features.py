"""Hidden states of every token of a task's texts in some layers of a frozen encoder, one file per split."""

import math

from layerscope.jobs.artifacts.examples import SplitName
from layerscope.jobs.artifacts.token_states import write_about_tokens, write_tokens
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.loading import load_encoder, snapshot_folder
from layerscope.jobs.encoders.token_states import token_states
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.features import FeaturesSpec

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
BUDGET = "feature_budget_gb"
"""Name of the experiment's limit on written data, in 10^9 bytes."""


def run(spec: FeaturesSpec, context: StageContext) -> dict[str, float]:
    """Write `<split>.safetensors` for each split, and what a head needs to know about the encoder.

    Raises:
        ValueError: the files would be larger than the budget, or a state does not fit float16.
    """
    start = snapshot_folder(context.inputs["encoder"], spec.snapshot)
    encoder = load_encoder(start, code=code_of(spec.encoder))
    splits = {name: read_split(context.inputs["data"], name) for name in SPLITS}
    width = encoder.config.hidden_size * len(spec.layers)
    num_tokens = sum(len(text) for split in splits.values() for text in split.texts)
    gigabytes = num_tokens * width * 2 / 1e9
    budget = context.limits.get(BUDGET, math.inf)
    if gigabytes > budget:
        raise ValueError(
            f"the features take {gigabytes:.3g} GB, over {BUDGET} {budget:g}: a shorter max_length, fewer "
            "layers, a higher budget, or training end to end (features: null) would be right"
        )
    for name, split in splits.items():
        states = token_states(
            encoder,
            split.texts,
            layers=spec.layers,
            pad_id=encoder.config.pad_token_id or 0,
            device=context.device,
        )
        lengths = [len(text) for text in split.texts]
        write_tokens(context.out, name, states, lengths=lengths, width=width)
    dropout = getattr(encoder.config, "hidden_dropout_prob", 0.1)
    write_about_tokens(context.out, layers=spec.layers, dropout=dropout)
    return {"tokens": float(num_tokens), "width": float(width), "gigabytes": gigabytes}
