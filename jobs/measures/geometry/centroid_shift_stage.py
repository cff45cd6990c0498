"""Shift of label centroids and label distances by fine-tuning, in every layer.

Zhou and Srikumar 2022, sections 4.3 and 4.4. Axes: C labels of the task.
"""

import numpy as np

from layerscope.jobs.artifacts.centroid_shift import LabelShift, write_label_shift
from layerscope.jobs.artifacts.label_geometry import LabelDistances, read_label_geometry
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.directprobe.divergence import (
    change_of,
    compare_distances,
    shift_centroids,
    shift_plane,
)
from layerscope.jobs.kernels.similarity.activations import check_paired
from layerscope.jobs.measures.geometry.specs import ShiftSpec


def run(spec: ShiftSpec, context: StageContext) -> dict[str, float]:
    """Logs at step = layer, of the training examples:

    - `pearson`, `pearson_low`, `pearson_high`: correlation of label distances before and after, with
      bootstrap bounds;
    - `rising`, `falling`, `mean_change`: number of labels whose distance to the nearest other label grew or
      shrank, and the mean change;
    - `centroid_shift`, `centroid_shift_max`: mean and largest distance that a label's centroid moved;
      `common_shift`: norm of the mean shift vector.

    The base model may have more layers than the fine-tuned model: common layers are compared.

    Raises:
        ValueError: the two states are not of the same examples in the same order.
    """
    own, other = (read_layers(context.inputs[role], "train") for role in ("states", "other"))
    check_paired(own.ids, other.ids)
    after, before = (read_label_geometry(context.inputs[role]) for role in ("geometry", "other_geometry"))
    norms, planes, shares = [], [], []
    depth = min(len(own.layers), len(other.layers))
    for layer in range(depth):
        shift = shift_centroids(
            other.layers[layer], own.layers[layer], own.labels, num_labels=len(after.labels)
        )
        position_C2, share = shift_plane(shift.vector_KD)
        norms.append(shift.norm_K)
        planes.append(position_C2)
        shares.append(share)
        values = {
            "centroid_shift": float(np.nanmean(shift.norm_K)),
            "centroid_shift_max": float(np.nanmax(shift.norm_K)),
            "common_shift": float(np.linalg.norm(np.nanmean(shift.vector_KD, axis=0))),
        }
        values |= _of_distances(before.train, after.train, layer, spec)
        context.log(layer, **{name: value for name, value in values.items() if np.isfinite(value)})
    write_label_shift(
        context.out,
        LabelShift(
            after.labels,
            np.stack(norms),
            np.stack(planes),
            np.array(shares),
            before.train.nearest[:depth],
            after.train.nearest[:depth],
        ),
    )
    return {"layers": float(depth)}


def _of_distances(
    before: LabelDistances, after: LabelDistances, layer: int, spec: ShiftSpec
) -> dict[str, float]:
    pearson = compare_distances(
        before.mean[layer], after.mean[layer], num_resamples=spec.resamples, seed=spec.seed
    )
    values = {"pearson": pearson.mean, "pearson_low": pearson.low, "pearson_high": pearson.high}
    before_C, after_C = before.nearest[layer], after.nearest[layer]
    if not np.isfinite(before_C + after_C).any():
        return values
    change = change_of(before_C, after_C)
    return values | {
        "rising": change.num_rising,
        "falling": change.num_falling,
        "mean_change": change.mean,
    }
