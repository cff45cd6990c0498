"""Measures that an encoder cannot have."""

from collections.abc import Iterator

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.specs.faults import Fault
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def measure_faults(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[Fault]:
    """Measures that an encoder cannot have."""
    for measure in MEASURES.values():
        yield from measure.faults(experiment.measures, encoder.facts, encoder.name)
