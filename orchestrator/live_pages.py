"""The pages that a tracker shows of a run, brought up to date now and then."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.jobs.report.study import Study
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.tracking.tracker import Page, Tracker
from layerscope.orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHING_PAUSE = 3.0
"""Seconds between two publications of what has changed; longer where making the pages takes long."""
CLOSING_PATIENCE = 20.0
"""Seconds without a page published after which a run no longer waits for the tracker at its end."""


class LivePages:
    """What the tracker shows of a run, brought up to date now and then."""

    def __init__(self, workspace: Workspace, schedule: Schedule, tracker: Tracker) -> None:
        from layerscope.orchestrator.tracking.publishing import Publisher

        self._workspace, self._schedule = workspace, schedule
        self._publisher = Publisher(tracker, workspace.experiment.experiment)
        self._next = 0.0
        self._is_closed = False

    def refresh(self) -> None:
        """Publish what there is, unless that was done a moment ago."""
        from layerscope.orchestrator.tracking.pages import study_pages

        began = time.monotonic()
        if began < self._next:
            return
        study = self._workspace.study(self._schedule)
        self._publisher.offer(study_pages(study, study_key=self._workspace.study_key))
        ended = time.monotonic()
        self._next = ended + max(PUBLISHING_PAUSE, 10 * (ended - began))

    def finish(self, pages: list[Page]) -> int:
        """Publish the last pages; returns how many the tracker could not be given."""
        self._publisher.offer(pages)
        self._is_closed = True
        return self._publisher.close(CLOSING_PATIENCE)

    def give_up(self) -> None:
        """End the publisher of a run that does not come to its end."""
        if not self._is_closed:
            self._publisher.close(0.0)


def final_pages(
    workspace: Workspace, study: Study, figures: "Mapping[str, Figure]", report: Path
) -> list[Page]:
    """All pages of a study that nothing works on any more, with figures and report."""
    from layerscope.orchestrator.tracking.pages import study_pages

    html = report.read_text(encoding="utf-8")
    return study_pages(study, study_key=workspace.study_key, figures=figures, live=False, report_html=html)
