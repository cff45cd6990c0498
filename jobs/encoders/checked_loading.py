"""Loads transformers models from folders; rejects weights that do not fit their configuration."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig, PreTrainedModel

from layerscope.jobs.encoders.layout import encoder_under, layout_of
from layerscope.jobs.encoders.own_classes import own_class
from layerscope.jobs.own_code import allow_code, how_to_allow, own_classes
from layerscope.jobs.specs.encoders import ADAPTER, adapter_fault

OPTIONS = {"dtype": "float32", "weights_only": True, "trust_remote_code": False}
"""Options of every `from_pretrained` of a model."""
POOLER = "pooler"
NAMES_SHOWN = 6
_CONSTANTS = ("inv_freq", "masked_bias", "position_ids")
"""Name suffixes of tensors that older versions of transformers stored although they are not weights."""


def read_config(folder: Path, *, code: str | None = None) -> PreTrainedConfig:
    """The configuration of a folder whose type transformers knows, or the folder's own code.

    Args:
        code: The digest of the folder's own code, if it may be run (`own_code.code_of`).

    Raises:
        ValueError: the type is unknown, as for models whose code is in their folder and may not be run; or
            the code cannot be run.
    """
    path = folder / "config.json"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(written, dict):
        raise ValueError(f"{path} must hold a JSON object, not {type(written).__name__}")
    if (folder / ADAPTER).exists():
        raise ValueError(adapter_fault(folder))
    runs_code = allow_code(folder, code)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=runs_code)
    except Exception as error:  # Any error of a configuration's own checks.
        kind, own = written.get("model_type"), own_classes(folder)
        if own and kind not in CONFIG_MAPPING and not runs_code:
            raise ValueError(
                f"{folder} has code of its own (auto_map in config.json: {', '.join(own)}), which is not run "
                f"unless the experiment says so, and transformers has no model_type {kind!r}: "
                f"{how_to_allow(folder)}; or use a model of a type that transformers has"
            ) from error
        raise ValueError(f"{path}: {str(error).strip() or type(error).__name__}") from error
    if getattr(config, "quantization_config", None) is not None:
        raise ValueError(
            f"{path} has a quantization_config: quantised weights cannot be trained; save the model without "
            "it"
        )
    return config


def load_checked(
    kind: Any, folder: Path, *, code: str | None = None, heads_may_be_new: bool = False, **options: Any
) -> PreTrainedModel:
    """A model with every weight from the folder.

    Weights in the folder for other heads, and poolers, are ignored. Weights that no state of a layer depends
    on may be missing.

    Args:
        kind: The `Auto...` class that loads it.
        code: As in `read_config`.
        heads_may_be_new: Whether heads and a pooler may be randomly initialised.

    Raises:
        ValueError: weights are missing, have another shape, or belong to the encoder but do not exist in it.
    """
    config = read_config(folder, code=code)
    try:
        with torch.inference_mode(False):
            model, found = load_with_findings(kind, folder, config, code=code, **options)
    except Exception as error:  # Any error of reading the files or building the model.
        raise ValueError(
            f"the weights in {folder} cannot be read, or its config.json not built: "
            f"{type(error).__name__}: {error}"
        ) from error
    encoder = encoder_under(model)
    prefix = "" if encoder is model else f"{model.base_model_prefix}."
    other_shapes = {name: (stored, own) for name, stored, own in found["mismatched_keys"]}
    _refuse_not_finite(model, folder)
    needed = _needed(encoder, prefix, {*found["missing_keys"], *other_shapes}, heads_may_be_new)
    missing = [name for name in needed if name not in other_shapes]
    faults = [
        *_named(f"are missing from the file{_under(missing, prefix, found['unexpected_keys'])}", missing),
        *_named(
            "have another shape than config.json says",
            [
                f"{name} {tuple(other_shapes[name][0])} instead of {tuple(other_shapes[name][1])}"
                for name in needed
                if name in other_shapes
            ],
        ),
        *_named(
            "have no place in the encoder that config.json describes",
            _left_over(encoder, found["unexpected_keys"], model.base_model_prefix),
        ),
    ]
    if faults:
        raise ValueError(
            f"the weights in {folder} are not those of a {type(model).__name__} with its config.json: "
            f"{'; '.join(faults)}. Missing weights are never initialised randomly: save the model again "
            "with save_pretrained, or fix config.json"
        )
    return model


def load_with_findings(
    kind: Any, folder: Path, config: PreTrainedConfig, *, code: str | None, **options: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model, and its missing, unexpected and mismatched weights, without checks.

    Args:
        config: Configuration from `read_config`.
    """
    loading = OPTIONS | {"output_loading_info": True, "ignore_mismatched_sizes": True}
    own = None if code is None else own_class(kind, config, folder)
    if own is not None:
        kind = own
        for name in [name for name in options if hasattr(config, name)]:
            setattr(config, name, options.pop(name))  # As `Auto...` classes do; others are the constructor's.
        options["config"] = config
    model, found = kind.from_pretrained(folder, **loading, **options)
    return model, found


def freeze_unread(encoder: PreTrainedModel, *, but: tuple[str, ...] = ()) -> None:
    """Freeze parameters that no state of a layer depends on; data-parallel training would wait for their
    gradients.

    Args:
        but: Parts that something else reads, which stay trainable.
    """
    for name in layout_of(encoder).unread:
        if not _is_part(name, but):
            encoder.get_parameter(name).requires_grad_(False)


def _needed(
    encoder: PreTrainedModel, prefix: str, lacking: Iterable[str], heads_may_be_new: bool
) -> list[str]:
    """Missing weights that states, or heads that must be stored, depend on."""
    names = sorted(lacking)
    if not names:
        return []
    own = [name for name in names if name.startswith(prefix)]
    heads = [] if heads_may_be_new else [name for name in names if not name.startswith(prefix)]
    unread = layout_of(encoder).unread
    return heads + [name for name in own if name.removeprefix(prefix) not in unread]


def _left_over(encoder: PreTrainedModel, names: Iterable[str], prefix: str) -> list[str]:
    """Unexpected weights in parts that the encoder has; weights of heads are in other parts."""
    parts = {name for name, _ in encoder.named_children()}
    constants = {name for name, _ in encoder.named_buffers()}
    own = {name: name.removeprefix(f"{prefix}.") for name in names}
    return sorted(
        name
        for name, inside in own.items()
        if inside.partition(".")[0] in parts
        and not _is_part(inside, (POOLER,))
        and inside not in constants
        and not inside.endswith(_CONSTANTS)
    )


def _under(missing: Sequence[str], prefix: str, left_over: Iterable[str]) -> str:
    """Hint for the message if the missing names exist with a longer prefix."""
    first = missing[0].removeprefix(prefix) if missing else ""
    longer = next((name for name in left_over if first and name.endswith(f".{first}")), None)
    if longer is None:
        return ""
    return f", which has them under names that begin with {longer.removesuffix(first)}"


def _refuse_not_finite(model: PreTrainedModel, folder: Path) -> None:
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"the weights in {folder} have values that are not finite: {name}")


def _is_part(name: str, parts: tuple[str, ...]) -> bool:
    return any(part in name.split(".") for part in parts)


def _named(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        yield f"{len(names)} {what} ({', '.join(names[:NAMES_SHOWN])}{more})"


def pooler_of(encoder: PreTrainedModel, missing: Iterable[str]) -> nn.Linear | None:
    """The dense layer of an encoder's pooler; None unless it has one with stored weights."""
    pooler = getattr(encoder, POOLER, None)
    dense = getattr(pooler, "dense", pooler)
    is_stored = not any(_is_part(name, (POOLER,)) for name in missing)
    return dense if isinstance(dense, nn.Linear) and is_stored else None
