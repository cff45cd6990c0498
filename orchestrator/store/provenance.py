"""Where a result comes from: machine, time and versions; never part of a key."""

import platform
import socket
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("layerscope", "torch", "transformers", "accelerate", "datasets", "tokenizers", "ray", "numpy")


def provenance(*, started: float, seconds: float, workers: int = 1, device: str = "cpu") -> dict[str, Any]:
    """What is recorded beside a stage's metrics; `started` in unix seconds."""
    return {
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(seconds, 3),
        "host": socket.gethostname(),
        "workers": workers,
        "device": device,
        "versions": {"python": platform.python_version()} | installed_versions(),
    }


def installed_versions() -> dict[str, str]:
    """Versions of the packages a result may depend on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
