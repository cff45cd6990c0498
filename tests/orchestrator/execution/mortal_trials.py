"""Trials and gangs of which a process is killed at a moment that is named, so often and no more."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from layerscope.orchestrator.execution import gang, tune_trials


@dataclass(frozen=True)
class Fate:
    """When a process dies, and how often."""

    moment: str
    """`join`: the second process of a gang as it meets the first; `setup`, `reset` or `step` of a trial."""
    deaths: Path
    """A folder with a file for each death."""
    most: int

    def befalls(self, moment: str) -> None:
        """Kill this process, if it is the moment and there were not enough deaths."""
        if self.moment == moment and len(list(self.deaths.iterdir())) < self.most:
            (self.deaths / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)


def mortal_trial(fate: Fate) -> type[tune_trials.Trial]:
    """Both classes carry their fate to wherever Ray has their processes."""

    class MortalProcess(gang.GangProcess):
        def __init__(self, *, rank, **options):
            super().__init__(rank=rank, **options)
            self.is_second = rank == 1

        def join(self, address, port):
            if self.is_second:
                fate.befalls("join")
            super().join(address, port)

    class MortalTrial(tune_trials.Trial):
        def setup(self, config):
            gang.GangProcess = MortalProcess
            fate.befalls("setup")
            super().setup(config)

        def reset_config(self, new_config):
            fate.befalls("reset")
            return super().reset_config(new_config)

        def step(self):
            fate.befalls("step")
            return super().step()

    return MortalTrial
