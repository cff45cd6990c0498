"""The store: a folder of artifacts, each complete or absent.

Layout: `<root>/<kind>/<key>/{files, curves.jsonl, record.json}`. An artifact is written aside and renamed
whole, so a kill at any moment leaves none, and two writers of one key leave one. What is being computed
lies under `<root>/.scratch/<kind>/<key>/` and survives retries; why a stage failed, or was stopped early,
is written under `<root>/.outcomes/`.
"""

import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from layerscope.jobs.artifacts.curves import CURVES
from layerscope.jobs.artifacts.record import RECORD, read_record, write_record, write_whole
from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.planning.plan import Stage

Outcome = Literal["failed", "stopped"]


class Store:
    """Artifacts by kind and key under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def create(self) -> None:
        """Make the folder and check that it can be written.

        Raises:
            PrerequisiteMissing: it cannot.
        """
        probe = self.root / f".writable-{uuid.uuid4().hex}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise PrerequisiteMissing(
                f"the store {self.root} cannot be written: {error.strerror or error}; "
                "choose another folder with --store"
            ) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the store for one run, so that two never work on one scratch folder.

        Raises:
            PrerequisiteMissing: another run holds it, or it belongs to somebody else.
        """
        path = self.root / ".lock"
        try:
            opened = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise PrerequisiteMissing(f"{path} cannot be written: {error.strerror}") from error
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise PrerequisiteMissing(
                    f"another run ({file.read().strip()}) is using the store {self.root}; "
                    "wait for it, or choose another folder with --store"
                ) from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    def folder(self, stage: Stage) -> Path:
        """Where the stage's artifact lies, or would lie."""
        return self.root / stage.kind / stage.key

    def has(self, stage: Stage) -> bool:
        """Whether the artifact is complete."""
        return _exists(f"{self.root}/{stage.kind}/{stage.key}/{RECORD}")

    def scratch(self, stage: Stage) -> Path:
        """A folder for checkpoints, curves and logs while the stage is computed."""
        folder = self.scratch_path(stage)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def scratch_path(self, stage: Stage) -> Path:
        """Where that folder lies, or would lie."""
        return self.root / ".scratch" / stage.kind / stage.key

    def inputs(self, stage: Stage) -> dict[str, Path]:
        """Artifact folders of the parents and outside files, by role."""
        files = {role: Path(path) for role, path in stage.files.items()}
        return files | {role: self.folder(parent) for role, parent in stage.parents.items()}

    @contextmanager
    def writing(self, stage: Stage) -> Iterator[Path]:
        """A folder aside that a stage fills; what is left of it afterwards is removed."""
        aside = (
            self.root / ".aside" / f"{stage.key}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        )
        aside.mkdir(parents=True)
        try:
            yield aside
        finally:
            for folder in (aside, _remains(aside)):
                shutil.rmtree(folder, ignore_errors=True)

    def commit(
        self, stage: Stage, aside: Path, *, metrics: Mapping[str, float], provenance: Mapping[str, Any]
    ) -> Path:
        """Add curves and record to the folder aside and make it the artifact by one rename."""
        scratch, folder = self.scratch(stage), self.folder(stage)
        if (scratch / CURVES).exists():
            shutil.copyfile(scratch / CURVES, aside / CURVES)
        record = {
            "kind": stage.kind,
            "key": stage.key,
            "spec": stage.spec.model_dump(mode="json"),
            "parents": {role: parent.key for role, parent in stage.parents.items()},
            "metrics": dict(metrics),
            "provenance": dict(provenance),
        }
        write_record(aside, record)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            if not self.has(stage):  # Somebody took the record away, or copied half an artifact.
                folder.rename(_remains(aside))
                aside.rename(folder)
        self.forget_outcome(stage)
        shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def record(self, stage: Stage) -> dict[str, Any]:
        """The record of a complete artifact."""
        return read_record(self.folder(stage))

    def records(self, kind: str) -> Iterator[dict[str, Any]]:
        """The records of all artifacts of a kind, by key."""
        for path in sorted((self.root / kind).glob(f"*/{RECORD}")):
            yield read_record(path.parent)

    def set_outcome(
        self, stage: Stage, outcome: Outcome, reason: str, *, variant: Mapping[str, Any] | None = None
    ) -> None:
        """Remember why there is no artifact: it failed, or was stopped early."""
        path = self._outcome_path(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"key": stage.key, "outcome": outcome, "reason": reason, "ended": time.time()}
        write_whole(path, json.dumps(entry | {"variant": dict(variant or {})}))

    def outcome(self, stage: Stage) -> tuple[Outcome, str] | None:
        """How the stage ended without an artifact, and why; nothing if it never did."""
        path = f"{self.root}/.outcomes/{stage.key}.json"
        if not _exists(path):
            return None
        entry = json.loads(Path(path).read_text(encoding="utf-8"))
        return entry["outcome"], entry["reason"]

    def outcomes(self) -> Iterator[dict[str, Any]]:
        """Every remembered outcome: key, outcome, reason, the unix time when it ended, and variant."""
        for path in sorted((self.root / ".outcomes").glob("*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))

    def forget_outcome(self, stage: Stage) -> None:
        """Forget how the stage ended before."""
        self._outcome_path(stage).unlink(missing_ok=True)

    def _outcome_path(self, stage: Stage) -> Path:
        return self.root / ".outcomes" / f"{stage.key}.json"


def _exists(path: str) -> bool:
    # A plan of thousands of variants asks it of every stage; a Path object costs more than the question.
    return os.path.exists(path)  # noqa: PTH110


def _remains(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}.remains")
