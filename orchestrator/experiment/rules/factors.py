"""Contradictory values of recipe factors, wherever they are set."""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from layerscope.jobs.specs.faults import Fault
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.experiment.variants import (
    grid_cells,
    places_of,
    possible_values,
    tidy,
    values_in,
    written_values,
)


def factor_faults(experiment: Experiment) -> Iterator[Fault]:
    """Factors of which one excludes a value of another."""
    yield from _heads(experiment)
    yield from _head_tokens(experiment)
    yield from _pooler(experiment)
    yield from _early_stopping(experiment)
    yield from _exclusive(experiment)
    yield from _adapters(experiment)


def _heads(experiment: Experiment) -> Iterator[Fault]:
    """LSTM heads need frozen features, and these need texts of one sequence."""
    cells = grid_cells(experiment)
    together = {
        (features, head, truncation)
        for cell in cells
        for features in values_in(experiment, cell, "features")
        for head in values_in(experiment, cell, "head")
        for truncation in values_in(experiment, cell, "truncation")
    }
    if any(head == "bilstm" and features is None for features, head, _ in together):
        message = (
            "needs frozen features, and features has null, which trains the encoder: "
            "use layers only, such as last, or exclude null with bilstm"
        )
        for path, head in written_values(experiment, "head"):
            if head == "bilstm":
                yield Fault(path, message, rests_on=places_of("features"))
    is_paired = any(task.columns.text_pair is not None for task in experiment.tasks)
    in_windows = any(features is not None and cut == "windows" for features, _, cut in together)
    reasons = {"the tasks have pairs of texts": is_paired, "windows are read": in_windows}
    if what := next((reason for reason, holds in reasons.items() if holds), None):
        for path, features in written_values(experiment, "features"):
            if features is not None:
                message = f"frozen features need single texts in one sequence, but {what}: must be null"
                yield Fault(path, message, rests_on=places_of("truncation"))


def _head_tokens(experiment: Experiment) -> Iterator[Fault]:
    shortest = min(_numbers(experiment, "max_length"), default=inf)
    for path, tokens in written_values(experiment, "head_tokens"):
        if isinstance(tokens, int | float) and tokens >= shortest:
            message = f"must be below max_length, which is {tidy(shortest)}, not {tidy(tokens)}"
            yield Fault(path, message, rests_on=places_of("max_length"))


def _pooler(experiment: Experiment) -> Iterator[Fault]:
    yield from _pooler_of_features(experiment)
    others = [layers for layers in possible_values(experiment, "layers") if layers != "last"]
    for path, pooling in written_values(experiment, "pooling"):
        if pooling == "pooler" and others:
            message = (
                "the pooler reads only the last layer: must be cls, mean or last with layers "
                f"{tidy(others[0])}"
            )
            yield Fault(path, message, rests_on=places_of("layers"))


def _pooler_of_features(experiment: Experiment) -> Iterator[Fault]:
    together = {
        (features is not None, pooling, head)
        for cell in grid_cells(experiment)
        for features in values_in(experiment, cell, "features")
        for pooling in values_in(experiment, cell, "pooling")
        for head in values_in(experiment, cell, "head")
    }
    if (True, "pooler", "linear") not in together:
        return
    for path, pooling in written_values(experiment, "pooling"):
        if pooling == "pooler":
            message = "frozen features are states of layers, without the pooler: must be cls, mean or last"
            yield Fault(path, message, rests_on=places_of("features"))


def _early_stopping(experiment: Experiment) -> Iterator[Fault]:
    if experiment.early_stopping is None:
        return
    each = max(_numbers(experiment, "evaluations_per_epoch"), default=inf)
    most = tidy(max(_numbers(experiment, "epochs"), default=inf) * each)
    grace_period = experiment.early_stopping.grace_period
    if most <= grace_period:
        message = (
            f"nothing can be stopped early: must be below {most}, the evaluations of the longest variant "
            f"(epochs x evaluations_per_epoch), not {grace_period}"
        )
        path = ("early_stopping", "grace_period")
        yield Fault(path, message, rests_on=places_of("epochs", "evaluations_per_epoch"))


def _exclusive(experiment: Experiment) -> Iterator[Fault]:
    """Values of two factors that no variant may have together."""
    adapters = "adapters (lora_rank) leave the encoder's weights unchanged, so"
    pairs: list[tuple[str, Callable[[Any], bool], str, Callable[[Any], bool], str]] = [
        ("frozen_layers", lambda value: value != 0, "lora_rank", _is_given, f"{adapters} must be 0"),
        ("reinitialised_layers", lambda value: value != 0, "lora_rank", _is_given, f"{adapters} must be 0"),
        (
            "reinitialised_layers",
            lambda value: value != 0,
            "frozen_layers",
            lambda value: value == "all",
            "with frozen_layers: all, re-initialised layers would never be trained: must be 0",
        ),
        (
            "schedule",
            lambda value: value != "linear",
            "optimizer",
            lambda value: value == "bert-adam",
            "bert-adam has a linear schedule of its own: must be linear",
        ),
    ]
    for factor, is_wrong, other, is_cause, message in pairs:
        if any(map(is_cause, possible_values(experiment, other))):
            for path, value in written_values(experiment, factor):
                if is_wrong(value):
                    yield Fault(path, f"{message}, not {tidy(value)}", rests_on=places_of(other))


def _adapters(experiment: Experiment) -> Iterator[Fault]:
    """Adapter settings without any variant with adapters; resolved files contain the defaults."""
    if any(map(_is_given, possible_values(experiment, "lora_rank"))):
        return
    for factor in ("lora_alpha", "lora_dropout"):
        for path, value in written_values(experiment, factor):
            if value != Recipe.model_fields[factor].default:
                message = "has no effect without adapters: set lora_rank, or leave it out"
                yield Fault(path, message, rests_on=places_of("lora_rank"))


def _is_given(value: Any) -> bool:
    return value is not None


def _numbers(experiment: Experiment, factor: str) -> list[float]:
    """Its values without invalid words in place of numbers, which are reported at their own place."""
    return [value for value in possible_values(experiment, factor) if isinstance(value, int | float)]
