"""An experiment opened: read, its sources looked at, and its stages set against a store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.jobs.report.study import Study
from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.scheduler import Listener, Schedule
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.placing import placed
from layerscope.orchestrator.experiment.reading import read_with_places
from layerscope.orchestrator.experiment.variants import Variant, grid_variants
from layerscope.orchestrator.planning.fingerprint import fingerprint
from layerscope.orchestrator.planning.locating import look_at
from layerscope.orchestrator.planning.plan import Plan
from layerscope.orchestrator.planning.planner import make_plan
from layerscope.orchestrator.planning.sources.encoder_folders import FetchMlflow
from layerscope.orchestrator.planning.sources.sources import Sources
from layerscope.orchestrator.store.artifacts import Store
from layerscope.orchestrator.tracking.study_builder import stand

if TYPE_CHECKING:
    from layerscope.orchestrator.search.cells import Cell, Progress

DIGESTS = ".digests.json"


@dataclass(frozen=True)
class Workspace:
    """Everything a command needs to know of one experiment."""

    experiment: Experiment
    sources: Sources
    store: Store

    def plan(self, variants: list[Variant]) -> Plan:
        """The stages of these variants."""
        return make_plan(self.experiment, self.sources, variants)

    @property
    def report_path(self) -> Path:
        """Where the experiment's report is written."""
        return self.store.root / "reports" / self.experiment.experiment / "report.html"

    @property
    def study_key(self) -> str:
        """Key of the study's page: that of its name, so that a grid that grows stays one study."""
        return fingerprint({"experiment": self.experiment.experiment})

    def study(self, schedule: Schedule) -> Study:
        """The current study of a schedule, for the report and the tracker."""
        notes = filter(None, (one.sentence() for one in self.search_progress(schedule)))
        return stand(
            self.experiment,
            schedule,
            encoders=self.sources.encoders,
            measures=self.sources.measures,
            own_metrics={one.spec.name: one.declared for one in self.sources.own_metrics.values()},
            search_notes=notes,
        )

    def search_progress(self, schedule: Schedule) -> "list[Progress]":
        """How far each study of the search is; none without a search."""
        return [cell.progress(schedule.plan.variants) for cell in self._cells]

    @cached_property
    def _cells(self) -> "list[Cell]":
        if self.experiment.search is None:
            return []
        from layerscope.orchestrator.search.cells import cells_of

        return cells_of(self.experiment, self.plan)

    def schedule(self, listener: Listener = lambda event: None) -> Schedule:
        """The grid, or what a search has already brought forth, set against the store."""
        schedule = Schedule(self.store, listener, honour_stops=self.experiment.early_stopping is not None)
        schedule.add(self.plan(grid_variants(self.experiment)).variants)
        if self.experiment.search is not None:
            from layerscope.orchestrator.search.optuna_search import stored_variants

            schedule.add(stored_variants(self.experiment, self.plan, self.store))
        return schedule


def open_workspace(
    path: Path,
    *,
    store: Path,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    fetch_mlflow: FetchMlflow | None = None,
    must_exist: bool = False,
) -> Workspace:
    """Read an experiment and look at its sources; a store that is not there is not made.

    Raises:
        ConfigurationError: the experiment or its data are wrong.
        PrerequisiteMissing: the encoder is nowhere to be found, the store is no folder, or it must exist and
            does not.
    """
    experiment, written = read_with_places(path, overrides=overrides, profile=profile, environ=os.environ)
    opened = Store(store)
    if opened.root.exists() and not opened.root.is_dir():
        raise PrerequisiteMissing(f"the store {opened.root} is no folder; choose another with --store")
    if must_exist and not opened.root.exists():
        raise PrerequisiteMissing(f"there is no store {opened.root}: name one with --store")
    memory = opened.root / DIGESTS if opened.root.is_dir() else None
    sources = look_at(
        experiment, memory=memory, fetch_mlflow=fetch_mlflow, told=lambda fault: str(placed(written, fault))
    )
    return Workspace(experiment, sources, opened)
