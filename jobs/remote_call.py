"""One call of a function of `jobs` by a process of its own.

It is `python -m layerscope.jobs.remote_call MODULE:FUNCTION`.

The planner calls what needs torch or transformers in this way, and loads neither.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


def call(target: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the function returns, as `result`; the message of a ValueError as `fault`.

    Args:
        target: Module and function, `layerscope.jobs.text.tokenising.word_tokens:spell`.
        arguments: Keywords of the function, as JSON has them.
    """
    module, function = target.split(":")
    try:
        return {"result": getattr(import_module(module), function)(**arguments)}
    except ValueError as error:
        return {"fault": str(error)}


def main() -> None:
    """Arguments are read from the standard input, the answer is the one line of the standard output."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Whatever a library prints is no answer.
        json.dump(call(sys.argv[1], json.load(sys.stdin)), answer)


if __name__ == "__main__":
    main()
