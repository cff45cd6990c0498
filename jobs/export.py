"""A fine-tuned model cut to its lowest layers, as a folder that transformers loads; called by a command.

Axes: N texts (of choices each with one of them), L layers (0 the embeddings), K labels (1 where a number is
predicted or a choice is scored), D features.
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from transformers import PreTrainedModel

from jobs.encoders.head_files import READING
from jobs.encoders.hidden_states import pooled_layers
from jobs.encoders.layer_files import Part
from jobs.encoders.layer_heads import read_layer_head, read_tuned_head
from jobs.encoders.layer_targets import row_scores
from jobs.encoders.loading import load_encoder, save_encoder
from jobs.encoders.token_classifier import load_token_classifier, text_logits, token_classifier
from jobs.model_card import Facts, write_card
from jobs.specs.recipe import TokenPooling
from jobs.specs.targets import SELECTING, Metric, Target
from jobs.text.auto_tokenizer import auto_tokenizer
from jobs.text.candidates import candidates_of
from jobs.text.prepared import Split, read_prepared_target, read_split
from jobs.text.same_tokens import PREPARED_OTHERWISE, check_same_tokens
from jobs.text.token_samples import read_sample

MOST_TEXTS = 1000
"""Of a split, that are scored, with all choices; the first of the shuffle by which measures choose theirs."""
TEXTS_TIMED = 40
ROUNDING = 1e-3
"""Most that logits may differ by, in parts of the largest; float32 sums in another order do by less."""

Head = tuple[np.ndarray, np.ndarray]
"""Weight (K, D) and bias (K,)."""


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
    metric: Metric | None = None,
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
        ValueError: the head is not a linear one on one layer, there are not so many layers, no number of
            layers is within the tolerance, no model of transformers' own computes the head, or texts have
            other tokens in the folder than they were tuned with.
    """
    reading = json.loads((finetune / READING).read_text(encoding="utf-8"))
    _refuse_other_heads(reading)
    pooling, labels = reading["pooling"], tuple(reading["labels"])
    target = read_prepared_target(data)
    metric = metric or SELECTING[target]
    scored = partial(_score, metric=metric, target=target, num_labels=len(labels))
    tuned = read_tuned_head(finetune)
    encoder = load_encoder(finetune)
    depth = encoder.config.num_hidden_layers

    def head_of(layer: int) -> Head:
        return tuned if refitted is None else read_layer_head(refitted, layer)

    if layers == "auto":
        validation = _some(data, "validation", target)
        states = _states(encoder, validation, pooling)
        layers = _fewest_layers(states, partial(scored, validation), tuned, head_of, tolerance)
    if not 1 <= layers <= depth:
        raise ValueError(f"{layers} layers cannot be kept: the model has 1 to {depth}")
    test = _some(data, "test", target)
    states_LND = _states(encoder, test, pooling)
    promised_NK = _logits(states_LND[layers], head_of(layers))
    before_NK = _logits(states_LND[depth], tuned)
    parameters_before = _num_parameters(encoder) + sum(part.size for part in tuned)
    weight_KD, bias_K = head_of(layers)
    model = token_classifier(
        encoder,
        num_layers=layers,
        weight_KD=weight_KD,
        bias_K=bias_K,
        labels=labels if target == "label" else (target,),
    )
    save_encoder(model, out, tokenizer_from=finetune)
    _name_padding(out)
    check_same_tokens(out, read_sample(data), cause=PREPARED_OTHERWISE)
    exported = load_token_classifier(out)
    found_NK = _checked(exported, test, pooling, promised_NK)
    seconds, seconds_before = _seconds_of_a_text(exported, finetune, test, pooling)
    facts = Facts(
        variant=variant,
        architecture=type(exported).__name__,
        layers=layers,
        of_layers=depth,
        head="tuned" if refitted is None else "refitted",
        pooling=pooling,
        target=target,
        labels=labels,
        max_length=max_length,
        truncation=truncation,
        pairs=test.type_ids is not None,
        texts=len(test.ids) // (len(labels) if target == "choice" else 1),
        metric=metric,
        score=scored(test, found_NK),
        score_before=scored(test, before_NK),
        parameters=_num_parameters(exported),
        parameters_before=parameters_before,
        milliseconds=1e3 * seconds,
        milliseconds_before=1e3 * seconds_before,
    )
    write_card(out, facts)
    return facts


def _refuse_other_heads(reading: dict) -> None:
    parts = {
        "the encoder's pooler": reading["pooling"] == "pooler",
        "several layers": len(reading["layers"]) > 1,
        "windows": reading["window_pooling"] is not None,
    }
    if read := [name for name, is_read in parts.items() if is_read]:
        raise ValueError(
            f"its head reads {' and '.join(read)}: only a linear head on one layer, by cls, mean or last, "
            "can be exported"
        )


def _name_padding(folder: Path) -> None:
    """Tokenizers of decoder-only models often have no token to pad with: then the one that ends a text does,
    or another special one, on the right; which it is changes nothing, since no token sees those behind it. No
    word becomes one: it would no longer be read as before."""
    tokenizer = auto_tokenizer(folder)
    if tokenizer.pad_token is not None and tokenizer.padding_side == "right":
        return
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    pad_token = tokenizer.pad_token or tokenizer.eos_token or next(iter(tokenizer.all_special_tokens), None)
    settings |= {"padding_side": "right"} | ({} if pad_token is None else {"pad_token": pad_token})
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _some(data: Path, name: Literal["validation", "test"], target: Target) -> Split:
    split = read_split(data, name)
    chosen = split.rows(np.random.default_rng(0).permutation(len(split.ids))[:MOST_TEXTS].tolist())
    return candidates_of(chosen) if target == "choice" else chosen


def _score(split: Split, logits_NK: np.ndarray, *, metric: Metric, target: Target, num_labels: int) -> float:
    scores = row_scores(Part(split.ids, split.labels, []), logits_NK, target, num_labels=num_labels)
    return scores[metric]


def _states(encoder: PreTrainedModel, split: Split, pooling: TokenPooling) -> list[np.ndarray]:
    pad_id = encoder.config.pad_token_id or 0
    return pooled_layers(
        encoder, split.texts, pooling=pooling, pad_id=pad_id, device="cpu", type_ids=split.type_ids
    )


def _logits(states_ND: np.ndarray, head: Head) -> np.ndarray:
    weight_KD, bias_K = head
    return states_ND @ weight_KD.T + bias_K


def _fewest_layers(
    states_LND: Sequence[np.ndarray],
    scored: Callable[[np.ndarray], float],
    tuned: Head,
    head_of: Callable[[int], Head],
    tolerance: float,
) -> int:
    full = scored(_logits(states_LND[-1], tuned))
    found = {layer: scored(_logits(states_LND[layer], head_of(layer))) for layer in range(1, len(states_LND))}
    # Half a point means half a point, whatever subtracting rounds.
    enough = [layer for layer, score in found.items() if score >= full - tolerance - 1e-9]
    if not enough:
        best = max(found, key=found.__getitem__)
        raise ValueError(
            f"no number of layers loses {100 * tolerance:g} % or less on the validation split: the whole "
            f"model has {full:.4f}, and the best of these heads, on {best} layers, {found[best]:.4f}"
        )
    return enough[0]


def _checked(
    model: PreTrainedModel, test: Split, pooling: TokenPooling, promised_NK: np.ndarray
) -> np.ndarray:
    """The logits of the exported model (N, K), once they are those that were promised."""
    order = np.argsort([len(text) for text in test.texts], kind="stable")
    found_NK = np.empty_like(promised_NK)
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        found_NK[rows] = text_logits(model, test.rows(rows.tolist()), pooling)
    worst = float(np.abs(found_NK - promised_NK).max())
    if worst > ROUNDING * max(1.0, float(np.abs(promised_NK).max())):
        raise ValueError(
            f"{type(model).__name__} does not compute what was measured: logits differ by {worst:.3g}, so it "
            "treats the states of a lower layer otherwise (as with a normalisation above the last)"
        )
    return found_NK


def _seconds_of_a_text(
    exported: PreTrainedModel, finetune: Path, test: Split, pooling: TokenPooling
) -> tuple[float, float]:
    """Median seconds of one text in the exported model and in the whole one, text by text in turn."""
    weight_KD, bias_K = read_tuned_head(finetune)
    encoder = load_encoder(finetune)
    whole = token_classifier(
        encoder,
        num_layers=encoder.config.num_hidden_layers,
        weight_KD=weight_KD,
        bias_K=bias_K,
        labels=[str(number) for number in range(len(bias_K))],
    )
    taken: dict[bool, list[float]] = {True: [], False: []}
    for row in range(min(TEXTS_TIMED, len(test.ids))):
        for is_exported, model in ((True, exported), (False, whole)):
            began = time.perf_counter()
            text_logits(model, test.rows([row]), pooling)
            taken[is_exported].append(time.perf_counter() - began)
    return median(taken[True]), median(taken[False])


def _num_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
