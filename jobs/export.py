"""Exports a fine-tuned model with its bottom layers only, as a folder for transformers; called by a command.

Axes: N texts (of choices each with one of them), L layers (0 the embeddings), K labels (1 where a number is
predicted or a choice is scored), D features.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from layerscope.jobs.artifacts.classifier_heads import read_head
from layerscope.jobs.artifacts.layers import Part
from layerscope.jobs.artifacts.token_sample import read_sample
from layerscope.jobs.artifacts.tokenised import Split, read_prepared_target, read_split
from layerscope.jobs.encoders.answering_classes import load_model, text_logits
from layerscope.jobs.encoders.architecture import keep_layers, takes_token_types
from layerscope.jobs.encoders.exported_folder import refuse_wrong_loads, write_model
from layerscope.jobs.encoders.head_files import load_classifier
from layerscope.jobs.encoders.hidden_states import pooled_layers
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.encoders.text_classifier import Trial, text_classifier
from layerscope.jobs.encoders.text_head import TextHead
from layerscope.jobs.encoders.token_classifier import token_classifier
from layerscope.jobs.model_card import Facts, write_card
from layerscope.jobs.specs.recipe import TokenPooling
from layerscope.jobs.specs.targets import TARGET_FACTS, MetricName, Target
from layerscope.jobs.targets.all import TARGETS
from layerscope.jobs.targets.layer_heads import row_scores
from layerscope.jobs.text.reading.candidates import candidates_of
from layerscope.jobs.text.tokenising.auto_tokenizer import auto_tokenizer
from layerscope.jobs.text.tokenising.inputs import inputs_of
from layerscope.jobs.text.tokenising.same_tokens import PREPARED_OTHERWISE, check_same_tokens

MOST_TEXTS = 1000
"""Of a split, that are scored, with all choices; the first of the shuffle by which measures choose theirs."""
TEXTS_TIMED = 40
TEXTS_TRIED = 4
"""Whole and cut in half, by which a class of transformers is found."""
ROUNDING = 1e-3
"""Maximum relative difference of logits; float32 sums in another order differ by less."""


def export_model(
    finetune: Path,
    data: Path,
    out: Path,
    *,
    layers: int | Literal["auto"],
    tolerance: float,
    refitted: Path | None,
    variant: str,
    max_length: int | None,
    truncation: str,
    metric: MetricName | None = None,
) -> Facts:
    """Write config, weights, tokenizer, card and facts of the shortened model into an empty folder.

    The model is loaded again from there, and must give the logits on test texts that layer and head
    promise.

    Args:
        finetune, data: Folders of the fine-tuning's artifact and of the texts that it was tuned on.
        layers: How many are kept; `auto` keeps the fewest that lose no more than the tolerance.
        tolerance: What may be lost against the whole model of the score on the validation split, 0..1.
        refitted: Folder with heads of every layer to take in place of the tuned one.
        variant, max_length, truncation: As in `Facts`.
        metric: The score; where the task has none of its own, what selects the weights of its target.

    Raises:
        ValueError: the head reads several layers or windows, there are not so many layers, no number of
            layers is within the tolerance, or no model of transformers' own computes the head,
            or texts have other tokens in the folder than they were tuned with.
    """
    _, reading = read_head(finetune)
    _refuse_other_heads(reading)
    labels = tuple(reading["labels"])
    target = read_prepared_target(data)
    metric = metric or TARGET_FACTS[target].selected_by
    scored = partial(_score, metric=metric, target=target, num_labels=len(labels))
    tuned = TextHead.tuned(finetune, reading["pooling"])
    pooling = tuned.pooling
    encoder = load_encoder(finetune)
    depth = encoder.config.num_hidden_layers

    def head_of(layer: int) -> TextHead:
        return tuned if refitted is None else TextHead.refitted(refitted, layer, pooling)

    if layers == "auto":
        validation = _some(data, "validation", target)
        states = _states(encoder, validation, pooling)
        layers = _fewest_layers(states, partial(scored, validation), tuned, head_of, tolerance)
    if not 1 <= layers <= depth:
        raise ValueError(f"{layers} layers cannot be kept: the model has 1 to {depth}")
    head = head_of(layers)
    test = _some(data, "test", target)
    states_LND = _states(encoder, test, pooling)
    promised_NK, before_NK = head.logits(states_LND[layers]), tuned.logits(states_LND[depth])
    pad_token, pad_id = _padding(auto_tokenizer(finetune))
    trial = _trial(encoder, test, head, layers=layers, pad_id=pad_id)
    parameters_whole = _num_parameters(encoder)
    keep_layers(encoder, layers)
    config = _with_answers(encoder.config, labels, target)
    parameters_cut = parameters_whole - _num_parameters(encoder)
    model, kind = text_classifier(encoder, config, head, target=target, trial=trial) or (
        token_classifier(encoder, config, head),
        "tokens",
    )
    key_mapping = write_model(model, kind, out, target=target, start=finetune)
    _name_padding(out, pad_token)
    _name_inputs(out, with_types=takes_token_types(encoder) and _has_types(test))
    check_same_tokens(out, read_sample(data), cause=PREPARED_OTHERWISE)
    refuse_wrong_loads(out, target=target, trial=trial)
    exported = load_model(out, kind, key_mapping=key_mapping)
    of_texts = partial(text_logits, exported, kind, pooling=pooling, pad_id=pad_id)
    found_NK = _checked(of_texts, test, promised_NK, name=type(exported).__name__)
    seconds, seconds_before = _seconds_of_a_text(of_texts, finetune, test, pad_id)
    facts = Facts(
        variant=variant,
        architecture=type(exported).__name__,
        kind=kind,
        key_mapping=key_mapping,
        layers=layers,
        of_layers=depth,
        head="tuned" if refitted is None else "refitted",
        pooling=reading["pooling"] if refitted is None else pooling,
        target=target,
        labels=labels,
        max_length=max_length,
        truncation=truncation,
        pairs=test.type_ids is not None,
        texts=len(test.ids) // TARGETS[target].rows_per_example(len(labels)),
        metric=metric,
        score=scored(test, found_NK),
        score_before=scored(test, before_NK),
        parameters=_num_parameters(exported),
        parameters_before=_num_parameters(exported) + parameters_cut,
        milliseconds=1e3 * seconds,
        milliseconds_before=1e3 * seconds_before,
    )
    write_card(out, facts)
    return facts


def _refuse_other_heads(reading: Mapping[str, Any]) -> None:
    parts = {
        "several layers": len(reading["layers"]) > 1,
        "windows": reading["window_pooling"] is not None,
    }
    if read := [name for name, is_read in parts.items() if is_read]:
        raise ValueError(
            f"its head reads {' and '.join(read)}: only a head on one layer, by cls, pooler, mean or last, "
            "can be exported"
        )


def _padding(tokenizer: PreTrainedTokenizerBase) -> tuple[str | None, int]:
    """The token to pad with and its id. Tokenizers of decoder-only models often have none: then it is the one
    that ends a text, or another special one; which it is changes nothing, since no token sees those behind
    it. No word becomes one: it would no longer be read as before."""
    token = tokenizer.pad_token or tokenizer.eos_token or next(iter(tokenizer.all_special_tokens), None)
    number = 0 if token is None else tokenizer.convert_tokens_to_ids(token)
    return token, number  # type: ignore[return-value]  # of one token it is one number


def _name_padding(folder: Path, pad_token: str | None) -> None:
    """In the tokenizer's settings, where it is not yet so."""
    tokenizer = auto_tokenizer(folder)
    if tokenizer.pad_token != pad_token or tokenizer.padding_side != "right":
        named = {} if pad_token is None else {"pad_token": pad_token}
        _change_tokenizer(folder, padding_side="right", **named)


def _has_types(split: Split) -> bool:
    """Whether some token is of another type than 0."""
    return split.type_ids is not None and any(any(types) for types in split.type_ids)


def _name_inputs(folder: Path, *, with_types: bool) -> None:
    """The tokenizer gives token types where the model was measured with some, and nowhere else: GPT-2 would
    add them to its embeddings, and other families do not take them."""
    names = (
        ["input_ids", "token_type_ids", "attention_mask"] if with_types else ["input_ids", "attention_mask"]
    )
    if auto_tokenizer(folder).model_input_names != names:
        _change_tokenizer(folder, model_input_names=names)


def _change_tokenizer(folder: Path, **changes: object) -> None:
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(settings | changes, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _with_answers(config: PreTrainedConfig, labels: Sequence[str], target: Target) -> PreTrainedConfig:
    """A copy that says what the logits stand for."""
    config, has_labels = copy.deepcopy(config), TARGET_FACTS[target].has_labels
    names = labels if has_labels else (target,)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    # Of one logit, a pipeline would give the sigmoid otherwise.
    config.problem_type = "single_label_classification" if has_labels else "regression"
    return config


def _trial(encoder: PreTrainedModel, test: Split, head: TextHead, *, layers: int, pad_id: int) -> Trial:
    """Texts from the shortest to the longest, and the first half of each: as one batch they need padding."""
    order = np.argsort([len(text) for text in test.texts], kind="stable")
    rows = order[np.linspace(0, len(order) - 1, TEXTS_TRIED, dtype=int)].tolist()
    whole = test.rows(rows)
    halves = [(len(text) + 1) // 2 for text in whole.texts]

    def and_halves(column: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        return [*column, *(of[:length] for of, length in zip(column, halves, strict=True))]

    types = None if whole.type_ids is None else and_halves(whole.type_ids)
    texts = and_halves(whole.texts)
    split = Split([""] * len(texts), texts, range(len(texts)), types)
    return Trial(split, pad_id, head.pooling, head.logits(_states(encoder, split, head.pooling)[layers]))


def _some(data: Path, name: Literal["validation", "test"], target: Target) -> Split:
    split = read_split(data, name)
    chosen = split.rows(np.random.default_rng(0).permutation(len(split.ids))[:MOST_TEXTS].tolist())
    return candidates_of(chosen) if TARGET_FACTS[target].choices_apart else chosen


def _score(
    split: Split, logits_NK: np.ndarray, *, metric: MetricName, target: Target, num_labels: int
) -> float:
    scores = row_scores(Part(split.ids, split.labels, []), logits_NK, target, num_labels=num_labels)
    return scores[metric]


def _states(encoder: PreTrainedModel, split: Split, pooling: TokenPooling) -> list[np.ndarray]:
    pad_id = encoder.config.pad_token_id or 0
    return pooled_layers(
        encoder, split.texts, pooling=pooling, pad_id=pad_id, device="cpu", type_ids=split.type_ids
    )


def _fewest_layers(
    states_LND: Sequence[np.ndarray],
    scored: Callable[[np.ndarray], float],
    tuned: TextHead,
    head_of: Callable[[int], TextHead],
    tolerance: float,
) -> int:
    full = scored(tuned.logits(states_LND[-1]))
    found = {layer: scored(head_of(layer).logits(states_LND[layer])) for layer in range(1, len(states_LND))}
    # Half a point means half a point, whatever subtracting rounds.
    enough = [layer for layer, score in found.items() if score >= full - tolerance - 1e-9]
    if not enough:
        best = max(found, key=found.__getitem__)
        raise ValueError(
            f"no number of layers loses {100 * tolerance:g} % or less on the validation split: the full "
            f"model has {full:.4f}, and the best of these heads, on {best} layers, {found[best]:.4f}"
        )
    return enough[0]


def _checked(
    of_texts: Callable[[Split], torch.Tensor], test: Split, promised_NK: np.ndarray, *, name: str
) -> np.ndarray:
    """The logits of the exported model (N, K), once they are those that were promised."""
    order = np.argsort([len(text) for text in test.texts], kind="stable")
    found_NK = np.empty_like(promised_NK)
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        found_NK[rows] = of_texts(test.rows(rows.tolist())).numpy()
    worst = float(np.abs(found_NK - promised_NK).max())
    if worst > ROUNDING * max(1.0, float(np.abs(promised_NK).max())):
        raise ValueError(
            f"{name} does not compute what was measured: logits differ by {worst:.3g}, so it "
            "treats the states of a lower layer otherwise (as with a normalisation above the last)"
        )
    return found_NK


def _seconds_of_a_text(
    of_texts: Callable[[Split], torch.Tensor], finetune: Path, test: Split, pad_id: int
) -> tuple[float, float]:
    """Median seconds of one text in the exported model and in the whole one, text by text in turn."""
    classifier = load_classifier(finetune).eval()
    counts = (1,) if classifier.num_choices else None
    taken: dict[bool, list[float]] = {True: [], False: []}
    for row in range(min(TEXTS_TIMED, len(test.ids))):
        text = test.rows([row])
        for is_exported in (True, False):
            began = time.perf_counter()
            if is_exported:
                of_texts(text)
            else:
                with torch.inference_mode():
                    classifier(*inputs_of(text, pad_id)._replace(num_windows_B=counts))
            taken[is_exported].append(time.perf_counter() - began)
    return median(taken[True]), median(taken[False])


def _num_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
