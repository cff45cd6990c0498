"""One similarity measure for every pair of layers, within a model or between two.

Axes: A and B layers of two sides (B is A within a model), N examples, V words.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.artifacts.maps import LayerMap, write_map
from layerscope.jobs.artifacts.tokenised import read_prepared_target, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.similarity.activations import check_paired
from layerscope.jobs.kernels.similarity.cka import cka_floor, cka_map, partial_cka_map, undefined_layers
from layerscope.jobs.kernels.similarity.cka_errors import cka_standard_errors
from layerscope.jobs.kernels.similarity.cka_minibatch import minibatch_cka
from layerscope.jobs.kernels.similarity.half_samples import half_sample_errors, half_sample_factor
from layerscope.jobs.kernels.similarity.leverage import cka_without_leverage, leverage
from layerscope.jobs.kernels.similarity.procrustes_errors import procrustes_errors
from layerscope.jobs.kernels.similarity.similarity_measures import similarity_map
from layerscope.jobs.measures.similarity.specs import SimilarityMeasure, SimilaritySpec
from layerscope.jobs.specs.targets import TARGET_FACTS
from layerscope.jobs.text.reading.candidates import candidates_of

Layers = Sequence[np.ndarray]

HALVED = ("rbf", "rsa", "leverage", "partial_cka", "mutual_knn")
"""Measures whose intervals come from random halves of the examples. The others have a formula or batches,
except svcca and pwcca, where the kept or weighted directions change with the sample. In simulations of 95 %
intervals, the formula of canonical correlations covered svcca in 98 to 100 % and pwcca in 65 to 85 % of
cases, halves covered pwcca in 85 to 88 %."""
LEAST = {"biased_cka": 0, "procrustes": 0, "mutual_knn": 0}
"""Minimum of measures that are never negative; -1 for the others. All are at most 1."""
INTERVAL = 1.959964
"""Half-width of a normal 95 % interval, in standard errors."""


def run(spec: SimilaritySpec, context: StageContext) -> dict[str, float]:
    """Writes the map (rows: layers of the first model), its standard errors, bounds or floor if there are
    any, and the reasons for undefined layers.

    Logs at step = layer the similarity with the next layer (`next_layer`), or with the same layer of the
    other model (`same_layer`), over the common depth. Also logged: its 95 % interval over examples
    (`<metric>/low`, `<metric>/high`), its chance level (`floor`), or the shares of a layer's variance in its
    most distant example and in the top 1 % (`largest_row`, `top_percent`). Returns the means. In multiple
    choice, where a question has several rows, only measures with a formula for their errors have
    intervals.

    Raises:
        ValueError: the two sides do not have the same examples in the same order, or too few for the
            measure.
    """
    own, other = read_layers(context.inputs["states"], "test"), None
    if spec.against == "other":
        other = read_layers(context.inputs["other"], "test")
        check_paired(own.ids, other.ids)
    a, b = own.layers, None if other is None else other.layers
    words_NV = word_counts(context.inputs["data"], own.ids) if spec.measure == "partial_cka" else None
    found = _map_of(spec, a, b, words_NV, own.rows_per_example)
    write_map(context.out, found)
    # Halves and batches of rows would separate the choices of one question, which are not independent.
    has_bounds = own.rows_per_example == 1 or found.errors_AB is not None
    bounds = _diagonal_bounds(spec, found, a, b, words_NV) if has_bounds else None
    curves = _curves(found, bounds, within=b is None)
    if spec.measure == "leverage":
        shares = leverage(a)
        curves |= {"largest_row": shares.largest, "top_percent": shares.top}
    finite = {name: values[np.isfinite(values)] for name, values in curves.items()}
    for layer in range(len(a)):
        values = {name: curve[layer] for name, curve in curves.items() if layer < len(curve)}
        if values := {name: value for name, value in values.items() if np.isfinite(value)}:
            context.log(layer, **values)
    return {
        f"mean_{name}": float(values.mean())
        for name, values in finite.items()
        if len(values) and "/" not in name
    }


def _map_of(
    spec: SimilaritySpec, a: Layers, b: Layers | None, words_NV: np.ndarray | None, rows_per_example: int
) -> LayerMap:
    if spec.measure == "minibatch_cka":
        found = minibatch_cka(a, b, batch_size=spec.batch_size, seed=spec.seed)
        similarity_AB = found.similarity
        bounds_AB = (found.low, found.high) if rows_per_example == 1 else None
    else:
        similarity_AB, bounds_AB = _similarity(spec.measure, a, b, words_NV), None
    return LayerMap(
        similarity_AB,
        errors_AB=_errors(spec.measure, a, b, rows_per_example),
        floor_AB=cka_floor(a, b) if spec.measure == "biased_cka" else None,
        bounds_AB=bounds_AB,
        undefined=_undefined(similarity_AB, spec, a, b),
    )


def _errors(
    measure: SimilarityMeasure, a: Layers, b: Layers | None, rows_per_example: int
) -> np.ndarray | None:
    match measure:
        case "cka" | "biased_cka":
            is_debiased = measure == "cka"
            return cka_standard_errors(a, b, debiased=is_debiased, rows_per_example=rows_per_example)
        case "procrustes":
            return procrustes_errors(a, b, rows_per_example=rows_per_example)
        case _:
            return None


def _similarity(
    measure: SimilarityMeasure, a: Layers, b: Layers | None, words_NV: np.ndarray | None
) -> np.ndarray:
    match measure:
        case "cka":
            return cka_map(a, b)
        case "biased_cka":
            return cka_map(a, b, debiased=False)
        case "rbf":
            return cka_map(a, b, kernel="rbf")
        case "leverage":
            return cka_without_leverage(a, b)
        case "partial_cka":
            assert words_NV is not None, "counted for this measure"
            return partial_cka_map(a, b, confounder=words_NV)
        case "minibatch_cka":
            raise AssertionError("it has a stream of its own")
        case _:
            return similarity_map(a, b, measure)


def _diagonal_bounds(
    spec: SimilaritySpec, found: LayerMap, a: Layers, b: Layers | None, words_NV: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """95 % intervals of the logged values, if a formula, batches or halves of the examples give them."""
    offset = _offset(b)
    values = np.diagonal(found.similarity_AB, offset)
    # A debiased value may itself lie below the minimum, which then does not limit its bound.
    least = np.minimum(values, LEAST.get(spec.measure, -1))
    if found.bounds_AB is not None:
        low_AB, high_AB = found.bounds_AB
        return np.maximum(np.diagonal(low_AB, offset), least), np.diagonal(high_AB, offset)
    if found.errors_AB is not None:
        half = INTERVAL * np.diagonal(found.errors_AB, offset)
    elif spec.measure in HALVED:
        half = half_sample_factor(spec.num_halves) * _half_sample_errors(spec, a, b, words_NV)
    else:
        return None
    return np.maximum(values - half, least), np.minimum(values + half, 1)


def _half_sample_errors(
    spec: SimilaritySpec, a: Layers, b: Layers | None, words_NV: np.ndarray | None
) -> np.ndarray:
    def of_rows(rows: np.ndarray) -> np.ndarray:
        rows_a, rows_b = [layer[rows] for layer in a], None if b is None else [layer[rows] for layer in b]
        if spec.measure in ("leverage", "partial_cka"):
            words = None if words_NV is None else words_NV[rows]
            return np.diagonal(_similarity(spec.measure, rows_a, rows_b, words), _offset(b))
        pairs = zip(rows_a, rows_a[1:] if rows_b is None else rows_b, strict=False)
        return np.array([_similarity(spec.measure, [one], [other], None)[0, 0] for one, other in pairs])

    return half_sample_errors(of_rows, len(a[0]), num_halves=spec.num_halves, seed=spec.seed)


def _offset(b: Layers | None) -> int:
    """Offset of the logged diagonal: each layer with the next one, or with the same layer of the other
    model."""
    return 1 if b is None else 0


def word_counts(data: Path, ids: Sequence[str]) -> np.ndarray:
    """Counts of the occurring vocabulary tokens in each test text: float32 (N, V)."""
    split = read_split(data, "test")
    if TARGET_FACTS[read_prepared_target(data)].choices_apart:
        split = candidates_of(split)
    text_by_id = dict(zip(split.ids, split.texts, strict=True))
    texts = [text_by_id[identifier] for identifier in ids]
    words, places = np.unique(np.concatenate(texts), return_inverse=True)
    counts_NV = np.zeros((len(texts), len(words)), dtype=np.float32)
    np.add.at(counts_NV, (np.repeat(np.arange(len(texts)), [len(text) for text in texts]), places), 1)
    return counts_NV


def _curves(
    found: LayerMap, bounds: tuple[np.ndarray, np.ndarray] | None, *, within: bool
) -> dict[str, np.ndarray]:
    metric, offset = ("next_layer", 1) if within else ("same_layer", 0)
    curves = {metric: np.diagonal(found.similarity_AB, offset)}
    if bounds is not None:
        curves |= {f"{metric}/low": bounds[0], f"{metric}/high": bounds[1]}
    if found.floor_AB is not None:
        curves["floor"] = np.diagonal(found.floor_AB, offset)
    return curves


def _undefined(
    similarity_AB: np.ndarray, spec: SimilaritySpec, a: Layers, b: Layers | None
) -> Mapping[str, str]:
    """Reasons for layers whose whole row or column is undefined."""
    lacking = np.isnan(similarity_AB).all(axis=1), np.isnan(similarity_AB).all(axis=0)
    sides = [(a, lacking[0], "")] if b is None else [(a, lacking[0], ""), (b, lacking[1], " of the other")]
    debiased = spec.measure in ("cka", "rbf", "leverage", "partial_cka", "minibatch_cka")
    kernel = "rbf" if spec.measure == "rbf" else "linear"
    reasons: dict[str, str] = {}
    for layers, is_lacking, whose in sides:
        if not is_lacking.any():
            continue
        known = undefined_layers(layers, debiased=debiased, kernel=kernel)
        for layer in np.flatnonzero(is_lacking).tolist():
            nothing = f"layer {layer} has no variance under this measure"
            reasons[f"layer {layer}{whose}"] = known.get(layer, nothing)
    return reasons
