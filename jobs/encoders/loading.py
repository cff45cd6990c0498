"""Loads and saves encoders: safetensors weights, the pooler separately, and permitted custom code."""

import inspect
import shutil
from pathlib import Path
from typing import assert_never

import torch
from torch import nn
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_MAPPING,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    PreTrainedModel,
)

from layerscope.jobs.encoders.checked_loading import (
    POOLER,
    freeze_unread,
    load_checked,
    load_with_findings,
    pooler_of,
    read_config,
)
from layerscope.jobs.encoders.layout import encoder_under
from layerscope.jobs.encoders.own_classes import own_class
from layerscope.jobs.own_code import code_files
from layerscope.jobs.specs.stages import Checkpoint
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_files


def load_encoder(folder: Path, *, code: str | None = None) -> PreTrainedModel:
    """The bare encoder of a folder in float32, without a pooler; parameters that no state depends on are
    frozen.

    A pooler that nothing reads would be an unused parameter, which data-parallel training refuses.

    Args:
        code: As of `read_config`.

    Raises:
        ValueError: the folder's weights are not those of its configuration, or it needs code of its own that
            may not be run.
    """
    config = read_config(folder, code=code)
    own = None if code is None else own_class(AutoModel, config, folder)
    options = {"add_pooling_layer": False} if _takes_pooling_layer(own or MODEL_MAPPING[type(config)]) else {}
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING and hasattr(config, "use_cache"):
        options["use_cache"] = False  # Decoders would keep keys and values for a text that does not go on.
    encoder = load_checked(AutoModel, folder, code=code, **options)
    freeze_unread(encoder)
    return encoder


def load_pooler(folder: Path, *, code: str | None = None) -> dict[str, torch.Tensor]:
    """`weight` and `bias` of the dense layer through which the folder's encoder passes its first token.

    Raises:
        ValueError: the encoder has no pooler, or the folder no weights for it.
    """
    encoder, dense = load_with_pooler(folder, code=code)
    if dense is None:
        raise ValueError(f"{folder}: {type(encoder).__name__} has no pooler there: pool by cls, mean or last")
    return dense.state_dict()


def load_with_pooler(folder: Path, *, code: str | None = None) -> tuple[PreTrainedModel, nn.Linear | None]:
    """The encoder of a folder, and the dense layer of its pooler, if that is stored."""
    encoder, found = load_with_findings(AutoModel, folder, read_config(folder, code=code), code=code)
    lacking = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    return encoder, pooler_of(encoder, lacking)


def load_for_pretraining(folder: Path, *, next_sentence: bool, code: str | None = None) -> PreTrainedModel:
    """The encoder of a folder with its masked-language-modelling head and, if requested, next-sentence head;
    heads that are not stored are randomly initialised.

    Raises:
        ValueError: as in `load_encoder`.
    """
    kind = AutoModelForPreTraining if next_sentence else AutoModelForMaskedLM
    model = load_checked(kind, folder, code=code, heads_may_be_new=True)
    freeze_unread(encoder_under(model), but=(POOLER,) if next_sentence else ())
    return model


def snapshot_folder(folder: Path, step: Checkpoint | None) -> Path:
    """Folder of a training's encoder at a step, or at a share of the steps; None means the final encoder."""
    match step:
        case None:
            return folder
        case int():
            return folder / f"step-{step}"
        case float():
            return folder / f"share-{step}"
        case never:
            assert_never(never)


def save_encoder(
    encoder: PreTrainedModel,
    folder: Path,
    *,
    tokenizer_from: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write config, safetensors weights and the tokenizer's files, so that `AutoModel` loads the folder.

    For an encoder with its own code, all files beside its tokenizer are copied too, so that the code's digest
    does not change.

    Args:
        tokenizer_from: The folder that the encoder was loaded from.
        weights: Weights to write instead of the encoder's own.
    """
    encoder.save_pretrained(folder, state_dict=weights)
    code = code_files(tokenizer_from) if encoder.is_remote_code() else ()
    for path in (*tokenizer_files(tokenizer_from), *code):
        shutil.copyfile(path, folder / path.name)


def save_pretrained_further(
    model: PreTrainedModel, folder: Path, *, start: Path, code: str | None = None
) -> None:
    """Write encoder, heads and tokenizer, so that `AutoModel` and further trainings can load the folder.

    Args:
        start: Folder of the base model. A pooler that is stored there and that the model does not have,
            because the training did not use it, is written unchanged.
    """
    encoder = model.base_model
    lacks_pooler = getattr(encoder, POOLER, False) is None
    if lacks_pooler:
        setattr(encoder, POOLER, _stored_pooler(start, code))
    try:
        save_encoder(model, folder, tokenizer_from=start)
    finally:
        if lacks_pooler:
            setattr(encoder, POOLER, None)


def _stored_pooler(folder: Path, code: str | None) -> nn.Module | None:
    # Loading randomly initialises what is not stored, which must not change the training's random state.
    with torch.random.fork_rng(devices=[]):
        encoder, dense = load_with_pooler(folder, code=code)
    return None if dense is None else encoder.get_submodule(POOLER)


def _takes_pooling_layer(kind: type[PreTrainedModel] | tuple[type | None, ...]) -> bool:
    return isinstance(kind, type) and "add_pooling_layer" in inspect.signature(kind.__init__).parameters
