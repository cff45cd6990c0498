"""Progress of a run: plain lines, above a live table on a terminal; or JSON lines."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column

from layerscope.orchestrator.errors import ReaderGone
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.planning.metrics import metric_of
from layerscope.orchestrator.planning.plan import TRAINED_KINDS, Stage


class Reporter(Protocol):
    """Receives events as they happen, each a mapping with `event`."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def close(self) -> None:
        """End of events."""


def counted(number: int, noun: str) -> str:
    """Number and noun, as `1 stage` or `2 stages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def make_reporter(*, as_json: bool, console: Console) -> Reporter:
    """JSON lines, a live display or plain lines, depending on the output."""
    if as_json:
        return _JsonLines()
    return _Lines(console)


class _JsonLines:
    """Reserves stdout until closed; other output, as of Ray when a process is lost, goes to stderr."""

    def __init__(self) -> None:
        self._output = sys.stdout
        sys.stdout = sys.stderr

    def __call__(self, event: Mapping[str, Any]) -> None:
        line = json.dumps({"time": round(time.time(), 3)} | dict(event), default=str)
        try:
            print(line, file=self._output, flush=True)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def close(self) -> None:
        sys.stdout = self._output


class _Lines:
    """A line per finished stage; on a terminal, below them, the progress of the run and of each training."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._schedule: Schedule | None = None
        self._rows: dict[str, TaskID] = {}
        self._first: dict[str, tuple[float, int | None]] = {}
        """Start time of a training, and its number of evaluations at that time, known from its first
        result."""
        self._table = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            expand=True,
        )
        self._stages = self._table.add_task("stages", total=None, scores="", left="")
        self._table.start()

    def watch(self, schedule: Schedule) -> None:
        """Read names and totals from a schedule."""
        self._schedule = schedule

    def __call__(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "stage_started" if event["kind"] in TRAINED_KINDS:
                self._begin_row(event)
            case "stage_finished":
                self._say(event, f"done in {self._seconds(event):.1f} s", self._scores(event))
            case "stage_failed":
                self._say(event, "[red]FAILED[/red]", event["reason"])
            case "stage_stopped":
                self._say(event, "stopped early", event["reason"])
            case "trial_result":
                self._move_row(event)
            case "message":
                self._console.print(event["text"], highlight=False, markup=False, soft_wrap=True)
            case _:
                pass
        self._count()

    def close(self) -> None:
        self._table.stop()

    def _begin_row(self, event: Mapping[str, Any]) -> None:
        name = escape(self._name(event["key"]) or event["kind"])
        self._rows[event["key"]] = self._table.add_task(name, total=None, scores="running", left="")
        self._first[event["key"]] = (time.monotonic(), None)

    def _move_row(self, event: Mapping[str, Any]) -> None:
        key, done, total = event["key"], event["evaluations"], event["num_evaluations"]
        name = metric_of(self._stage(key), event, "validation")
        scores = f"loss {event['validation/loss']:.3f} {name} {event[f'validation/{name}']:.3f}"
        since, before = self._first[key]
        before = done - 1 if before is None else before
        self._first[key] = (since, before)
        seconds = (time.monotonic() - since) / max(done - before, 1)
        self._table.update(
            self._rows[key],
            total=total,
            completed=done,
            scores=f"step {event['step']} {scores}",
            left=f"{_clock(seconds * (total - done))} left",
        )

    def _say(self, event: Mapping[str, Any], outcome: str, details: str) -> None:
        if event["key"] in self._rows:
            self._table.remove_task(self._rows.pop(event["key"]))
        clock = _clock(time.monotonic() - self._began)
        line = f"[dim]{clock}[/dim] {event['kind']:<20} {event['key']} {outcome}"
        name = self._name(event["key"])
        self._console.print(f"{line}  {escape(name)}" if name else line, highlight=False, soft_wrap=True)
        if details:
            self._console.print(f"        {details}", highlight=False, markup=False, soft_wrap=True)

    def _name(self, key: str) -> str:
        """The variant's name; empty for other stages."""
        assert self._schedule is not None
        variant = self._schedule.variant(key)
        return f"{variant.task} {variant.condition} seed={variant.seed}" if variant else ""

    def _seconds(self, event: Mapping[str, Any]) -> float:
        """Compute time of the stage, without the wait for cluster resources."""
        assert self._schedule is not None
        record = self._schedule.store.record(self._stage(event["key"]))
        return float(record["provenance"]["seconds"])

    def _stage(self, key: str) -> Stage:
        assert self._schedule is not None
        return self._schedule.stage(key)

    def _scores(self, event: Mapping[str, Any]) -> str:
        stage, metrics = self._stage(event["key"]), event["metrics"]
        shown = [f"{split}/{metric_of(stage, metrics, split)}" for split in ("validation", "test")]
        text = "  ".join(f"{name} {metrics[name]:.4f}" for name in shown if name in metrics)
        return text + ("  DIVERGED" if metrics.get("diverged") else "")

    def _count(self) -> None:
        if self._schedule is None:
            return
        counts = self._schedule.counts()
        wanted = sum(counts.values()) - counts.get("unneeded", 0)
        left = counts.get("todo", 0) + counts.get("running", 0)
        done = counts.get("computed", 0)
        passed = time.monotonic() - self._began
        self._table.update(
            self._stages,
            total=wanted,
            completed=wanted - left,
            scores=f"{_clock(passed)} elapsed",
            left=f"{_clock(passed / done * left)} left" if done and left else "",
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
