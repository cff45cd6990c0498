"""What is wrong with an experiment, as reading, planning and measures say it."""

from dataclasses import dataclass

PathTo = tuple[str | int, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong at a path of the experiment; without a path the message says where, as of rows."""

    path: PathTo
    message: str
    of_key: bool = False
    """Whether the key is what is wrong, not its value."""
    of_factor: bool = False
    """Whether the path is a factor of recipes, written under grid, search or recipe."""
    rests_on: tuple[PathTo, ...] = ()
    """Other paths that it follows from: while one of them is at fault it need not be so."""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


class Refused(ValueError):
    """A fault that is raised."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def factor_fault(factor: str, message: str) -> Fault:
    """A fault of a factor of recipes, wherever its value is written."""
    return Fault((factor,), message, of_factor=True)


def dotted(path: PathTo) -> str:
    """A path as overrides spell it."""
    return ".".join(map(str, path))
