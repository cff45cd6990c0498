"""Trainings as Ray Tune trials: a Trainable whose gang of processes is re-used from one trial to the next."""

import time
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import tune
from ray.tune import PlacementGroupFactory

from layerscope.orchestrator.errors import StageFailed
from layerscope.orchestrator.execution.gang import Gang, bundles
from layerscope.orchestrator.execution.worker import reason_of
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.planning.plan import VARIANT_KINDS, Stage
from layerscope.orchestrator.store.artifacts import Store


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

    `setup` and `reset_config` only take the order, and the first `step` begins it: Tune counts the loss of a
    process rightly in a step alone.
    """

    _gang: Gang | None = None
    _about: dict[str, Any] | None = None
    """What is known of the stage once it has begun."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first stage."""
        self._take(config["order"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another stage, for the same gang."""
        self._take(new_config["order"])
        return True

    def step(self) -> dict[str, Any]:
        """Begin the stage where that was not done, and train to the next evaluation."""
        try:
            if self._about is None:
                self._about = self._begin()
            result = self._advance()
        except StageFailed as error:
            self._dissolve()
            result = {"failure": reason_of(error)}
        except BaseException:
            self._dissolve()
            raise
        is_over = "failure" in result or "metrics" in result
        return result | (self._about or {}) | {"done": is_over}

    def cleanup(self) -> None:
        """End the gang."""
        self._dissolve()

    def _take(self, order: Order) -> None:
        self._order = order
        self._about = None

    def _begin(self) -> dict[str, Any]:
        order, started = self._order, time.monotonic()
        self._saved = started
        if self._gang is None:
            group = ray.util.get_current_placement_group()
            assert group is not None
            self._gang = Gang(order.cluster, group)
        about = self._gang.begin(order.stage, order.store, order.labels)
        return about | {"seconds_to_begin": time.monotonic() - started}

    def _advance(self) -> dict[str, Any]:
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
