"""A trial and a gang of which a process is killed, once or always, at a moment that is named."""

import os
import signal
from pathlib import Path

from orchestrator.execution import gang, tune_trials

MOMENT, DEATHS, MOST = "MORTAL_MOMENT", "MORTAL_DEATHS", "MORTAL_MOST"
"""Environment variables: when it dies, a folder with a file for each death, and how often."""


def die_at(moment: str) -> None:
    """Kill this process, if it is the moment and it has not died often enough."""
    deaths = Path(os.environ[DEATHS])
    if os.environ[MOMENT] == moment and len(list(deaths.iterdir())) < int(os.environ[MOST]):
        (deaths / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)


class MortalProcess(gang._Process):
    """The second of a gang dies before or while it meets the first, or when a stage begins."""

    def meeting_point(self):
        die_at("meeting_point")
        return super().meeting_point()

    def join(self, address, port):
        if self._rank == 1:
            die_at("join")
        super().join(address, port)
        if self._rank == 1:
            die_at("joined")

    def begin(self, stage, store, labels):
        if self._rank == 1:
            die_at("begin")
        return super().begin(stage, store, labels)


class MortalTrial(tune_trials.Trial):
    """Dies as its actor begins, takes another stage, or trains."""

    def setup(self, config):
        gang._Process = MortalProcess
        die_at("setup")
        super().setup(config)

    def reset_config(self, new_config):
        die_at("reset")
        return super().reset_config(new_config)

    def step(self):
        die_at("step")
        return super().step()
