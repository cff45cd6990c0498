"""DirectProbe on every layer: clusters of the labels, label distances, and their agreement with the test
split.

Zhou and Srikumar 2021 and 2022. Each layer's result on training examples is stored in full, with its proofs.

Axes: L layers, N examples, D features, C labels of the task, K clusters, S planes, V vetoes, W weights.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from layerscope.jobs.artifacts.label_clusters import write_label_clusters
from layerscope.jobs.artifacts.label_geometry import LabelDistances, LabelGeometry, write_label_geometry
from layerscope.jobs.artifacts.layers import Part, read_layers
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.directprobe.conflicting_labels import without_contradictions
from layerscope.jobs.kernels.directprobe.directprobe import DirectProbe, direct_probe, permuted_num_clusters
from layerscope.jobs.kernels.directprobe.divergence import compare_distances, nearest_distances
from layerscope.jobs.measures.geometry.specs import GeometrySpec
from layerscope.jobs.text.reading.label_names import label_names


def run(spec: GeometrySpec, context: StageContext) -> dict[str, float]:
    """Logs at step = layer, of the training examples unless the name says test:

    - `clusters`, `labels`, `linear` (1 if every label is one cluster), `permuted_clusters` (mean over
      permutations of the labels), `contradicted` (examples whose state also occurs with another label);
    - `pairs_too_small`: share of label pairs with at most 2 (dimensions + 1) points, of which most labellings
      are separable (Cover 1965);
    - `min_distance_lower`, `min_distance_upper`, `mean_distance_lower`, `mean_distance_upper`: ends of the
      smallest distance between clusters of two labels, and of the mean over label pairs;
    - `test_pearson`, `test_pearson_low`, `test_pearson_high`: correlation of label distances between training
      and test examples, with bootstrap bounds.

    `geometry.npz` has the distances, `layer_<number>.npz` clusters and proofs of a layer, as
    `jobs.artifacts.label_clusters` writes them.
    Layers with fewer than two labels left (for example embeddings of a token that all texts share) are
    counted and have no curves.
    """
    states = context.inputs["states"]
    names = label_names(context.inputs["data"])
    train, test = read_layers(states, "train"), read_layers(states, "test")
    of_train, of_test, linear = [], [], []
    for layer, points_ND in enumerate(train.layers):
        probe = _probe(points_ND, train, spec, context)
        of_train.append(_distances(probe, len(names)))
        of_test.append(_distances(_probe(test.layers[layer], test, spec, context), len(names)))
        if probe is None:
            continue
        linear.append(probe.is_linear)
        values = _of_clusters(probe) | _of_control(points_ND, train, spec, context)
        values |= _of_test(of_train[-1], of_test[-1], spec)
        context.log(layer, **{name: value for name, value in values.items() if np.isfinite(value)})
        for note in probe.notes:
            context.say(f"layer {layer}: {note}")
        write_label_clusters(context.out, layer, probe)
    write_label_geometry(context.out, LabelGeometry(tuple(names), _stacked(of_train), _stacked(of_test)))
    return {
        "layers": float(len(train.layers)),
        "layers_linear": float(sum(linear)),
        "layers_undefined": float(len(train.layers) - len(linear)),
    }


def _probe(
    points_ND: np.ndarray, part: Part, spec: GeometrySpec, context: StageContext
) -> DirectProbe | None:
    """None with fewer than two labels left."""
    labels_N = np.asarray(part.labels)
    consistent = without_contradictions(points_ND, labels_N, spec.duplicates)
    if len(np.unique(consistent.label_N[consistent.is_kept_N])) < 2:
        return None
    return direct_probe(points_ND, labels_N, duplicates=spec.duplicates, device=context.device)


def _distances(probe: DirectProbe | None, num_labels: int) -> dict[str, np.ndarray]:
    """The fields of `LabelDistances` for one layer, over all labels of the task."""
    found = {}
    for over in ("least", "mean"):
        for end, distance in zip(("lower", "upper"), _ends(probe, over), strict=True):
            distance_CC = np.full((num_labels, num_labels), np.nan)
            if probe is not None:
                distance_CC[np.ix_(probe.labels_C, probe.labels_C)] = distance
            found[f"{over}_{end}_LCC"] = distance_CC
    for end in ("lower", "upper"):
        found[f"nearest_{end}_LC"] = nearest_distances(found[f"mean_{end}_LCC"])
    return found


def _ends(
    probe: DirectProbe | None, over: Literal["least", "mean"]
) -> tuple[np.ndarray, np.ndarray] | tuple[float, float]:
    return (np.nan, np.nan) if probe is None else probe.label_distances(over)


def _stacked(layers: Sequence[dict[str, np.ndarray]]) -> LabelDistances:
    return LabelDistances(**{name: np.stack([layer[name] for layer in layers]) for name in layers[0]})


def _of_clusters(probe: DirectProbe) -> dict[str, float]:
    pairs = np.triu_indices(len(probe.labels_C), 1)
    least, mean = probe.label_distances("least"), probe.label_distances("mean")
    return {
        "clusters": probe.num_clusters,
        "labels": len(probe.labels_C),
        "linear": float(probe.is_linear),
        "contradicted": len(probe.changed_rows),
        "pairs_too_small": float(np.mean(probe.pair_capacity[pairs] <= 2)),
        "min_distance_lower": float(least[0][pairs].min()),
        "min_distance_upper": float(least[1][pairs].min()),
        "mean_distance_lower": float(mean[0][pairs].mean()),
        "mean_distance_upper": float(mean[1][pairs].mean()),
    }


def _of_control(
    points_ND: np.ndarray, part: Part, spec: GeometrySpec, context: StageContext
) -> dict[str, float]:
    if not spec.permutations:
        return {}
    counts = permuted_num_clusters(
        points_ND,
        np.asarray(part.labels),
        num_permutations=spec.permutations,
        seed=spec.seed,
        device=context.device,
    )
    return {"permuted_clusters": float(counts.mean())}


def _of_test(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray], spec: GeometrySpec
) -> dict[str, float]:
    train_CC, test_CC = ((part["mean_lower_LCC"] + part["mean_upper_LCC"]) / 2 for part in (train, test))
    pearson = compare_distances(train_CC, test_CC, num_resamples=spec.resamples, seed=spec.seed)
    return {
        "test_pearson": pearson.mean,
        "test_pearson_low": pearson.low,
        "test_pearson_high": pearson.high,
    }
