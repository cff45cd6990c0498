"""Everything layerscope raises on purpose, each with the exit code of the command line."""


class LayerscopeError(Exception):
    """The root; takes one message, so that it survives pickling."""

    exit_code = 1


class ConfigurationError(LayerscopeError):
    """Something that was written is wrong: the experiment, its data or an override."""

    exit_code = 2


class StageFailed(LayerscopeError):
    """A stage ended with an error of its own; it is not tried again within the run."""

    exit_code = 3


class WorkerLost(LayerscopeError):
    """A process that shared in a stage is gone; the stage goes on elsewhere from its checkpoint."""

    exit_code = 3


class PrerequisiteMissing(LayerscopeError):
    """Something outside is not there: weights, a writable store, resources."""

    exit_code = 4


class TrackerUnavailable(LayerscopeError):
    """The tracking server does not answer; what it missed is published later."""

    exit_code = 4


class ReaderGone(KeyboardInterrupt):
    """Nobody reads what is printed any more, as after `| head`: ends a command as an interruption does."""

    exit_code = 141
    """As a shell has it for a program that the signal SIGPIPE ended."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says anything; the name of its type where there is none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
