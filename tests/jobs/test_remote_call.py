"""A function of jobs called by a process of its own."""

import json
import subprocess
import sys

from layerscope.jobs.remote_call import call


def test_an_answer_is_what_the_function_returns():
    assert call("layerscope.jobs.training.snapshots:steps_of", {"checkpoints": [3], "num_steps": 5}) == {
        "result": {3: 3}
    }


def test_a_value_error_is_a_fault_in_words():
    answer = call("layerscope.jobs.training.snapshots:steps_of", {"checkpoints": [9], "num_steps": 5})
    assert "checkpoint 9 is never reached" in answer["fault"]


def test_a_process_answers_in_one_line_whatever_is_printed():
    done = subprocess.run(
        [sys.executable, "-m", "layerscope.jobs.remote_call", "builtins:print"],
        input="{}",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"result": None}
