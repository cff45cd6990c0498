"""Layers on disk: the same values, and CKA of more of them than memory may hold."""

import os
import subprocess
import sys

import numpy as np
import pytest

from layerscope.jobs.artifacts.layers import Part, read_layers, write_layers

NUM_EXAMPLES, WIDTH, NUM_LAYERS = 60_000, 64, 24
"""369 MB in all."""

MEASURE = """
import sys, threading
from pathlib import Path
import numpy as np
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.kernels.similarity.cka import cka_map

def held():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def watch():
    global most
    while not done.wait(0.002):
        most = max(most, held())

small_ND = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float32)
cka_map([small_ND, small_ND[::-1]])  # what libraries allocate at their first use
before = most = held()
done = threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
layers = read_layers(Path(sys.argv[1]), "test").layers
if sys.argv[2] == "copied":
    layers = [layer.copy() for layer in layers]
np.save(Path(sys.argv[1]) / "map.npy", cka_map(layers))
done.set()
watcher.join()
print(most - before)
"""


def test_layers_on_disk_are_those_that_were_written(tmp_path):
    random = np.random.default_rng(0)
    parts = {
        name: Part(
            [str(row) for row in range(count)],
            [0] * count,
            [random.normal(size=(count, width)).astype(np.float32) for width in (3, 5)],
        )
        for name, count in (("train", 7), ("test", 4))
    }
    write_layers(tmp_path, parts, num_labels=1)
    for name, part in parts.items():
        read = read_layers(tmp_path, name)
        assert (read.ids, read.labels) == (part.ids, part.labels)
        for layer, expected in zip(read.layers, part.layers, strict=True):
            np.testing.assert_array_equal(layer, expected)
            layer[0] = 0
    for layer, expected in zip(read_layers(tmp_path, "test").layers, parts["test"].layers, strict=True):
        np.testing.assert_array_equal(layer, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells memory from mapped files")
@pytest.mark.slow
def test_cka_sees_more_layers_than_memory_holds(tmp_path):
    shared_ND = np.random.default_rng(0).normal(size=(NUM_EXAMPLES, WIDTH)).astype(np.float32)
    layers = [shared_ND + depth / 16 * shared_ND[::-1] for depth in range(NUM_LAYERS)]
    part = Part([str(row) for row in range(NUM_EXAMPLES)], [0] * NUM_EXAMPLES, layers)
    write_layers(tmp_path, {"test": part}, num_labels=1)

    def most_bytes(how):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(tmp_path), how],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    # 256 MB of layers are centred at once.
    mapped = most_bytes("mapped")
    assert mapped < 350e6
    similarity_LL = np.load(tmp_path / "map.npy")
    assert similarity_LL.shape == (NUM_LAYERS, NUM_LAYERS)
    assert similarity_LL.diagonal() == pytest.approx(np.ones(NUM_LAYERS))
    # Of independent halves with weights 1 and w, CKA is 1 / (1 + w^2) in the end.
    assert similarity_LL[0, -1] == pytest.approx(1 / (1 + (23 / 16) ** 2), abs=0.02)
    assert most_bytes("copied") > mapped + 300e6
