"""Trajectories of label centroids over training, in every layer.

Zhou and Srikumar 2022, figure 3. Axes: T checkpoints, N examples, D features, K labels of the task.
"""

import numpy as np

from layerscope.jobs.artifacts.centroid_trajectories import LabelPaths, write_label_paths
from layerscope.jobs.artifacts.layers import read_layers, read_num_layers
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.directprobe.divergence import (
    CentroidPaths,
    centroids,
    closest_labels,
    follow_centroids,
    path_lengths,
)
from layerscope.jobs.kernels.similarity.activations import check_paired
from layerscope.jobs.measures.geometry.specs import PathsSpec
from layerscope.jobs.text.reading.label_names import label_names

NUM_CLOSEST = 3
"""Labels that are followed in a plane, as in the paper."""


def run(spec: PathsSpec, context: StageContext) -> dict[str, float]:
    """Logs at step = layer, of the training examples:

    - `path_length`: summed distance that a label's centroid moved between checkpoints, mean over all labels;
    - `plane_share`: share of the variance over all checkpoints in the plane of the followed labels.

    The followed labels are those whose centroids end up closest to each other in the last layer, the same in
    all layers; the plane is fitted to their examples alone, since other labels would rotate it. The base
    model may have more layers than the fine-tuned model: common layers are followed.

    Raises:
        ValueError: the states are not of the same examples in the same order.
    """
    moments = [context.inputs[role] for role in ("start", *spec.checkpoints, "end")]
    names = label_names(context.inputs["data"])
    depth = min(map(read_num_layers, moments))
    end = read_layers(moments[-1], "train", depths=[depth - 1])
    at_end_KD = centroids(end.layers[0], end.labels, num_labels=len(names))
    closest = closest_labels(at_end_KD, num_closest=NUM_CLOSEST)
    paths = []
    for layer in range(depth):
        parts = [read_layers(folder, "train", depths=[layer]) for folder in moments]
        for part in parts:
            check_paired(part.ids, end.ids)
        states_TND = [part.layers[0] for part in parts]
        paths.append(_paths_of(closest, states_TND, np.asarray(end.labels)))
        centroid_TKD = [centroids(states_ND, end.labels, num_labels=len(names)) for states_ND in states_TND]
        values = {
            "path_length": float(np.nanmean(path_lengths(np.stack(centroid_TKD)))),
            "plane_share": float(paths[-1].share_C.sum()),
        }
        context.log(layer, **{name: value for name, value in values.items() if np.isfinite(value)})
    write_label_paths(
        context.out,
        LabelPaths(
            tuple(names[label] for label in closest),
            np.stack([of.position_TKC for of in paths]),
            np.array([of.share_C.sum() for of in paths]),
        ),
    )
    return {"layers": float(depth)}


def _paths_of(labels: list[int], states_TND: list[np.ndarray], labels_N: np.ndarray) -> CentroidPaths:
    """Trajectories of some labels in the plane of their examples."""
    chosen_N = np.isin(labels_N, labels)
    return follow_centroids(
        [states_ND[chosen_N] for states_ND in states_TND],
        np.searchsorted(labels, labels_N[chosen_N]),
        num_labels=len(labels),
    )
