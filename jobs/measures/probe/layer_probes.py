"""Runs the probe of a spec on every layer."""

from typing import assert_never

from layerscope.jobs.artifacts.layers import Part
from layerscope.jobs.kernels.probes.linear_probes import linear_probes
from layerscope.jobs.kernels.probes.mlp_probes import mlp_probes
from layerscope.jobs.kernels.probes.mlp_training import Schedule
from layerscope.jobs.kernels.probes.probe_result import ProbeResult
from layerscope.jobs.measures.probe.specs import MlpProbeSpec, ProbeSpec


def probe_layers(
    spec: ProbeSpec | MlpProbeSpec, train: Part, test: Part, *, num_labels: int, device: str
) -> ProbeResult:
    """Fit on train, score on test.

    Raises:
        ValueError: states are not finite, or there are too few examples for a held-out part.
    """
    match spec:
        case ProbeSpec():
            return linear_probes(
                train.layers,
                train.labels,
                test.layers,
                test.labels,
                penalties=spec.penalties,
                num_classes=num_labels,
                seed=spec.seed,
                device=device,
            )
        case MlpProbeSpec(networks=networks):
            return mlp_probes(
                train.layers,
                train.labels,
                test.layers,
                test.labels,
                sizes=networks.sizes,
                decays=networks.decays,
                num_starts=networks.starts,
                schedule=Schedule(max_epochs=networks.max_epochs),
                num_classes=num_labels,
                seed=spec.seed,
                device=device,
            )
        case never:
            assert_never(never)
