"""Calls of `jobs` that need torch or transformers, in a separate process.

The planner must start fast and loads neither. Where torch is loaded already, the call is made here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import layerscope
from layerscope.jobs.remote_call import call
from layerscope.orchestrator.errors import LayerscopeError

LINES_OF_TRACE = 8
"""Last lines of a process that died, which its error repeats."""


def call_apart(target: str, **arguments: Any) -> Any:
    """What `target`, a `module:function` of jobs, returns for arguments that JSON can hold.

    Raises:
        ValueError: the function raised it.
        LayerscopeError: the process died, for example for want of memory.
    """
    answer = call(target, arguments) if "torch" in sys.modules else _called_apart(target, arguments)
    if "fault" in answer:
        raise ValueError(answer["fault"])
    return answer["result"]


def _called_apart(target: str, arguments: dict[str, Any]) -> dict[str, Any]:
    root = str(Path(layerscope.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "layerscope.jobs.remote_call", target],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode != 0:
        trace = "\n".join(done.stderr.strip().splitlines()[-LINES_OF_TRACE:])
        raise LayerscopeError(f"{target} ended with {done.returncode}:\n{trace}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
