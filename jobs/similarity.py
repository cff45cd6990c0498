"""One measure of similarity for every pair of layers, within a model or between two.

Axes: A and B layers of two sides (B is A within a model), N examples, V words.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jobs.context import StageContext
from jobs.encoders.layer_files import Part, read_layers
from jobs.map_files import LayerMap, write_map
from jobs.numerics.activations import check_paired
from jobs.numerics.cka import cka_floor, cka_map, partial_cka_map, undefined_layers
from jobs.numerics.cka_errors import cka_standard_errors
from jobs.numerics.leverage import cka_without_leverage, leverage
from jobs.numerics.similarity import similarity_map
from jobs.specs.similarity import SimilaritySpec
from jobs.text.prepared import read_split

Layers = Sequence[np.ndarray]

INTERVAL = 1.959964
"""Standard errors on either side of a normal estimate that hold 95 %."""


def run(spec: SimilaritySpec, context: StageContext) -> dict[str, float]:
    """Writes the map (rows: layers of the first model), its standard errors or its floor if there are any,
    and why layers have no values.

    Logs at step = layer the similarity with the next layer (`next_layer`), or with the same one of the other
    model (`same_layer`), over the depth that both have. Beside it stand its 95 % interval over the choice of
    examples (`<metric>/low`, `<metric>/high`), its floor (`floor`), or the parts of a layer's spread that its
    most distant example and the top 1 % hold (`largest_row`, `top_percent`). Returns the means.

    Raises:
        ValueError: the two sides do not hold the same examples in the same order, or too few for the measure.
    """
    own, other = read_layers(context.inputs["states"], "test"), None
    if spec.against == "other":
        other = read_layers(context.inputs["other"], "test")
        check_paired(own.ids, other.ids)
    found = _map_of(spec, own, other, context)
    write_map(context.out, found)
    curves = _curves(found, within=other is None)
    if spec.measure == "leverage":
        shares = leverage(own.layers)
        curves |= {"largest_row": shares.largest, "top_percent": shares.top}
    finite = {name: values[np.isfinite(values)] for name, values in curves.items()}
    for layer in range(len(own.layers)):
        values = {name: curve[layer] for name, curve in curves.items() if layer < len(curve)}
        if values := {name: value for name, value in values.items() if np.isfinite(value)}:
            context.log(layer, **values)
    return {
        f"mean_{name}": float(values.mean())
        for name, values in finite.items()
        if len(values) and "/" not in name
    }


def _map_of(spec: SimilaritySpec, own: Part, other: Part | None, context: StageContext) -> LayerMap:
    a, b = own.layers, None if other is None else other.layers
    errors_AB = floor_AB = None
    match spec.measure:
        case "cka":
            similarity_AB, errors_AB = cka_map(a, b), cka_standard_errors(a, b)
        case "biased_cka":
            similarity_AB, floor_AB = cka_map(a, b, debiased=False), cka_floor(a, b)
        case "rbf":
            similarity_AB = cka_map(a, b, kernel="rbf")
        case "leverage":
            similarity_AB = cka_without_leverage(a, b)
        case "partial_cka":
            words_NV = word_counts(context.inputs["data"], own.ids)
            similarity_AB = partial_cka_map(a, b, confounder=words_NV)
        case measure:
            similarity_AB = similarity_map(a, b, measure)
    return LayerMap(similarity_AB, errors_AB, floor_AB, _undefined(similarity_AB, spec, a, b))


def word_counts(data: Path, ids: Sequence[str]) -> np.ndarray:
    """How often each token of the vocabulary that occurs stands in each test text: float32 (N, V)."""
    split = read_split(data, "test")
    text_by_id = dict(zip(split.ids, split.texts, strict=True))
    texts = [text_by_id[identifier] for identifier in ids]
    words, places = np.unique(np.concatenate(texts), return_inverse=True)
    counts_NV = np.zeros((len(texts), len(words)), dtype=np.float32)
    np.add.at(counts_NV, (np.repeat(np.arange(len(texts)), [len(text) for text in texts]), places), 1)
    return counts_NV


def _curves(found: LayerMap, *, within: bool) -> dict[str, np.ndarray]:
    metric, offset = ("next_layer", 1) if within else ("same_layer", 0)
    values = np.diagonal(found.similarity_AB, offset)
    curves = {metric: values}
    if found.errors_AB is not None:
        half = INTERVAL * np.diagonal(found.errors_AB, offset)
        curves |= {f"{metric}/low": values - half, f"{metric}/high": np.minimum(values + half, 1)}
    if found.floor_AB is not None:
        curves["floor"] = np.diagonal(found.floor_AB, offset)
    return curves


def _undefined(
    similarity_AB: np.ndarray, spec: SimilaritySpec, a: Layers, b: Layers | None
) -> Mapping[str, str]:
    """Why a layer has no value in its whole row or column."""
    lacking = np.isnan(similarity_AB).all(axis=1), np.isnan(similarity_AB).all(axis=0)
    sides = [(a, lacking[0], "")] if b is None else [(a, lacking[0], ""), (b, lacking[1], " of the other")]
    debiased = spec.measure in ("cka", "rbf", "leverage", "partial_cka")
    kernel = "rbf" if spec.measure == "rbf" else "linear"
    reasons: dict[str, str] = {}
    for layers, is_lacking, whose in sides:
        if not is_lacking.any():
            continue
        known = undefined_layers(layers, debiased=debiased, kernel=kernel)
        for layer in np.flatnonzero(is_lacking).tolist():
            nothing = f"nothing that the measure sees varies in layer {layer}"
            reasons[f"layer {layer}{whose}"] = known.get(layer, nothing)
    return reasons
