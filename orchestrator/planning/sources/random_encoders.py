"""Randomly initialised encoders: built once on this machine, then located like any other folder."""

import os
import shutil
from pathlib import Path

from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from layerscope.jobs.user_cache import cache_folder
from layerscope.orchestrator.experiment.experiment import Scratch
from layerscope.orchestrator.planning.fingerprint import fingerprint


def scratch_name(scratch: Scratch) -> str:
    """What the encoder is called."""
    return f"{scratch.architecture} of {scratch.layers} x {scratch.width} from scratch"


def scratch_folder(scratch: Scratch) -> Path:
    """The folder of the encoder under `~/.cache/layerscope` (`$XDG_CACHE_HOME`), built if it is not there.

    The same numbers and tokenizer files give the same folder.

    Raises:
        ValueError: there is no such tokenizer, or the numbers do not go together.
    """
    tokenizer = Path(scratch.tokenizer).expanduser()
    content = scratch.model_dump(exclude={"tokenizer"}) | {"tokenizer": tokenizer_digest(tokenizer)}
    folder = cache_folder() / "encoders" / fingerprint(content)
    if folder.is_dir():
        return folder
    from layerscope.jobs.encoders.random_init import write_scratch_encoder

    aside = folder.with_name(f".{folder.name}-{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        given = scratch.model_dump(exclude={"tokenizer", "feed_forward"})
        feed_forward = scratch.feed_forward or 4 * scratch.width
        write_scratch_encoder(aside, **given, feed_forward=feed_forward, tokenizer=tokenizer)
        if not folder.is_dir():
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder
