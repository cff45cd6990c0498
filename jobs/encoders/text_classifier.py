"""A linear classifier of pooled states as a standard transformers class, if one can compute it.

A class is found by trial: it gets the weights of encoder and head, and is accepted if it gives the logits
measured on a padded batch. Most classes have two linear maps with a nonlinearity f between them. They can
still compute a linear head z, because f(z) - f(-z) is z for ReLU, GELU and SiLU, and 2 z for tanh if z is
small: the lower map is [s W; -s W], the upper one [I, -I] divided by the measured slope.

Axes: B texts, K labels, D features.
"""

import copy
import dataclasses
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.encoders.answering_classes import has_class, new_model, text_logits
from layerscope.jobs.encoders.text_head import TextHead
from layerscope.jobs.specs.recipe import TokenPooling
from layerscope.jobs.specs.targets import TARGET_FACTS, Kind, Target

AGREEING = 3e-5
"""Maximum difference of logits relative to the largest; other float32 summation orders give a tenth of it."""
EXPONENTS = (0, -5, -8)
"""Exponents of 2 for the largest z in the lower map. ReLU, GELU and SiLU are exact at any size; below a
normalisation z must be small, but above its rounding; for tanh, smaller. All fit into half precision."""

READING: dict[str, dict[TokenPooling, tuple[str, ...]]] = {
    "classifier_pooling": {"cls": ("bos", "cls"), "mean": ("mean",), "last": ()},
    "summary_type": {"cls": ("first",), "mean": ("mean",), "last": ("last",)},
}
"""Configuration fields that select the states a classifier reads, with their value for each pooling."""


@dataclass(frozen=True)
class Trial:
    """Texts and logits that test a class."""

    split: Split
    """Texts of different lengths, so that the batch has padding."""
    pad_id: int
    """The tokenizer's padding id."""
    pooling: TokenPooling
    promised_BK: np.ndarray
    """The measured logits."""

    def logits(self, model: PreTrainedModel, kind: Kind) -> np.ndarray:
        """The model's logits for the texts."""
        return text_logits(model, kind, self.split, pooling=self.pooling, pad_id=self.pad_id).numpy()

    def is_passed_by(self, model: PreTrainedModel, kind: Kind) -> bool:
        """Whether the model's logits agree with the measured ones."""
        found_BK = self.logits(model, kind)
        if found_BK.shape != self.promised_BK.shape:
            return False
        largest = max(1.0, float(np.abs(self.promised_BK).max()))
        return bool(np.abs(found_BK - self.promised_BK).max() <= AGREEING * largest)


def text_classifier(
    encoder: PreTrainedModel, config: PreTrainedConfig, head: TextHead, *, target: Target, trial: Trial
) -> tuple[PreTrainedModel, Kind] | None:
    """A model that gives the trial's logits, and its kind; None if no class does.

    Args:
        config: The encoder's configuration, with the labels.
    """
    for kind in TARGET_FACTS[target].loaded_as:
        for settings in _settings(config, head.pooling, trial.pad_id) if has_class(config, kind) else ():
            model = new_model(_with(config, settings), kind)
            take_encoder(model, encoder)
            # The model keeps the weights of the filling that passed.
            if any(trial.is_passed_by(model, kind) for _ in _fillings(model, kind, encoder, head, trial)):
                return model, kind
    return None


def _settings(config: PreTrainedConfig, pooling: TokenPooling, pad_id: int) -> Iterator[dict[str, Any]]:
    """Changes of the configuration to try: the padding token, and what the classifier reads."""
    always: dict[str, Any] = {}
    if pooling == "last" or config.pad_token_id is None:
        always["pad_token_id"] = pad_id
    if hasattr(config, "classifier_bias"):
        always["classifier_bias"] = True
    yield always
    types = {field.name: field.type for field in dataclasses.fields(config)}
    for field, values in READING.items():
        known = typing.get_args(types.get(field)) or values[pooling][:1]
        for value in values[pooling] if hasattr(config, field) else ():
            if value in known and value != getattr(config, field):
                yield always | {field: value}


def _with(config: PreTrainedConfig, settings: dict[str, Any]) -> PreTrainedConfig:
    changed = copy.deepcopy(config)
    for name, value in settings.items():
        setattr(changed, name, value)
    return changed


def take_encoder(model: PreTrainedModel, encoder: PreTrainedModel) -> None:
    """Copy every encoder weight that the model has.

    Weights that it does not have (such as ESM's unread head on all layers, in a model with fewer) matter only
    if the model then fails its trial.
    """
    places = model.base_model.state_dict()
    weights = {
        name: value
        for name, value in encoder.state_dict().items()
        if name in places and places[name].shape == value.shape
    }
    model.base_model.load_state_dict(weights, strict=False)


def _fillings(
    model: PreTrainedModel,
    kind: Kind,
    encoder: PreTrainedModel,
    head: TextHead,
    trial: Trial,
) -> Iterator[None]:
    """Fill the model's own linear maps in each possible way."""
    maps = _own_maps(model, encoder)
    upper = [linear for linear in maps if linear.out_features == head.num_labels]
    if len(upper) != 1:
        return
    lower = [linear for linear in maps if linear is not upper[0]]
    width, room = head.weight_KD.shape[1], 2 * head.num_labels
    if any(linear.in_features != width for linear in lower or upper):
        return
    if head.pooler is not None:
        if all(linear.out_features == width for linear in lower) and upper[0].in_features == width:
            for linear in lower:
                _fill(linear, *head.pooler)
            _fill(upper[0], head.weight_KD, head.bias_K)
            yield
    elif not lower:
        yield from _one_map(model, upper[0], head)
    elif upper[0].in_features >= room and all(linear.out_features >= room for linear in lower):
        yield from _two_maps(upper[0], lower, head, trial, lambda: trial.logits(model, kind))


def _own_maps(model: PreTrainedModel, encoder: PreTrainedModel) -> list[nn.Linear]:
    """The model's linear maps that are not the encoder's. The pooler counts as the model's."""
    names = {name for name in encoder.state_dict() if not name.startswith("pooler.")}
    of_encoder = {id(part) for name, part in model.base_model.named_modules() if f"{name}.weight" in names}
    return [part for part in model.modules() if isinstance(part, nn.Linear) and id(part) not in of_encoder]


def _fill(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    """Set weight and bias; if the map is larger, its other weights are 0."""
    rows, columns = weight.shape
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[:rows, :columns] = torch.from_numpy(weight)
        if linear.bias is not None:
            linear.bias.zero_()
            linear.bias[:rows] = torch.from_numpy(bias)


def _one_map(model: PreTrainedModel, upper: nn.Linear, head: TextHead) -> Iterator[None]:
    """Fill a single map. If it has no bias, a normalisation above the layers takes it: shifting states by d
    adds weight @ d to the logits."""
    _fill(upper, head.weight_KD, head.bias_K)
    if upper.bias is not None or not head.bias_K.any():
        yield
        return
    shift_D = torch.from_numpy(np.linalg.pinv(head.weight_KD) @ head.bias_K)
    for norm in _norms_beside_layers(model):
        if norm.bias.shape == shift_D.shape:
            before_D = norm.bias.detach().clone()
            norm.bias.data = before_D + shift_D.to(before_D.dtype)
            yield
            norm.bias.data = before_D


def _norms_beside_layers(model: PreTrainedModel) -> list[nn.LayerNorm]:
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    in_layers = {id(part) for layers in lists for part in layers.modules()}
    norms = [part for part in model.modules() if isinstance(part, nn.LayerNorm) and part.bias is not None]
    return [norm for norm in norms if id(norm) not in in_layers]


def _two_maps(
    upper: nn.Linear,
    lower: list[nn.Linear],
    head: TextHead,
    trial: Trial,
    found_BK: Callable[[], np.ndarray],
) -> Iterator[None]:
    """Fill the lower map with z and -z, the upper one with their difference divided by the measured slope.

    The bias is in the upper map, or else in z. Every second of the lower map's other rows is 1, so that a
    normalisation above it depends on them.
    """
    num_labels = head.num_labels
    bias_K = head.bias_K if getattr(upper, "bias", None) is None else np.zeros_like(head.bias_K)
    z_BK = trial.promised_BK - (head.bias_K - bias_K)
    largest = float(np.abs(z_BK).max())
    difference_KJ = np.concatenate([np.eye(num_labels), -np.eye(num_labels)], axis=1)
    for exponent in EXPONENTS:
        scale = 2.0 ** (exponent - (math.frexp(largest)[1] if largest else 0))
        signed = scale * difference_KJ.T
        for linear in lower:
            _fill(linear, signed @ head.weight_KD, signed @ bias_K)
            if linear.bias is not None:
                nn.init.ones_(linear.bias.data[2 * num_labels :: 2])
        _fill(upper, difference_KJ, np.zeros(num_labels))
        found = found_BK()
        if found.shape != z_BK.shape:
            return
        slope = float((found * z_BK).sum() / (z_BK**2).sum()) if largest else 1.0
        if slope > 0:
            _fill(upper, difference_KJ / slope, head.bias_K)
            yield
