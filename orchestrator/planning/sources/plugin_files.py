"""Python files of plug-ins: named by path, or as an installed module."""

from importlib.util import find_spec
from pathlib import Path

from layerscope.jobs.user_code import Source


def python_file(written: str) -> Source:
    """The Python file at a path, relative to the working directory. Raises ValueError if there is none."""
    path = Path(written).expanduser().absolute()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix != ".py":
        raise ValueError(f"{path} is not a Python file: its name must end with .py")
    return Source(path)


def installed_module(module: str, attribute: str) -> Source:
    """An attribute of an installed module. Raises ValueError if it is not installed or has no file."""
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ValueError(f"there is no installed module {module}")
    if found.origin is None or not Path(found.origin).is_file():
        raise ValueError(f"the module {module} is no Python file")
    return Source(Path(found.origin), f"{module}:{attribute}")
