import json
import socket
from datetime import UTC, datetime

from layerscope.orchestrator.store import provenance as module
from layerscope.orchestrator.store.provenance import installed_versions, provenance


def test_provenance_says_when_where_how_long_and_with_what():
    origin = provenance(started=1_700_000_000.25, seconds=1.23456, workers=2, device="cuda:0")
    assert datetime.fromisoformat(origin["started"]) == datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)
    assert (origin["seconds"], origin["workers"], origin["device"]) == (1.235, 2, "cuda:0")
    assert origin["host"] == socket.gethostname()
    assert origin["versions"]["python"].startswith("3.")
    assert json.loads(json.dumps(origin)) == origin


def test_a_package_that_is_not_there_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "not-a-package-of-anyone"))
    versions = installed_versions()
    assert versions["not-a-package-of-anyone"] == "not installed"
    assert versions["numpy"][0].isdigit()
