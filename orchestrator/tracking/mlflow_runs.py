"""Pages as nested MLflow runs, in a local SQLite database or on any tracking server.

MLflow can neither delete a point nor change a param. A page that contradicts its run, as the mean of a
condition that gained a seed, gets a new run; the old one moves to MLflow's deleted runs.
"""

import io
import json
import logging
import math
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from layerscope.jobs.artifacts.curves import Point
from layerscope.orchestrator.errors import PrerequisiteMissing, TrackerUnavailable, first_line
from layerscope.orchestrator.store.databases import ensure_database
from layerscope.orchestrator.tracking.mlflow_names import (
    MAX_NAME,
    MAX_PARAM,
    MAX_TAG,
    accepted_name,
    accepted_path,
    accepted_value,
    shortened,
)
from layerscope.orchestrator.tracking.tracker import (
    Dataset,
    Page,
    check_tracking_uri,
    metrics_not_finite,
    redacted,
    shown_points,
)

if TYPE_CHECKING:
    import mlflow.entities
    from mlflow import MlflowClient

Entry = TypeVar("Entry")
log = logging.getLogger(__name__)

KEY = "layerscope.key"
LEVEL = "layerscope.level"
DIGEST = "layerscope.digest"
"""Tag with the digest of the run's content without artifacts: an unchanged page costs one look-up."""
ARTIFACTS = "layerscope.artifacts"
"""Tag with the digest of each artifact, as JSON."""
NOT_FINITE = "layerscope.not_finite"
PARENT = "mlflow.parentRunId"

BATCH = {"metrics": 800, "params": 100, "tags": 100}
"""MLflow's limit per batch: 100 params, 100 tags and 1000 entries in total."""

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""By default a refused connection blocks for minutes; values set by the user are kept."""


@dataclass
class _Run:
    """Known state of one run in MLflow."""

    run_id: str
    name: str
    status: str
    ended: int | None
    """Milliseconds."""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: set[str] = field(default_factory=set)
    values: dict[tuple[str, int], float] = field(default_factory=dict)
    """Values by metric and step."""
    unread: set[str] = field(default_factory=set)
    """Metrics with values in MLflow that are not in `values`."""
    artifacts: dict[str, str] = field(default_factory=dict)


class MlflowTracker:
    """Publishes pages as runs, found again by their key after a restart.

    Raises ValueError if MLflow does not support the address; nothing is opened before the first page.
    """

    def __init__(self, tracking_uri: str) -> None:
        check_tracking_uri(tracking_uri)
        self._uri = tracking_uri
        self._opened: MlflowClient | None = None
        self._experiments: dict[str, str] = {}
        self._runs: dict[tuple[str, str], _Run] = {}

    def publish(self, experiment: str, page: Page) -> None:
        """Update the run with the page's key to the page's content.

        Raises TrackerUnavailable if MLflow cannot be reached, PrerequisiteMissing if the experiment was
        deleted there, MLflow's own errors if it rejects the page.
        """
        try:
            self._publish(self._experiment_id(experiment), page)
        except Exception as error:
            self._forget(experiment, page)
            if not _is_outage(error):
                raise
            reason = shortened(redacted(str(error) or first_line(error)), 300)
            raise TrackerUnavailable(
                f"MLflow at {redacted(self._uri)} cannot be reached: {reason}"
            ) from error

    def close(self) -> None:
        """Close the connections to a database."""
        store = self._opened._tracking_client.store if self._opened else None
        if store is not None and hasattr(store, "engine"):
            store.engine.dispose()

    @property
    def _client(self) -> "MlflowClient":
        if self._opened is None:
            self._opened = _open_client(self._uri)
        return self._opened

    def _publish(self, experiment_id: str, page: Page) -> None:
        parent = self._run(experiment_id, page.parent).run_id if page.parent else None
        points = {
            (accepted_name(metric), step): point for (metric, step), point in shown_points(page).items()
        }
        params = {
            accepted_name(name): accepted_value(value, MAX_PARAM) for name, value in page.params.items()
        }
        tags = _tags(page, parent)
        run = self._run(experiment_id, page.key, page)
        if run.tags.get(DIGEST) != tags[DIGEST]:
            self._read_values(run, {metric for metric, _ in points})
            if _contradicts(run, params, points):
                log.info("%s is replaced by a new run, because its content has changed", page.name)
                self._client.delete_run(run.run_id)
                del self._runs[experiment_id, page.key]
                run = self._run(experiment_id, page.key, page)
            self._send(run, params, tags, points)
            self._send_state(run, page, tags)
        self._send_artifacts(run, page)

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage == "deleted":
                raise PrerequisiteMissing(
                    f"the MLflow experiment {name!r} was deleted: restore it with "
                    f"`{_restoring(self._uri, found.experiment_id)}`, or rename yours"
                )
            self._experiments[name] = (
                found.experiment_id
                if found
                else self._client.create_experiment(name, artifact_location=_artifact_root(self._uri))
            )
        return self._experiments[name]

    def _run(self, experiment_id: str, key: str, page: Page | None = None) -> _Run:
        """The run with this key; created empty if there is none."""
        if (experiment_id, key) not in self._runs:
            found = self._client.search_runs(
                [experiment_id],
                f"tags.`{KEY}` = '{key}'",
                order_by=["attributes.start_time ASC"],
                max_results=1,
            )
            run = found[0] if found else self._create_run(experiment_id, key, page)
            self._runs[experiment_id, key] = _known(run)
        return self._runs[experiment_id, key]

    def _create_run(self, experiment_id: str, key: str, page: Page | None) -> "mlflow.entities.Run":
        return self._client.create_run(
            experiment_id,
            start_time=_milliseconds(page.began) if page and page.began is not None else None,
            tags={KEY: key, "mlflow.source.name": "layerscope"},
            run_name=accepted_value(page.name, MAX_NAME) if page else key,
        )

    def _read_values(self, run: _Run, metrics: Iterable[str]) -> None:
        for metric in run.unread.intersection(metrics):
            for entry in self._client.get_metric_history(run.run_id, metric):
                run.values[metric, entry.step] = entry.value
            run.unread.remove(metric)

    def _send(
        self, run: _Run, params: dict[str, str], tags: dict[str, str], points: dict[tuple[str, int], Point]
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        new_points = {at: point for at, point in points.items() if at not in run.values}
        new_params = {name: value for name, value in params.items() if name not in run.params}
        new_tags = {
            name: value for name, value in tags.items() if name != DIGEST and run.tags.get(name) != value
        }
        metrics = [
            Metric(metric, float(point.value), _milliseconds(point.time), step)
            for (metric, step), point in new_points.items()
        ]
        batches = zip_longest(
            _chunks(metrics, BATCH["metrics"]),
            _chunks([Param(*item) for item in new_params.items()], BATCH["params"]),
            _chunks([RunTag(*item) for item in new_tags.items()], BATCH["tags"]),
            fillvalue=(),
        )
        for batch in batches:
            self._client.log_batch(run.run_id, *batch)
        run.values |= {at: point.value for at, point in new_points.items()}
        run.params |= new_params
        run.tags |= new_tags

    def _send_state(self, run: _Run, page: Page, tags: dict[str, str]) -> None:
        """Name, status and data set; the digest is written last, as a sign that the update is complete."""
        for name in [name for name in run.tags if name.startswith("layerscope.") and name not in tags]:
            if name not in (KEY, ARTIFACTS):
                self._client.delete_tag(run.run_id, name)
                del run.tags[name]
        if run.name != (name := accepted_value(page.name, MAX_NAME)):
            self._client.update_run(run.run_id, name=name)
        status, ended = page.status.upper(), None if page.ended is None else _milliseconds(page.ended)
        if page.status == "running":
            if run.status != status:
                self._client.update_run(run.run_id, status=status)
        elif run.status != status or ended not in (None, run.ended):
            self._client.set_terminated(run.run_id, status, ended)
            run.ended = ended
        if page.dataset and page.dataset.digest not in run.datasets:
            self._send_dataset(run, page.dataset)
        self._client.set_tag(run.run_id, DIGEST, tags[DIGEST])
        run.name, run.status, run.tags[DIGEST] = name, status, tags[DIGEST]

    def _send_dataset(self, run: _Run, shown: Dataset) -> None:
        from mlflow import entities
        from mlflow.entities import DatasetInput, InputTag

        dataset = entities.Dataset(shown.name, shown.digest, "local", json.dumps({"uri": shown.source}))
        self._client.log_inputs(
            run.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )
        run.datasets.add(shown.digest)

    def _send_artifacts(self, run: _Run, page: Page) -> None:
        contents = {path: text.encode("utf-8", "replace") for path, text in page.texts.items()} | dict(
            page.images
        )
        changed = False
        for path, content in contents.items():
            digest = sha256(content).hexdigest()[:16]
            if run.artifacts.get(path) != digest:
                self._client.log_stream(run.run_id, io.BytesIO(content), accepted_path(path))
                run.artifacts[path] = digest
                changed = True
        known = json.dumps(run.artifacts, sort_keys=True)
        if changed and len(known) <= MAX_TAG:
            self._client.set_tag(run.run_id, ARTIFACTS, known)
            run.tags[ARTIFACTS] = known

    def _forget(self, experiment: str, page: Page) -> None:
        """After a failure the state is unknown: the next attempt queries MLflow."""
        experiment_id = self._experiments.pop(experiment, "")
        for key in (page.key, page.parent or ""):
            self._runs.pop((experiment_id, key), None)


def _open_client(uri: str) -> "MlflowClient":
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # They log every outage before raising it, one with a traceback; the publisher logs it once.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    if database := _database_file(uri):
        try:
            ensure_database(database, _make_database)
        except OSError as error:
            raise TrackerUnavailable(f"{database} cannot be created: {error.strerror or error}") from error
    return MlflowClient(uri)


def _restoring(uri: str, experiment_id: str) -> str:
    """A command that works as written, except that a password is redacted."""
    return (
        f"env MLFLOW_TRACKING_URI={shlex.quote(redacted(uri))} mlflow experiments restore -x {experiment_id}"
    )


def _make_database(path: Path) -> None:
    """Open MLflow's database, which creates and migrates its tables."""
    from mlflow import MlflowClient

    # MLflow caches connections by address, even if the file was replaced: this is another address.
    store = MlflowClient(f"sqlite:///{path.parent}/./{path.name}")._tracking_client.store
    try:
        store.search_experiments(max_results=1)
    finally:
        store.engine.dispose()


def _artifact_root(uri: str) -> str | None:
    """A folder next to a SQLite database; a server chooses its own."""
    database = _database_file(uri)
    return (database.parent / "mlartifacts").as_uri() if database else None


def _database_file(uri: str) -> Path | None:
    """The file of a SQLite database; None for a server or an in-memory database."""
    from sqlalchemy import make_url

    database = make_url(uri).database if uri.startswith("sqlite") else None
    if not database or database == ":memory:" or database.startswith("file:"):
        return None
    return Path(database).resolve()


def _known(run: "mlflow.entities.Run") -> _Run:
    return _Run(
        run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        ended=run.info.end_time,
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        datasets={given.dataset.digest for given in (run.inputs.dataset_inputs if run.inputs else [])},
        unread=set(run.data.metrics),
        artifacts=json.loads(run.data.tags.get(ARTIFACTS, "{}")),
    )


def _tags(page: Page, parent: str | None) -> dict[str, str]:
    tags = {accepted_name(name): accepted_value(value, MAX_TAG) for name, value in page.tags.items()}
    tags |= {KEY: page.key, LEVEL: page.level}
    if parent:
        tags[PARENT] = parent
    if lost := metrics_not_finite(page):
        tags[NOT_FINITE] = shortened(", ".join(lost), MAX_TAG)
    points = [(p.metric, p.step, p.value) for p in page.points]
    dataset = page.dataset and page.dataset.digest
    content = [page.name, page.status, page.ended, dict(page.params), tags, points, dataset]
    return tags | {DIGEST: sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]}


def _contradicts(run: _Run, params: dict[str, str], points: dict[tuple[str, int], Point]) -> bool:
    # Not every database returns the last digit of a value.
    return any(run.params.get(name, value) != value for name, value in params.items()) or any(
        not math.isclose(run.values.get(at, point.value), point.value, rel_tol=1e-9)
        for at, point in points.items()
    )


def _milliseconds(seconds: float) -> int:
    return max(0, int(seconds * 1000))


def _chunks(entries: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _is_outage(error: BaseException | None) -> bool:
    """Whether any exception in the chain means that MLflow or its database is unavailable."""
    from mlflow.exceptions import MlflowException
    from requests import ConnectionError, HTTPError, Timeout
    from requests.exceptions import ChunkedEncodingError, RetryError
    from sqlalchemy.exc import OperationalError

    match error:
        case None:
            return False
        case ConnectionError() | Timeout() | RetryError() | ChunkedEncodingError() | OperationalError():
            return True
        case HTTPError() if error.response is not None and error.response.status_code >= 500:
            return True
        case MlflowException(error_code="TEMPORARILY_UNAVAILABLE"):
            return True
        case _:
            return _is_outage(error.__cause__ or error.__context__)
