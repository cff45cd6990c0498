"""The run command: everything an experiment needs, once each, shown as it happens."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.live_pages import LivePages, final_pages
from layerscope.orchestrator.outcome import Outcome
from layerscope.orchestrator.planning.plan import Stage
from layerscope.orchestrator.store.cleaning import remove_leftovers
from layerscope.orchestrator.tracking.terminal import Reporter, counted
from layerscope.orchestrator.tracking.tracker import Tracker
from layerscope.orchestrator.workspace import Workspace


def run_experiment(
    workspace: Workspace, cluster: Cluster, tracker: Tracker, reporter: Reporter, *, serially: bool = False
) -> Outcome:
    """Compute what is missing, publish it and write the report.

    Raises:
        PrerequisiteMissing: the store cannot be written or is in use, or the cluster cannot hold a trial.
        KeyboardInterrupt: interrupted; the same command goes on from there.
    """
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        workspace.store.create()
        stack.enter_context(workspace.store.exclusive())
        remove_leftovers(workspace.store)
        listener = _Listener(reporter)
        schedule = workspace.schedule(listener)
        shown = LivePages(workspace, schedule, tracker)
        stack.callback(shown.give_up)
        listener.begin(schedule, shown)
        _announce(workspace, schedule, reporter)
        _compute(workspace, schedule, cluster, listener, serially=serially)
        return _conclude(workspace, schedule, shown)


def _compute(
    workspace: Workspace, schedule: Schedule, cluster: Cluster, listener: "_Listener", *, serially: bool
) -> None:
    if schedule.is_over and workspace.experiment.search is None:
        return
    if serially:
        from layerscope.orchestrator.execution.serial import run_serially

        refill = _refill(workspace, schedule, listener, at_once=1)
        run_serially(schedule, refill, micro_batch_size=cluster.micro_batch_size)
        return
    from layerscope.orchestrator.execution.ray_cluster import connected, run_on_ray
    from layerscope.orchestrator.execution.room import most_trials_at_once

    where = "starting Ray" if cluster.address is None else f"joining Ray at {cluster.address}"
    listener({"event": "message", "text": where})
    # Ray takes SIGTERM for itself when it is connected to.
    with connected(cluster), _interruptible():
        run_on_ray(
            schedule,
            cluster,
            refill=_refill(workspace, schedule, listener, at_once=most_trials_at_once(cluster)),
            early_stopping=workspace.experiment.early_stopping,
            on_result=listener.trial_result,
        )


def _refill(
    workspace: Workspace, schedule: Schedule, listener: "_Listener", *, at_once: int
) -> Callable[[], bool]:
    if workspace.experiment.search is None:
        return lambda: False
    from layerscope.orchestrator.search.optuna_search import OptunaSearch

    def say(text: str) -> None:
        listener({"event": "message", "text": text})

    return OptunaSearch(workspace.experiment, schedule, workspace.plan, at_once=at_once, say=say).refill


def _announce(workspace: Workspace, schedule: Schedule, reporter: Reporter) -> None:
    counts = schedule.counts()
    reporter(
        {
            "event": "message",
            "text": f"{workspace.experiment.experiment}: {counted(len(schedule.plan.variants), 'variant')}, "
            f"{counted(counts.get('stored', 0), 'stage')} stored, {counts.get('todo', 0)} to do "
            f"in {workspace.store.root}",
        }
    )
    for note in workspace.sources.notes:
        reporter({"event": "message", "text": note})


def _conclude(workspace: Workspace, schedule: Schedule, shown: LivePages) -> Outcome:
    from layerscope.jobs.report.ranking import rank_conditions
    from layerscope.jobs.study_report import study_figures, write_report

    study = workspace.study(schedule)
    ranking = rank_conditions(study)
    figures = study_figures(study, ranking=ranking)
    report = write_report(study, workspace.report_path, figures=figures, ranking=ranking)
    num_unpublished = shown.finish(final_pages(workspace, study, figures, report))
    counts = schedule.counts()
    states = [variant.state for variant in study.variants]
    return Outcome(
        stages={name: counts.get(name, 0) for name in ("computed", "stored", "failed", "blocked")},
        variants={
            "done": states.count("done"),
            "stopped": states.count("stopped"),
            "failed": states.count("failed") + states.count("blocked"),
        },
        report=report,
        num_unpublished=num_unpublished,
        search=tuple(workspace.search_progress(schedule)),
    )


@dataclass
class _Listener:
    """Passes events on to the reporter, and has what changed published."""

    reporter: Reporter
    _schedule: Schedule | None = field(default=None)
    _shown: LivePages | None = field(default=None)

    def begin(self, schedule: Schedule, shown: LivePages) -> None:
        self._schedule, self._shown = schedule, shown
        watch = getattr(self.reporter, "watch", None)
        if watch is not None:
            watch(schedule)

    def __call__(self, event: dict[str, Any]) -> None:
        self.reporter(event)
        if self._shown is not None:
            self._shown.refresh()

    def trial_result(self, stage: Stage, result: dict[str, Any]) -> None:
        """One evaluation of a running trial."""
        scores = {name: value for name, value in result.items() if name.startswith("validation/")}
        if scores:
            where = {"kind": stage.kind, "key": stage.key, "step": result["step"]}
            progress = {name: result[name] for name in ("evaluations", "num_evaluations")}
            begun = {"seconds_to_begin": round(result["seconds_to_begin"], 3)}
            self({"event": "trial_result"} | where | progress | scores | begun)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends a run like Ctrl-C."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.stdout.flush()
