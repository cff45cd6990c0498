"""Pages of a study, and the interface of trackers."""

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
    """Data set of a run."""

    name: str
    digest: str
    source: str


@dataclass(frozen=True)
class Page:
    """Content of one tracked run; publishing it twice changes nothing."""

    key: str
    """Unique within an experiment: letters, digits and `:_.-`."""
    level: Level
    name: str
    parent: str | None
    """Key of the parent page."""
    status: Status
    began: float | None = None
    """Unix seconds; the time of first publication if unknown."""
    ended: float | None = None
    """Unix seconds; published once the page is no longer running."""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    """Of several values of a metric at one step, the last is published; NaN and infinity are not
    published."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Content by artifact path."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """PNG by artifact path."""
    dataset: Dataset | None = None

    def __post_init__(self) -> None:
        for key in [self.key] if self.parent is None else [self.key, self.parent]:
            assert re.fullmatch(r"[\w:.-]+", key, re.ASCII), f"{key!r} is no key of a page"


class Tracker(Protocol):
    """Publishes pages as nested runs of an experiment."""

    def publish(self, experiment: str, page: Page) -> None:
        """Update the run with the page's key to the page's content.

        Pages may come in any order. Raises TrackerUnavailable if the tracker cannot be reached.
        """

    def close(self) -> None:
        """Close connections; published pages remain."""


def shown_points(page: Page) -> dict[tuple[str, int], Point]:
    """The finite points of a page by metric and step."""
    return {(p.metric, p.step): p for p in page.points if math.isfinite(p.value)}


def metrics_not_finite(page: Page) -> list[str]:
    """Metrics with a NaN or infinite value, which is not published."""
    return sorted({p.metric for p in page.points if not math.isfinite(p.value)})


def check_tracking_uri(uri: str) -> None:
    """Raise ValueError if no tracker supports the address; nothing is opened."""
    scheme = urlsplit(uri).scheme.partition("+")[0] or uri
    if scheme not in SCHEMES:
        raise ValueError(
            f"unsupported tracking address {redacted(uri)!r}: use sqlite:///FOLDER/mlflow.db, "
            f"http://HOST:PORT or another address that starts with one of {', '.join(SCHEMES)}."
        )


def redacted(text: str) -> str:
    """The text without user names and passwords in its addresses."""
    return re.sub(r"://[^/\s]*@", "://***@", text)
