"""The cluster file: machines, and the resources of each kind of stage."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Strict
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.faults import PlacedFault, refuse
from layerscope.orchestrator.experiment.validation import validated
from layerscope.orchestrator.experiment.yaml.environment import with_environment
from layerscope.orchestrator.experiment.yaml.parsing import read_file

ADDRESS = r"^(auto|[^\s/:]+:\d+)$"

GpuShare = Annotated[float, Field(ge=0, le=1)]


class Cluster(Strict):
    """Resources; in no key. The defaults suit a laptop with two cores.

    A trial takes `trial_cpus + workers * cpus_per_worker` CPUs as long as it runs.
    """

    address: Annotated[str, Field(pattern=ADDRESS)] | None = None
    """Null starts Ray on this machine; `auto` or `HOST:PORT` joins a cluster that this machine is a node
    of."""
    num_cpus: PositiveInt | None = None
    """CPUs of the Ray that is started here; by default all of the machine."""
    workers: PositiveInt = 2
    """Accelerate processes per trial."""
    cpus_per_worker: PositiveFloat = 0.75
    """CPUs that Ray reserves per worker: 2 x 0.75 leave room for a measure on two cores."""
    gpus_per_worker: GpuShare = 0.0
    """0, 1, or a share if a trial has one worker: NCCL needs a whole GPU per worker otherwise."""
    trial_cpus: Annotated[PositiveFloat, Field(validate_default=True)] = 0.01
    """CPUs of the trial itself, which only waits for its workers."""
    task_cpus: Annotated[PositiveFloat, Field(validate_default=True)] = 0.45
    """CPUs of a stage with one process: data preparation, measures."""
    task_gpus: GpuShare = 0.0
    """GPU, or share of one, of a stage with one process; reserved from trials."""
    micro_batch_size: PositiveInt | None = None
    """Maximum examples (texts, blocks, pairs of sentences) per forward and backward pass of a worker when an
    encoder is trained; by default its whole share of the batch. Gradients are accumulated over the whole
    batch. Halved when memory runs out."""
    max_concurrent_trials: PositiveInt | None = None
    """Concurrent trials; by default as many as fit."""
    checkpoint_seconds: PositiveFloat = 300.0
    """Seconds after which a training saves a checkpoint at its next evaluation."""
    max_retries_of_lost_workers: Annotated[int, Field(ge=0)] = 2
    """How often a trial resumes from its last checkpoint after a worker or its machine was lost."""

    @field_validator("num_cpus")
    @classmethod
    def _only_of_a_local_ray(cls, num_cpus: int | None, info: ValidationInfo) -> int | None:
        if num_cpus is not None and info.data.get("address") is not None:
            raise ValueError("is only for a Ray that is started here: leave it out, or leave out address")
        return num_cpus

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_for_each_of_several(cls, gpus: float, info: ValidationInfo) -> float:
        workers = info.data.get("workers", 1)
        if workers > 1 and gpus not in (0, 1):
            raise ValueError(f"must be 0 or 1 with {workers} workers, not {gpus}; a share needs workers: 1")
        return gpus

    @field_validator("trial_cpus", "task_cpus")
    @classmethod
    def _fits(cls, cpus: float, info: ValidationInfo) -> float:
        num_cpus, workers = info.data.get("num_cpus"), info.data.get("workers")
        cpus_per_worker = info.data.get("cpus_per_worker")
        if num_cpus is None or workers is None or cpus_per_worker is None:
            return cpus
        is_trial = info.field_name == "trial_cpus"
        asked = cpus + workers * cpus_per_worker if is_trial else cpus
        if asked > num_cpus:
            what = "a trial (trial_cpus + workers x cpus_per_worker)" if is_trial else "a task"
            raise ValueError(f"{what} would take {asked:g} CPUs and never start: num_cpus is {num_cpus}")
        return cpus


def read_cluster(path: Path | None, environ: Mapping[str, str]) -> Cluster:
    """The cluster of a file, by default a laptop's; raises ConfigurationError with all errors."""
    if path is None:
        return Cluster()
    faults: list[PlacedFault] = []
    tree = read_file(Path(path), faults)
    tree = with_environment(
        tree, environ, is_path=lambda where: where == ("address",), where="address", faults=faults
    )
    cluster = validated(Cluster, tree, faults)
    refuse(faults)
    assert cluster is not None
    return cluster


def at_address(cluster: Cluster, address: str) -> Cluster:
    """The same resources on the Ray cluster at an address.

    Raises:
        ConfigurationError: it is no address.
    """
    if re.fullmatch(ADDRESS, address) is None:
        raise ConfigurationError(f"--address: must be auto or HOST:PORT, not {address!r}")
    return cluster.model_copy(update={"address": address, "num_cpus": None})
