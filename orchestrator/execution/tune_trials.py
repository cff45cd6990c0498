"""Trainings as Ray Tune trials: a Trainable whose gang of processes is re-used from one trial to the next."""

import time
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import tune
from ray.tune import PlacementGroupFactory

from orchestrator.errors import StageFailed
from orchestrator.execution.gang import Gang, bundles
from orchestrator.execution.worker import reason_of
from orchestrator.experiment.cluster import Cluster
from orchestrator.planning.plan import VARIANT_KINDS, Stage
from orchestrator.store.artifacts import Store


@dataclass(frozen=True)
class Order:
    """What one trial is to compute, and with what."""

    stage: Stage
    store: Store
    cluster: Cluster
    labels: dict[str, Any] = field(default_factory=dict)


class Trial(tune.Trainable):
    """One training; `step` is one evaluation interval on all processes of the gang.

    An error of the stage ends the trial with `failure` in its result. A lost process raises, so that Tune
    starts the trial again, which then goes on from the checkpoint in the stage's scratch folder.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Start the gang inside the trial's placement group."""
        self._gang: Gang | None = None
        self._begin(config["order"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another stage with the same gang."""
        self._begin(new_config["order"])
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next evaluation."""
        try:
            result = self._advance()
        except StageFailed as error:
            self._dissolve()
            result = {"failure": reason_of(error)}
        is_over = "failure" in result or "metrics" in result
        return result | self._about | {"done": is_over}

    def cleanup(self) -> None:
        """End the gang."""
        self._dissolve()

    def _begin(self, order: Order) -> None:
        started = time.monotonic()
        self._order, self._failure = order, None
        self._saved = started
        self._about: dict[str, Any] = {}
        try:
            if self._gang is None:
                self._gang = Gang(order.cluster, ray.util.get_current_placement_group())
            self._about = self._gang.begin(order.stage, order.store, order.labels)
        except StageFailed as error:
            self._failure = reason_of(error)
            self._dissolve()
        self._about["seconds_to_begin"] = time.monotonic() - started

    def _advance(self) -> dict[str, Any]:
        if self._failure is not None:
            return {"failure": self._failure}
        assert self._gang is not None
        result = self._advance_once(self._gang)
        # A training that is no variant's goes to its end: early stopping must not compare it with others.
        while self._order.stage.kind not in VARIANT_KINDS and "metrics" not in result:
            result = self._advance_once(self._gang)
        return result

    def _advance_once(self, gang: Gang) -> dict[str, Any]:
        save = time.monotonic() - self._saved > self._order.cluster.checkpoint_seconds
        result = gang.advance(save=save)
        if save:
            self._saved = time.monotonic()
        return result

    def _dissolve(self) -> None:
        if self._gang is not None:
            self._gang.close()
            self._gang = None


def resources(cluster: Cluster) -> PlacementGroupFactory:
    """What one trial reserves."""
    return PlacementGroupFactory(bundles(cluster), strategy="PACK")
