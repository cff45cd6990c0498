"""Publishing in a background thread: the run never waits, and an outage loses nothing."""

import logging
import math
import threading
import time
from collections.abc import Iterable

from layerscope.orchestrator.errors import LayerscopeError, TrackerUnavailable
from layerscope.orchestrator.tracking.tracker import Page, Tracker, redacted

log = logging.getLogger(__name__)


def publish_each(tracker: Tracker, experiment: str, pages: Iterable[Page]) -> dict[str, list[Page]]:
    """Publish every page; returns the pages that the tracker rejected, by reason.

    Raises TrackerUnavailable if it cannot be reached.
    """
    refused: dict[str, list[Page]] = {}
    for page in pages:
        try:
            tracker.publish(experiment, page)
        except TrackerUnavailable:
            raise
        except Exception as error:  # whatever one page meets, the others are still to be shown
            refused.setdefault(_reason(error), []).append(page)
    return refused


def _reason(error: Exception) -> str:
    is_ours = isinstance(error, LayerscopeError)
    return redacted(str(error) if is_ours else f"{type(error).__name__}: {error}".removesuffix(": "))


class Publisher:
    """Publishes the latest page of each key, and retries while the tracker is unavailable.

    The caller closes the tracker, after the publisher.
    """

    def __init__(
        self, tracker: Tracker, experiment: str, *, shortest_pause: float = 0.5, longest_pause: float = 30.0
    ) -> None:
        """Pauses between attempts, in seconds, double from the shortest to the longest."""
        self._tracker = tracker
        self._experiment = experiment
        self._shortest_pause = shortest_pause
        self._longest_pause = longest_pause
        self._pause = shortest_pause
        self._changed = threading.Condition()
        self._waiting: dict[str, Page] = {}
        self._unreached: set[str] = set()
        """Keys whose last attempt found the tracker unavailable."""
        self._refusals: dict[str, str] = {}
        """Reason for rejecting a page, by key."""
        self._deadline = math.inf
        """Deadline, set when closing begins and extended by every page published afterwards."""
        self._patience = math.inf
        self._thread = threading.Thread(target=self._work, name="layerscope-publisher", daemon=True)
        self._thread.start()

    def offer(self, pages: Iterable[Page]) -> None:
        """Queue these pages, replacing queued pages with the same keys; returns immediately."""
        with self._changed:
            self._waiting |= {page.key: page for page in pages}
            self._changed.notify_all()

    def close(self, patience: float) -> int:
        """Publish the queued pages until no page could be published for this many seconds.

        Returns the number of unpublished pages.
        """
        with self._changed:
            self._patience = patience
            self._deadline = time.monotonic() + patience
            self._pause = self._shortest_pause
            self._changed.notify_all()
        while self._thread.is_alive() and (rest := self._deadline - time.monotonic()) > 0:
            self._thread.join(rest)
        with self._changed:
            return len(self._waiting.keys() | self._refusals.keys())

    def _work(self) -> None:
        while (page := self._next()) is not None:
            try:
                self._tracker.publish(self._experiment, page)
            except TrackerUnavailable as outage:
                self._retry_later(page, outage)
            except Exception as error:  # whatever one page meets, the others are still to be shown
                self._refused(page, error)
            else:
                self._published(page)

    def _next(self) -> Page | None:
        """The oldest queued page, which stays queued until it is published; None ends the thread."""
        with self._changed:
            while not self._waiting and not self._is_closing():
                self._changed.wait()
            if not self._waiting or time.monotonic() >= self._deadline:
                return None
            return next(iter(self._waiting.values()))

    def _published(self, page: Page) -> None:
        with self._changed:
            self._settle(page)
            self._refusals.pop(page.key, None)
            if time.monotonic() < self._deadline:
                self._deadline = time.monotonic() + self._patience

    def _refused(self, page: Page, error: Exception) -> None:
        reason = _reason(error)
        with self._changed:
            self._settle(page)
            if reason not in self._refusals.values():
                log.error("the tracker rejects the %s %r: %s", page.level, page.name, reason)
            self._refusals[page.key] = reason

    def _settle(self, page: Page) -> None:
        """The tracker has answered; a newer page with the same key stays queued."""
        if self._waiting.get(page.key) is page:
            del self._waiting[page.key]
        if page.key in self._unreached:
            self._unreached.remove(page.key)
            if not self._unreached:
                self._pause = self._shortest_pause
                log.info("the tracker is available again")

    def _retry_later(self, page: Page, outage: TrackerUnavailable) -> None:
        with self._changed:
            if not self._unreached:
                log.warning(
                    "%s (the run continues and pages are queued; `layerscope publish` sends them later)",
                    outage,
                )
            self._unreached.add(page.key)
            # A failing page must not block the others.
            self._waiting[page.key] = self._waiting.pop(page.key)
            self._rest(time.monotonic() + self._pause)
            self._pause = min(2 * self._pause, self._longest_pause)

    def _rest(self, until: float) -> None:
        """Wait, but retry immediately when closing begins."""
        was_closing = self._is_closing()
        while (rest := min(until, self._deadline) - time.monotonic()) > 0:
            self._changed.wait(rest)
            if self._is_closing() and not was_closing:
                return

    def _is_closing(self) -> bool:
        return math.isfinite(self._deadline)
