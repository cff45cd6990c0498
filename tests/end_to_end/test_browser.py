"""What people look at, opened in a real browser: MLflow's nested runs and layer curves, and the report."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.tiny import make_encoder, write_experiment

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
COMMAND = [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()"]
NUM_LAYERS = 2
MILLISECONDS_TO_SHOW = 60_000
"""MLflow's pages are slow on a busy machine."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store in which two conditions with two seeds each are done."""
    folder = tmp_path_factory.mktemp("browser")
    experiment = write_experiment(
        folder / "experiment.yaml",
        make_encoder(folder / "encoder"),
        grid={"layer_decay": [1.0, 0.5]},
        seeds=[1, 2],
    )
    command = [*COMMAND, "run", str(experiment), "--store", str(folder / "runs"), "--serial", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["variants"] == {"done": 4, "stopped": 0, "failed": 0}
    return folder / "runs"


@pytest.fixture(scope="module")
def address(store) -> Iterator[str]:
    """Where `layerscope ui` serves the store."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "ui", "--store", str(store), "--port", str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer")


def _runs(store: Path) -> dict[str, tuple[str, str]]:
    """Run id and experiment id by run name."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    client._tracking_client.store.engine.dispose()
    return {run.info.run_name: (run.info.run_id, experiment.experiment_id) for run in runs}


def _keep(page, name: str) -> None:
    """Save a screenshot where `LAYERSCOPE_SCREENSHOTS` names a folder."""
    folder = os.environ.get("LAYERSCOPE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_mlflow_shows_the_study_its_conditions_and_their_variants_nested(store, address, browser):
    experiment = next(iter(_runs(store).values()))[1]
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning")

    def expand(name: str) -> None:
        row = page.locator("[role=row]", has=page.get_by_role("link", name=name, exact=True))
        row.locator("button[data-component-id*=runnamecellrenderer]").first.click(
            timeout=MILLISECONDS_TO_SHOW
        )

    expand("tiny")
    expand("layer_decay=0.5")
    variant = page.get_by_role("link", name="seed=1 layer_decay=0.5", exact=True)
    variant.wait_for(timeout=MILLISECONDS_TO_SHOW)
    _keep(page, "mlflow-runs")
    page.close()


def test_mlflow_draws_a_layer_curve_of_a_variant(store, address, browser):
    run, experiment = _runs(store)["seed=1 layer_decay=0.5"]
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    page.goto(f"{address}/#/experiments/{experiment}/runs/{run}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("depth/accuracy", timeout=MILLISECONDS_TO_SHOW)
    page.get_by_text("(depth/accuracy)").first.wait_for(timeout=MILLISECONDS_TO_SHOW)
    points = page.locator(".scatterlayer .points path")
    points.first.wait_for(timeout=MILLISECONDS_TO_SHOW, state="attached")
    assert points.count() >= NUM_LAYERS + 1
    _keep(page, "mlflow-variant")
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_opens_without_errors_and_fits_the_screen(store, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: errors.append(request.url) if "http" in request.url[:5] else None)
    page.goto((store / "reports" / "tiny" / "report.html").as_uri())
    assert page.get_by_text("layer_decay").count() > 0
    assert page.locator("svg").count() >= 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    _keep(page, f"report-{width}")
    page.close()
