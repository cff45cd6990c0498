import os
import socket
import subprocess
import sys

import pytest

from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.orchestrator.planning.plan import make_stage
from layerscope.orchestrator.store.artifacts import Store
from layerscope.orchestrator.store.cleaning import remove_leftovers

WRITE = """
import sys
from pathlib import Path
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.orchestrator.planning.plan import make_stage
from layerscope.orchestrator.store.artifacts import Store
with Store(Path(sys.argv[1])).writing(make_stage(ProbeSpec())) as aside:
    (aside / "half").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    (tmp_path / ".aside").mkdir()
    return store


def test_leftovers_of_a_living_process_are_kept_and_of_a_dead_one_removed(store):
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout.readline() == "writing\n"
        assert remove_leftovers(store) == 0
        writer.kill()
        writer.wait()
        assert len(list((store.root / ".aside").iterdir())) == 1
        assert remove_leftovers(store) == 1
        assert list((store.root / ".aside").iterdir()) == []


def test_what_another_host_or_nobody_of_us_wrote_is_kept(store):
    dead = 2**22 + 1  # Above the largest process id of Linux.
    names = [f"{'a' * 16}-{host}-{dead}-0123abcd" for host in ("elsewhere", f"not-{socket.gethostname()}")]
    names += [".nfs000000", "notes.txt", f"{'a' * 16}-{socket.gethostname()}-{os.getpid()}-0123abcd"]
    for name in names:
        (store.root / ".aside" / name).mkdir()
    assert remove_leftovers(store) == 0
    assert sorted(path.name for path in (store.root / ".aside").iterdir()) == sorted(names)


def test_what_a_replaced_folder_left_is_removed(store):
    (store.root / ".aside" / f"{'a' * 16}-{socket.gethostname()}-{2**22 + 1}-0123abcd.remains").mkdir()
    assert remove_leftovers(store) == 1


def test_scratch_is_kept_while_its_artifact_is_missing_and_removed_with_it(store):
    done, missing = make_stage(ProbeSpec()), make_stage(ProbeSpec(seed=1))
    for stage in (done, missing):
        store.scratch(stage)
    with store.writing(done) as aside:
        store.commit(done, aside, metrics={}, provenance={})
    store.scratch(done).joinpath("checkpoint").write_text("left by a kill after the rename")
    assert remove_leftovers(store) == 1
    assert not store.scratch_path(done).exists()
    assert store.scratch_path(missing).exists()


def test_a_new_store_has_no_leftovers(tmp_path):
    assert remove_leftovers(Store(tmp_path / "new")) == 0
