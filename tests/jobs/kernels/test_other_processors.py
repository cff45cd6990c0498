"""What is computed must not depend on the processor: the numerical tests with the kernels of other ones.

OpenBLAS (of numpy and scipy), numpy's own loops, PyTorch and MKL choose their kernels by the processor, and
with them the order of their sums. Each can be held to the kernels of an older processor.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

ROOT = Path(__file__).parents[3]

NUMERICAL = ["tests/jobs/kernels", "tests/jobs/measures", "tests/jobs/test_layer_stages.py"]
"""The kernels, and the stages that compute with them; other stages train encoders, whose results are not held
to a number."""

FLAGS = {
    "Nehalem": ("sse4_2",),
    "Sandybridge": ("avx",),
    "Haswell": ("avx2", "fma"),
    "SkylakeX": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
"""What a processor must have to run OpenBLAS's kernels of each name."""

NUMPY = {"Nehalem": (), "Sandybridge": (), "Haswell": ("X86_V3",), "SkylakeX": ("X86_V3", "X86_V4")}
"""Which loops numpy may choose besides those that any processor runs."""

TORCH = {"Nehalem": "default", "Sandybridge": "default", "Haswell": "avx2", "SkylakeX": "avx512"}
MKL = {"Nehalem": "SSE4_2", "Sandybridge": "AVX", "Haswell": "AVX2", "SkylakeX": "AVX512"}

NAMES_IN_USE = """
import numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info
print(*sorted({each["architecture"] for each in threadpool_info() if each["internal_api"] == "openblas"}))
print(torch.backends.cpu.get_cpu_capability().lower())
print(*[name for name in numpy._core._multiarray_umath.__cpu_dispatch__
        if numpy._core._multiarray_umath.__cpu_features__[name]])
"""


def processor_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def kernels_of_this_process() -> set[str]:
    return {each["architecture"] for each in threadpool_info() if each["internal_api"] == "openblas"}


def why_not(kernel: str) -> str:
    """Why these kernels cannot be tried here; empty where they can."""
    if lacking := set(FLAGS[kernel]) - processor_flags():
        return f"this processor has no {', '.join(sorted(lacking))}, which the kernels of {kernel} need"
    if not kernels_of_this_process():
        return "numpy computes with another library than OpenBLAS here"
    return ""


def environment(kernel: str) -> Mapping[str, str]:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    denied = [name for name in __cpu_dispatch__ if __cpu_features__[name] and name not in NUMPY[kernel]]
    own = {
        "OPENBLAS_CORETYPE": kernel,
        "NPY_DISABLE_CPU_FEATURES": " ".join(denied),
        "ATEN_CPU_CAPABILITY": TORCH[kernel],
        "MKL_ENABLE_INSTRUCTIONS": MKL[kernel],
        "OMP_NUM_THREADS": "1",
    }
    return {name: value for name, value in os.environ.items() if name != "OPENBLAS_L2_SIZE"} | own


def is_tested_elsewhere(kernel: str) -> bool:
    """Whether the rest of the suite runs with these kernels."""
    return kernels_of_this_process() == {kernel}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The tests of every kernel that is to be tried, all at once: by kernel the process and its log."""
    # Not this file again.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *NUMERICAL]
    command.append(f"--ignore={Path(__file__).relative_to(ROOT)}")
    started = {}
    for kernel in FLAGS:
        if why_not(kernel) or is_tested_elsewhere(kernel):
            continue
        path = tmp_path_factory.mktemp(kernel) / "log.txt"
        with path.open("w") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment(kernel), stdout=log, stderr=subprocess.STDOUT
            )
        started[kernel] = (process, path)
    yield started
    for process, _ in started.values():
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("kernel", FLAGS)
def test_the_kernels_that_were_asked_for_are_in_use(kernel):
    if reason := why_not(kernel):
        pytest.skip(reason)
    command = [sys.executable, "-W", "error", "-c", NAMES_IN_USE]
    said = subprocess.run(
        command, cwd=ROOT, env=environment(kernel), capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [kernel, TORCH[kernel], " ".join(NUMPY[kernel])]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kernel", FLAGS)
@pytest.mark.slow
def test_numerical_tests_pass_with_the_kernels_of_other_processors(kernel, runs):
    if reason := why_not(kernel):
        pytest.skip(reason)
    if is_tested_elsewhere(kernel):
        pytest.skip(f"the other tests of this run have the kernels of {kernel} already")
    process, path = runs[kernel]
    failed = process.wait()
    said = path.read_text(encoding="utf-8")
    assert not failed, f"with the kernels of {kernel}:\n{said[-20_000:]}"
    assert " passed" in said.splitlines()[-1]


def test_a_processor_without_the_instructions_is_said_to_lack_them(monkeypatch):
    monkeypatch.setattr(f"{__name__}.processor_flags", lambda: {"sse4_2", "avx", "avx2"})
    assert why_not("Haswell") == "this processor has no fma, which the kernels of Haswell need"


def test_sums_in_another_order_are_what_other_kernels_give():
    """There is something to find: one product differs in its last digits between kernels."""
    values = np.random.default_rng(0).normal(size=(2, 3000))
    code = (
        "import numpy; a, b = numpy.random.default_rng(0).normal(size=(2, 3000)); print(repr(float(a @ b)))"
    )
    able = [kernel for kernel in FLAGS if not why_not(kernel)]
    if len(able) < 2:
        pytest.skip("fewer than two kinds of kernels can be tried here")
    sums = {
        subprocess.run(
            [sys.executable, "-c", code], env=environment(kernel), capture_output=True, text=True, check=True
        ).stdout
        for kernel in able
    }
    assert len(sums) > 1
    assert [float(each) for each in sums] == pytest.approx([float(values[0] @ values[1])] * len(sums))
