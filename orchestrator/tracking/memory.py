"""A tracker that keeps its pages in memory: for tests and untracked runs."""

from dataclasses import replace

from layerscope.orchestrator.errors import TrackerUnavailable
from layerscope.orchestrator.tracking.tracker import Page, metrics_not_finite, shown_points


class MemoryTracker:
    """Holds the pages of each experiment by key."""

    def __init__(self) -> None:
        self._pages: dict[str, dict[str, Page]] = {}
        self._num_failures = 0
        self._refused: set[str] = set()
        self.num_calls = 0
        """Number of publish calls, successful or not."""

    def publish(self, experiment: str, page: Page) -> None:
        """Store the page, unless a failure was requested."""
        self.num_calls += 1
        if self._num_failures:
            self._num_failures -= 1
            raise TrackerUnavailable("the in-memory tracker was set to fail")
        if page.key in self._refused:
            raise ValueError(f"the in-memory tracker was set to reject {page.key}")
        shown = self._pages.setdefault(experiment, {})
        before = shown.get(page.key, page)
        tags = dict(page.tags)
        if lost := metrics_not_finite(page):
            tags["layerscope.not_finite"] = ", ".join(lost)
        shown[page.key] = replace(
            page,
            tags=tags,
            points=tuple(shown_points(page).values()),
            texts={**before.texts, **page.texts},
            images={**before.images, **page.images},
        )

    def close(self) -> None:
        """Nothing to release."""

    def fail_next(self, num_calls: int) -> None:
        """Be unavailable for the next calls of publish."""
        self._num_failures = num_calls

    def refuse(self, key: str) -> None:
        """Raise ValueError whenever this page is published."""
        self._refused.add(key)

    def pages(self, experiment: str) -> dict[str, Page]:
        """The published pages, by key."""
        return dict(self._pages.get(experiment, {}))

    def children(self, experiment: str, key: str) -> list[Page]:
        """The child pages of another."""
        return [page for page in self.pages(experiment).values() if page.parent == key]
