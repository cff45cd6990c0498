import hashlib
import os

import pytest

from layerscope.orchestrator.planning.sources.digests import sha256_of


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights"
    write(path, b"one")
    return path


def write(path, content: bytes, *, at: int = 1_000_000_000) -> None:
    path.write_bytes(content)
    os.utime(path, (at, at))


def test_a_digest_is_the_files_sha256(weights, tmp_path):
    expected = hashlib.sha256(b"one").hexdigest()
    assert sha256_of(weights) == expected
    assert [sha256_of(weights, memory=tmp_path / "deep" / "memory.json") for _ in range(2)] == [expected] * 2


def test_an_unchanged_file_is_not_read_again(weights, tmp_path):
    memory = tmp_path / "memory.json"
    known = sha256_of(weights, memory=memory)
    write(weights, b"two")  # The same size and time: only a reader would see it.
    assert sha256_of(weights, memory=memory) == known
    assert sha256_of(weights) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize(("content", "at"), [(b"three", 1_000_000_000), (b"two", 1_000_000_001)])
def test_another_size_or_time_is_read_again(content, at, weights, tmp_path):
    memory = tmp_path / "memory.json"
    sha256_of(weights, memory=memory)
    write(weights, content, at=at)
    assert sha256_of(weights, memory=memory) == hashlib.sha256(content).hexdigest()


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path):
    fresh, memory = tmp_path / "fresh", tmp_path / "memory.json"
    fresh.write_bytes(b"one")
    sha256_of(fresh, memory=memory)
    assert not memory.exists()


def test_a_memory_that_cannot_be_used_costs_only_time(weights, tmp_path):
    expected = hashlib.sha256(b"one").hexdigest()
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert sha256_of(weights, memory=broken) == expected
    assert sha256_of(weights, memory=weights / "not_a_folder" / "memory.json") == expected
