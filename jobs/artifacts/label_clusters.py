"""DirectProbe clusters of one layer, with proofs that they are separable or must not merge."""

from pathlib import Path

import numpy as np

from layerscope.jobs.kernels.directprobe.directprobe import DirectProbe


def write_label_clusters(folder: Path, layer: int, probe: DirectProbe) -> None:
    """Write the clusters of a layer and their proofs, as in
    `jobs.kernels.directprobe.directprobe.DirectProbe`.

    The rows and weights of veto v are the slice from `veto_<side>_end_V[v - 1]` to `veto_<side>_end_V[v]`.
    """
    vetoes = {}
    for side in ("left", "right"):
        rows = [getattr(veto, f"{side}_rows") for veto in probe.vetoes]
        weights = [getattr(veto, f"{side}_weights") for veto in probe.vetoes]
        vetoes[f"veto_{side}_end_V"] = np.cumsum([len(part) for part in rows], dtype=np.int64)
        vetoes[f"veto_{side}_rows_W"] = np.concatenate([np.zeros(0, np.int64), *rows])
        vetoes[f"veto_{side}_weights_W"] = np.concatenate([np.zeros(0), *weights])
    np.savez(
        folder / f"layer_{layer:02d}.npz",
        cluster_N=probe.cluster_N,
        label_of_cluster_K=probe.label_of_cluster_K,
        distance_lower_KK=probe.distance_lower_KK,
        distance_upper_KK=probe.distance_upper_KK,
        plane_pair_S2=probe.planes.pair_S2,
        plane_normal_SD=probe.planes.normal_SD,
        plane_offset_S=probe.planes.offset_S,
        plane_margin_S=probe.planes.margin_S,
        veto_KK=probe.veto_KK,
        allow_pickle=True,
        **vetoes,
    )
