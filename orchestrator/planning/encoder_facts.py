"""What an encoder is: found once by loading it, in a process of its own, and remembered by its digests."""

import json
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from jobs.specs.encoders import EncoderFacts
from orchestrator.planning.fingerprint import fingerprint
from orchestrator.planning.fresh_process import call_apart

CHECKS_VERSION = 1
"""Raised by hand when more is checked, or found in another way."""


@cache
def facts_of(folder: Path, *, digest: str, tokenizer_digest: str) -> EncoderFacts:
    """The facts of an encoder, from memory where its files and transformers are those of an earlier time.

    Raises:
        ValueError: the encoder cannot be used; says why.
    """
    memory = _memory(digest, tokenizer_digest)
    try:
        return EncoderFacts.model_validate_json(memory.read_text(encoding="utf-8"))
    except (OSError, ValidationError):  # Only a shortcut: it is found anew.
        pass
    found = call_apart("jobs.encoders.facts:encoder_facts", folder=str(folder))
    facts = EncoderFacts.model_validate_json(json.dumps(found))
    _remember(memory, facts)
    return facts


def _memory(digest: str, tokenizer_digest: str) -> Path:
    """A file under `~/.cache/layerscope` (`$XDG_CACHE_HOME`)."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = fingerprint(
        {
            "checks": CHECKS_VERSION,
            "encoder": digest,
            "tokenizer": tokenizer_digest,
            "torch": version("torch"),
            "transformers": version("transformers"),
        }
    )
    return cache_home / "layerscope" / "encoder_facts" / f"{name}.json"


def _remember(memory: Path, facts: EncoderFacts) -> None:
    aside = memory.with_name(f".{memory.name}.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
        aside.replace(memory)
    except OSError:  # A place that cannot be written costs time only.
        return
