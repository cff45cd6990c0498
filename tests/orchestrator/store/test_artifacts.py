import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.jobs.artifacts.curves import CURVES
from layerscope.jobs.artifacts.record import RECORD, write_whole
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.store.artifacts import Store

KILLED = KeyboardInterrupt
"""Stands for a kill: nothing in the product catches it."""


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.create()
    return store


@pytest.fixture
def stage() -> Stage:
    return make_stage(ProbeSpec())


def put(store: Store, stage: Stage, content: str = "content") -> Path:
    with store.writing(stage) as aside:
        (aside / "file.txt").write_text(content)
        return store.commit(stage, aside, metrics={"score": 0.5}, provenance={"host": "here"})


def test_an_artifact_has_its_files_its_curves_and_its_record(store):
    parent = make_stage(ProbeSpec(seed=1))
    child = make_stage(ProbeSpec(), parents={"states": parent})
    (store.scratch(child) / CURVES).write_text('{"step": 0, "time": 1, "values": {}}\n')
    folder = put(store, child)
    assert folder == store.folder(child) == store.root / "probe" / child.key
    assert sorted(path.name for path in folder.iterdir()) == [CURVES, "file.txt", RECORD]
    assert store.record(child) == {
        "kind": "probe",
        "key": child.key,
        "spec": child.spec.model_dump(mode="json"),
        "parents": {"states": parent.key},
        "metrics": {"score": 0.5},
        "provenance": {"host": "here"},
    }
    assert [record["key"] for record in store.records("probe")] == [child.key]
    assert list(store.records("cka")) == []


def test_nothing_but_the_artifact_is_left_by_its_writing(store, stage):
    store.set_outcome(stage, "failed", "before")
    put(store, stage)
    left = [path for path in store.root.rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == ["file.txt", RECORD]
    assert list((store.root / ".aside").iterdir()) == []
    assert not store.scratch_path(stage).exists()


def test_inputs_are_outside_files_and_the_folders_of_the_parents(store, stage):
    child = make_stage(ProbeSpec(seed=3), parents={"states": stage}, files={"train": "/data/train.jsonl"})
    assert store.inputs(child) == {"train": Path("/data/train.jsonl"), "states": store.folder(stage)}


STEPS = {
    "while the files are written": None,
    "while the curves are copied": "shutil.copyfile",
    "while the record is written": "os.fsync",
    "before the record has its name": "pathlib.Path.rename",
    "before the folder of the kind is made": "pathlib.Path.mkdir",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_before_the_last_step_leaves_no_artifact_and_a_second_try_succeeds(
    store, stage, step, monkeypatch
):
    (store.scratch(stage) / CURVES).write_text("")

    def kill(*_, **__):
        raise KILLED

    with monkeypatch.context() as patch, pytest.raises(KILLED), store.writing(stage) as aside:
        (aside / "file.txt").write_text("half")
        if STEPS[step] is None:
            raise KILLED
        patch.setattr(store, "scratch", store.scratch_path)  # It makes a folder too: not the one meant here.
        patch.setattr(STEPS[step], kill)
        store.commit(stage, aside, metrics={}, provenance={})
    assert not store.has(stage)
    assert list(store.records("probe")) == []
    assert (put(store, stage) / "file.txt").read_text() == "content"


def test_a_kill_before_the_artifact_has_its_name_leaves_none(store, stage, monkeypatch):
    rename = Path.rename

    def kill_at_the_last(path, target):
        if Path(target) == store.folder(stage):
            raise KILLED
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(KILLED):
        patch.setattr("pathlib.Path.rename", kill_at_the_last)
        put(store, stage)
    assert not store.has(stage)


@pytest.mark.parametrize("step", ["pathlib.Path.unlink", "shutil.rmtree"])
def test_a_kill_after_the_last_step_leaves_the_whole_artifact(store, stage, step, monkeypatch):
    def kill(*_, **__):
        raise KILLED

    store.set_outcome(stage, "failed", "before")
    with monkeypatch.context() as patch, pytest.raises(KILLED):
        patch.setattr(step, kill)
        put(store, stage)
    assert store.has(stage)
    assert store.record(stage)["metrics"] == {"score": 0.5}


def test_two_writers_of_one_key_leave_the_first_ones_artifact(store, stage):
    with store.writing(stage) as one, store.writing(stage) as other:
        (one / "file.txt").write_text("one")
        (other / "file.txt").write_text("other")
        for aside in (one, other):
            store.commit(stage, aside, metrics={}, provenance={})
    assert (store.folder(stage) / "file.txt").read_text() == "one"
    assert len(list(store.records("probe"))) == 1
    assert list((store.root / ".aside").iterdir()) == []


def test_a_folder_without_a_record_is_no_artifact_and_gives_way_to_one(store, stage):
    put(store, stage, "old")
    (store.folder(stage) / RECORD).unlink()
    assert not store.has(stage)
    assert (put(store, stage, "new") / "file.txt").read_text() == "new"
    assert store.has(stage)
    assert list((store.root / ".aside").iterdir()) == []


def test_a_place_that_cannot_take_the_artifact_is_told(store, stage):
    (store.root / "probe").write_text("a file where a folder belongs")
    with pytest.raises(FileExistsError):
        put(store, stage)


def test_a_store_that_cannot_be_written_is_a_missing_prerequisite(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PrerequisiteMissing, match=r"file/store cannot be written: .*choose another .* --store"
    ):
        Store(tmp_path / "file" / "store").create()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_without_permission_is_a_missing_prerequisite(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PrerequisiteMissing, match="cannot be written: Permission denied"):
            Store(tmp_path).create()
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_told_before_the_run_begins(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(PrerequisiteMissing, match="cannot be written: No space left on device"):
        Store(tmp_path / "store").create()


def test_making_a_store_leaves_nothing_in_it(store):
    assert list(store.root.iterdir()) == []


HOLD = """
import sys
from pathlib import Path
from layerscope.orchestrator.store.artifacts import Store
with Store(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_store_that_another_process_holds_is_refused_until_that_ends(store):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(PrerequisiteMissing, match=rf"another run \(process {holder.pid} on .*\) is using"),
            store.exclusive(),
        ):
            pass
        holder.kill()
        holder.wait()
        with store.exclusive():
            assert str(os.getpid()) in (store.root / ".lock").read_text()


def test_a_lock_that_belongs_to_somebody_else_is_told(store):
    (store.root / ".lock").mkdir()
    with (
        pytest.raises(PrerequisiteMissing, match=r"\.lock cannot be written: Is a directory"),
        store.exclusive(),
    ):
        pass


def test_outcomes_are_remembered_until_they_are_forgotten(store, stage):
    assert store.outcome(stage) is None
    store.set_outcome(stage, "failed", "out of memory")
    store.set_outcome(stage, "stopped", "fell behind", variant={"task": "topic"})
    assert store.outcome(stage) == ("stopped", "fell behind")
    (entry,) = store.outcomes()
    assert (entry["key"], entry["outcome"], entry["variant"]) == (stage.key, "stopped", {"task": "topic"})
    store.forget_outcome(stage)
    store.forget_outcome(stage)
    assert store.outcome(stage) is None
    assert list(store.outcomes()) == []


def test_looking_makes_no_folders(tmp_path, stage):
    store = Store(tmp_path / "store")
    assert not store.has(stage)
    assert store.outcome(stage) is None
    assert list(store.outcomes()) == list(store.records("probe")) == []
    store.scratch_path(stage)
    assert not store.root.exists()


def test_a_small_file_is_read_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "small.json"
    write_whole(path, json.dumps("old"))

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("os.fsync", refuse)
        write_whole(path, json.dumps("new"))
    assert json.loads(path.read_text()) == "old"


def test_a_full_disk_fails_the_stage_with_a_message_and_leaves_nothing_half_written(store, monkeypatch):
    from layerscope.orchestrator.errors import StageFailed
    from layerscope.orchestrator.execution.worker import compute

    stage = make_stage(ProbeSpec())

    def fill_the_disk(spec, context):
        (context.out / "half").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(context.out / "whole"))

    monkeypatch.setattr("layerscope.jobs.measures.probe.linear_stage.run", fill_the_disk)
    with pytest.raises(
        StageFailed, match=r"OSError: \[Errno 28\] No space left on device: .*\(log: .*log\.txt\)"
    ):
        compute(stage, store)
    assert not store.has(stage)
    assert list((store.root / ".aside").iterdir()) == []
    assert "No space left" in (store.scratch_path(stage) / "log.txt").read_text()


def test_a_disk_that_is_full_at_the_commit_fails_the_stage_alike(store, monkeypatch):
    from layerscope.orchestrator.errors import StageFailed
    from layerscope.orchestrator.execution.worker import compute

    stage = make_stage(ProbeSpec())

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("layerscope.jobs.measures.probe.linear_stage.run", lambda spec, context: {})
    with monkeypatch.context() as patch, pytest.raises(StageFailed, match="No space left on device"):
        patch.setattr("os.fsync", refuse)
        compute(stage, store)
    assert not store.has(stage)
    shutil.rmtree(store.scratch_path(stage))
    compute(stage, store)
    assert store.has(stage)
