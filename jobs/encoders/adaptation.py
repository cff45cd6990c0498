"""Preparation of an encoder for a recipe: frozen layers, re-initialised layers and adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

from layerscope.jobs.encoders.architecture import layer_of_parameter, layers_of
from layerscope.jobs.encoders.layout import layout_of
from layerscope.jobs.specs.recipe import Training

if TYPE_CHECKING:
    from peft.tuners.lora import LoraModel


class Adaptation:
    """An encoder prepared for a recipe, with adapters merged afterwards."""

    def __init__(self, encoder: PreTrainedModel, training: Training, *, seed: int) -> None:
        """Change the encoder in place.

        Args:
            seed: Seed of re-initialised layers.

        Raises:
            ValueError: the recipe has more layers than the encoder, or needs layers that share their weights.
        """
        if training.reinitialised_layers:
            reinitialise_top(encoder, training.reinitialised_layers, seed=seed)
        if training.frozen_layers:
            freeze_below(encoder, training.frozen_layers)
        self._adapters: LoraModel | None = None
        if training.lora_rank is not None:
            self._adapters = add_adapters(
                encoder, rank=training.lora_rank, alpha=training.lora_alpha, dropout=training.lora_dropout
            )

    def plain_weights(self, encoder: PreTrainedModel) -> dict[str, torch.Tensor] | None:
        """The weights that `merge` would give, without merging; None without adapters."""
        if self._adapters is None:
            return None
        adapted = {
            f"{name}.weight": part.get_delta_weight("default")
            for name, part in encoder.named_modules()
            if hasattr(part, "get_delta_weight")
        }
        weights = {
            name.replace(".base_layer.", "."): value.detach()
            for name, value in encoder.state_dict().items()
            if ".lora_" not in name
        }
        return weights | {name: weights[name] + delta.detach() for name, delta in adapted.items()}

    def merge(self) -> None:
        """Merge the adapters into the encoder's weights."""
        if self._adapters is not None:
            self._adapters.merge_and_unload()
            self._adapters = None


def freeze_below(encoder: PreTrainedModel, num_layers: int | Literal["all"]) -> None:
    """Freeze the embeddings and this many bottom layers, or the whole encoder for `all`."""
    if num_layers == "all":
        encoder.requires_grad_(False)
        return
    _check_depth(encoder, "frozen_layers", num_layers)
    for name, depth in layer_of_parameter(encoder).items():
        if depth <= num_layers:
            encoder.get_parameter(name).requires_grad_(False)


def reinitialise_top(encoder: PreTrainedModel, num_layers: int, *, seed: int) -> None:
    """Re-initialise the top layers with the encoder's own initialisation."""
    _check_depth(encoder, "reinitialised_layers", num_layers)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in layers_of(encoder)[-num_layers:]:
            # transformers marks loaded weights and does not initialise them again.
            for part in [*layer.modules(), *layer.parameters(), *layer.buffers()]:
                part._is_hf_initialized = False  # type: ignore[attr-defined]  # transformers' own mark
            layer.apply(encoder._init_weights)


def add_adapters(encoder: PreTrainedModel, *, rank: int, alpha: float, dropout: float) -> LoraModel:
    """LoRA adapters on every linear module of every layer; nothing else of the encoder is trained."""
    # Slow to import, and few recipes need it.
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    unread = {id(encoder.get_parameter(name)) for name in layout_of(encoder).unread}
    linear = {
        id(part): isinstance(part, Conv1D)
        for layer in layers_of(encoder)
        for part in layer.modules()
        if isinstance(part, nn.Linear | Conv1D) and id(part.weight) not in unread
    }
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # it scales by alpha / rank, whole or not
        lora_dropout=dropout,
        target_modules=[name for name, part in encoder.named_modules() if id(part) in linear],
        fan_in_fan_out=all(linear.values()),
        bias="none",
    )
    return LoraModel(encoder, config, "default")


def _check_depth(encoder: PreTrainedModel, factor: str, num_layers: int) -> None:
    depth = len(layers_of(encoder))
    if num_layers > depth:
        raise ValueError(f"{factor}: must be at most {depth}, the layers of the encoder, not {num_layers}")
