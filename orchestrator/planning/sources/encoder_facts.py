"""Facts of an encoder: found once by loading it in a separate process, and cached by its digests."""

import json
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.encoders import EncoderFacts
from layerscope.jobs.user_cache import keep, kept, path_of
from layerscope.orchestrator.planning.sources.fresh_process import call_apart

CHECKS_VERSION = 1
"""Raised by hand when more is checked, or found in another way."""


@cache
def facts_of(folder: Path, *, digest: str, tokenizer_digest: str) -> EncoderFacts:
    """The facts of an encoder, from memory where its files and transformers are those of an earlier time.

    Raises:
        ValueError: the encoder cannot be used; says why.
    """
    parts = (str(CHECKS_VERSION), digest, tokenizer_digest)
    memory = path_of("encoder_facts", *parts, libraries=("torch", "transformers"))
    try:
        return EncoderFacts.model_validate_json(kept(memory) or "")
    except ValidationError:  # Nothing is remembered, or it was damaged.
        target = "layerscope.jobs.encoders.facts:encoder_facts"
        found = call_apart(target, folder=str(folder), code=code_of(digest))
    facts = EncoderFacts.model_validate_json(json.dumps(found))
    keep(memory, facts.model_dump_json(indent=1) + "\n")
    return facts
