"""Where a study is shown: pages, and the port through which a tracker shows them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

from layerscope.jobs.artifacts.curves import Point

Level = Literal["study", "condition", "variant"]
Status = Literal["running", "finished", "failed", "killed"]

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")


@dataclass(frozen=True)
class Dataset:
    """What a run was trained on."""

    name: str
    digest: str
    source: str


@dataclass(frozen=True)
class Page:
    """What one tracked run must show; publishing it twice changes nothing."""

    key: str
    """Unique within an experiment: letters, digits and `:_.-`."""
    level: Level
    name: str
    parent: str | None
    """Key of the page that this one stands under."""
    status: Status
    began: float | None = None
    """Unix seconds; the time of the first publishing where it is not known."""
    ended: float | None = None
    """Unix seconds; shown once the page is no longer running."""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    """Where one metric has several values at one step, the last is shown; NaN and infinity are not shown."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Content by artifact path."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """PNG by artifact path."""
    dataset: Dataset | None = None

    def __post_init__(self) -> None:
        for key in [self.key] if self.parent is None else [self.key, self.parent]:
            assert re.fullmatch(r"[\w:.-]+", key, re.ASCII), f"{key!r} is no key of a page"


class Tracker(Protocol):
    """Shows pages as nested runs of an experiment."""

    def publish(self, experiment: str, page: Page) -> None:
        """Make the run with the page's key show the page, whatever was shown before.

        Pages may come in any order. Raises TrackerUnavailable when the tracker cannot be reached.
        """

    def close(self) -> None:
        """Let go of connections; what was published stays."""


def shown_points(page: Page) -> dict[tuple[str, int], Point]:
    """The finite points of a page by metric and step."""
    return {(p.metric, p.step): p for p in page.points if math.isfinite(p.value)}


def metrics_not_finite(page: Page) -> list[str]:
    """Metrics of which a value is NaN or infinite, and therefore not shown."""
    return sorted({p.metric for p in page.points if not math.isfinite(p.value)})


def check_tracking_uri(uri: str) -> None:
    """Raise ValueError where no tracker can serve the address; nothing is opened."""
    scheme = urlsplit(uri).scheme.partition("+")[0] or uri
    if scheme not in SCHEMES:
        raise ValueError(
            f"tracking cannot go to {redacted(uri)!r}: give sqlite:///FOLDER/mlflow.db, http://HOST:PORT, "
            f"or another address that starts with one of {', '.join(SCHEMES)}."
        )


def redacted(text: str) -> str:
    """The text without user names and passwords in its addresses."""
    return re.sub(r"://[^/\s]*@", "://***@", text)
