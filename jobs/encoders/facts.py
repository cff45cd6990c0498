"""Facts of an encoder, found by forward passes and verified by properties before anything depends on them.

Axes: B texts, T tokens, D features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.overrides import TorchFunctionMode
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_PRETRAINING_MAPPING,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.initialization import no_init_weights

from layerscope.jobs.encoders.architecture import keep_layers
from layerscope.jobs.encoders.checked_loading import POOLER
from layerscope.jobs.encoders.layout import layer_states, layout_of, sample_ids, undisturbed
from layerscope.jobs.encoders.loading import load_encoder, load_with_pooler
from layerscope.jobs.encoders.own_classes import has_own_class
from layerscope.jobs.specs.encoders import EncoderFacts
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer

ROUNDING = 1e-4
"""Maximum difference of two computations of the same states, relative to the largest."""
SILENCE = 1e-6
"""A change up to this share of the largest counts as none: if a token is not attended to, sums are equal up
to the last bits."""
LONGEST_TRIED = 2048
"""Maximum number of tokens tried; the memory of a pass grows with its square."""
_LENGTH_FIELDS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
)
"""Configuration names of the maximum input length."""


def encoder_facts(folder: str, code: str | None = None) -> dict[str, Any]:
    """The fields of `EncoderFacts` of a folder, as JSON values.

    Args:
        code: The digest of the folder's own code, if it may be run (`own_code.code_of`).

    Raises:
        ValueError: layerscope cannot train or measure this encoder correctly, with reason and alternative.
    """
    try:
        facts = _facts(Path(folder), code)
    except Exception as error:
        if code is None or isinstance(error, ValueError):
            raise
        raise ValueError(f"the code in {folder} fails: {type(error).__name__}: {error}") from error
    return facts.model_dump(mode="json")


def _facts(folder: Path, code: str | None) -> EncoderFacts:
    encoder = load_encoder(folder, code=code).eval()
    config, layout = encoder.config, layout_of(encoder)
    vocabulary = encoder.get_input_embeddings().weight.shape[0]
    _refuse_large_tokenizer(load_tokenizer(folder, code=code), vocabulary, folder)
    with undisturbed(encoder), torch.no_grad():
        _refuse_padding_that_counts(encoder)
        is_causal = _is_causal(encoder)
        table = _position_table(encoder)
        cut_fault = _cut_to_one_layer(encoder)
        positions = _longest(encoder, table)
    return EncoderFacts(
        model_type=config.model_type,
        num_layers=layout.num_layers,
        width=config.hidden_size,
        vocabulary=vocabulary,
        positions=positions,
        is_causal=is_causal,
        shares_layers=not layout.layers,
        cut_fault=cut_fault,
        has_pooler=_has_pooler(folder, code),
        has_masked_head=(
            type(config) in MODEL_FOR_MASKED_LM_MAPPING or has_own_class(AutoModelForMaskedLM, encoder)
        ),
        has_next_sentence_head=_has_next_sentence_head(config),
        above=layout.above,
        unread=tuple(sorted(layout.unread)),
    )


def _refuse_large_tokenizer(tokenizer: Tokenizer, vocabulary: int, folder: Path) -> None:
    ids = tokenizer.get_vocab(with_added_tokens=True)
    beyond = sorted((number, token) for token, number in ids.items() if number >= vocabulary)
    if beyond:
        shown = ", ".join(f"{token!r} is {number}" for number, token in beyond[:3])
        raise ValueError(
            f"the tokenizer in {folder} has {len(beyond)} tokens that the encoder has no embedding for: "
            f"{shown}, and the table has {vocabulary} rows; save the model after "
            f"resize_token_embeddings({beyond[-1][0] + 1}), or use the tokenizer that it was trained with"
        )


def _refuse_padding_that_counts(encoder: PreTrainedModel) -> None:
    """The states of a text must not depend on the other texts in its batch."""
    ids = sample_ids(encoder, 9)
    longer, shorter = ids[:, :8], ids[:, 2:7]
    pad_id = encoder.config.pad_token_id or 0
    padded = torch.nn.functional.pad(shorter, (0, 3), value=pad_id)
    mask_BT = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    together = _states(encoder, torch.cat([longer, padded]), mask_BT)
    for layer, (both, alone) in enumerate(zip(together, _states(encoder, shorter), strict=True)):
        if not _same(both[1:, :5], alone):
            raise ValueError(
                f"{_name(encoder)} gives different states for a padded text (layer {layer}), so its "
                "scores would depend on the other texts of a batch: it cannot be used"
            )


def _is_causal(encoder: PreTrainedModel) -> bool:
    ids = sample_ids(encoder, 9)
    text, other = ids[:, :8], ids[:, 8:]
    states = _states(encoder, text)[-1]
    without_last = _states(encoder, torch.cat([text[:, :-1], other], dim=1))[-1]
    without_first = _states(encoder, torch.cat([other, text[:, 1:]], dim=1))[-1]
    if _same(states[:, 1:], without_first[:, 1:], within=SILENCE):
        raise ValueError(
            f"in {_name(encoder)} no token sees another on this machine (some attention needs a kernel for "
            "GPUs and gives nothing without it): its states would say nothing of a text"
        )
    return _same(states[:, :-1], without_last[:, :-1], within=SILENCE)


def _cut_to_one_layer(encoder: PreTrainedModel) -> str | None:
    """Remove the top layer repeatedly: each state must equal the output of the encoder truncated there, also
    after rebuilding it from its configuration.

    Returns:
        Why the encoder cannot be truncated, if its layers share weights.
    """
    ids, depth = sample_ids(encoder), layout_of(encoder).num_layers
    states = _states(encoder, ids)
    for number in range(depth - 1, 0, -1):
        try:
            keep_layers(encoder, number)
        except ValueError as error:
            return str(error)
        models = [encoder, _built_anew(encoder)] if number in (1, depth - 1) else [encoder]
        if not all(_same(_states(model, ids)[-1], states[number]) for model in models):
            raise ValueError(
                f"the state of layer {number} of {_name(encoder)} is not what the encoder cut there gives, "
                "so nothing that is measured of its layers would hold: it cannot be used"
            )
    return None


def _built_anew(encoder: PreTrainedModel) -> PreTrainedModel:
    """The encoder rebuilt from a copy of its configuration, as when loading a stored folder."""
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    with no_init_weights():
        model: PreTrainedModel = type(encoder)(config)
    lacking, left_over = model.load_state_dict(encoder.state_dict(), strict=False)
    if left_over or any(POOLER not in name.split(".") for name in lacking):
        raise ValueError(
            f"{_name(encoder)} cut to {encoder.config.num_hidden_layers} layers cannot be built from its "
            f"configuration again: {', '.join([*left_over, *lacking][:4])}"
        )
    model.eval()
    return model


class _EmbeddedIds(TorchFunctionMode):
    """Records the ids and the number of rows of every embedding look-up."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[torch.Tensor, int]] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is torch.nn.functional.embedding:
            self.found.append((args[0], args[1].shape[0]))
        return function(*args, **(kwargs or {}))


def _position_table(encoder: PreTrainedModel) -> int | None:
    """Number of tokens that a position table has rows for; None if no look-up has consecutive positions."""
    ids = sample_ids(encoder, 8)
    with _EmbeddedIds() as embedded:
        _states(encoder, ids)
    sizes = []
    for found, rows in embedded.found:
        if found.numel() == ids.numel():
            first = int(found.flatten()[0])
            if torch.equal(found.flatten().cpu(), torch.arange(first, first + ids.numel())):
                sizes.append(rows - first)
    return min(sizes, default=None)


def _longest(encoder: PreTrainedModel, table: int | None) -> int | None:
    """The longest input that runs, of up to `LONGEST_TRIED` tokens; None if longer ones run too."""
    written = [getattr(encoder.config, name, None) for name in _LENGTH_FIELDS]
    claimed = table or max((size for size in written if isinstance(size, int) and size > 0), default=None)
    if claimed is None:
        return None
    tried = min(claimed, LONGEST_TRIED)
    if _runs(encoder, tried):
        return table if table is not None or tried < claimed or _runs(encoder, claimed + 1) else claimed
    fits, fails = 8, tried
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if _runs(encoder, middle) else (fits, middle)
    return fits


def _runs(encoder: PreTrainedModel, num_tokens: int) -> bool:
    try:
        _states(encoder, sample_ids(encoder, num_tokens))
    except (IndexError, RuntimeError, ValueError):
        return False
    return True


def _has_pooler(folder: Path, code: str | None) -> bool:
    """Whether a pooler is stored and has the form that heads need: tanh of a dense layer on the first
    token."""
    whole, dense = load_with_pooler(folder, code=code)
    if dense is None:
        return False
    ids = sample_ids(whole)
    with undisturbed(whole), torch.no_grad():
        output = whole(input_ids=ids, attention_mask=torch.ones_like(ids))
        pooled = getattr(output, "pooler_output", None)
        return pooled is not None and _same(pooled, torch.tanh(dense(output.last_hidden_state[:, 0])))


def _has_next_sentence_head(config: PreTrainedConfig) -> bool:
    if type(config) not in MODEL_FOR_PRETRAINING_MAPPING:
        return False
    with torch.device("meta"), no_init_weights():
        model = AutoModelForPreTraining.from_config(config)
    return any(name.endswith("seq_relationship") for name, _ in model.named_modules())


def _states(
    encoder: PreTrainedModel, ids_BT: torch.Tensor, mask_BT: torch.Tensor | None = None
) -> list[torch.Tensor]:
    mask_BT = torch.ones_like(ids_BT) if mask_BT is None else mask_BT
    return layer_states(encoder, encoder(input_ids=ids_BT, attention_mask=mask_BT, output_hidden_states=True))


def _same(one: torch.Tensor, other: torch.Tensor, *, within: float = ROUNDING) -> bool:
    return bool((one - other).abs().max() <= within * other.abs().max())


def _name(encoder: PreTrainedModel) -> str:
    return type(encoder).__name__
