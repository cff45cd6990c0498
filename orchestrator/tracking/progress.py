"""What a run says while it works: a live line on a terminal, plain lines otherwise, or JSON lines."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orchestrator.search.schedule import Schedule

TRIAL_EVENTS = ("trial_result",)


class Reporter(Protocol):
    """Takes events as they happen, each a mapping with `event`."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def close(self) -> None:
        """Nothing more will come."""


def make_reporter(*, as_json: bool, console: Console) -> Reporter:
    """JSON lines, a live display, or plain lines, as fits the output."""
    if as_json:
        return _JsonLines()
    return _Lines(console)


class _JsonLines:
    def __call__(self, event: Mapping[str, Any]) -> None:
        print(json.dumps({"time": round(time.time(), 3)} | dict(event), default=str), flush=True)

    def close(self) -> None:
        sys.stdout.flush()


class _Lines:
    """A line for every end; on a terminal, a bar below them says how far the run is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._started: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._schedule: Schedule | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("stages", total=None, left="")
        self._bar.start()

    def watch(self, schedule: Schedule) -> None:
        """Learn names and totals from a schedule."""
        self._schedule = schedule

    def __call__(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "stage_started":
                self._started[event["key"]] = time.monotonic()
            case "stage_finished":
                self._say(event, "done", self._scores(event["metrics"]))
            case "stage_failed":
                self._say(event, "[red]FAILED[/red]", event["reason"])
            case "stage_stopped":
                self._say(event, "stopped", event["reason"])
            case "trial_result":
                self._bar.update(self._task, description=self._trial(event))
            case "message":
                self._console.print(event["text"], highlight=False, markup=False)
        self._count()

    def close(self) -> None:
        self._bar.stop()

    def _say(self, event: Mapping[str, Any], outcome: str, details: str) -> None:
        took = time.monotonic() - self._started.get(event["key"], time.monotonic())
        self._console.print(
            f"[dim]{_clock(time.monotonic() - self._began)}[/dim] {event['kind']:<9} {event['key']} "
            f"{outcome} in {took:.1f} s  {self._name(event)}",
            highlight=False,
        )
        if details:
            self._console.print(f"        {details}", highlight=False, markup=False, soft_wrap=True)

    def _name(self, event: Mapping[str, Any]) -> str:
        if self._schedule is None or event["kind"] != "finetune":
            return ""
        for variant in self._schedule.plan.variants:
            if variant.key == event["key"]:
                return f"{variant.task} {variant.condition} seed={variant.seed}"
        return ""

    def _scores(self, metrics: Mapping[str, float]) -> str:
        shown = [name for name in ("validation/accuracy", "test/accuracy") if name in metrics]
        text = "  ".join(f"{name} {metrics[name]:.4f}" for name in shown)
        return text + ("  DIVERGED" if metrics.get("diverged") else "")

    def _trial(self, event: Mapping[str, Any]) -> str:
        return f"{event['key'][:6]} step {event['step']} validation {event['validation/accuracy']:.3f}"

    def _count(self) -> None:
        if self._schedule is None:
            return
        counts = self._schedule.counts()
        wanted = sum(counts.values()) - counts.get("unneeded", 0)
        left = counts.get("todo", 0) + counts.get("running", 0)
        self._bar.update(self._task, total=wanted, completed=wanted - left, left=self._left(wanted, left))

    def _left(self, wanted: int, left: int) -> str:
        done = (self._schedule.counts() if self._schedule else {}).get("computed", 0)
        if not done or not left:
            return ""
        return f"about {_clock((time.monotonic() - self._began) / done * left)} left"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
