"""Files for contributors and citations agree with the Makefile, the pins and the package."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from layerscope.orchestrator.cli import app

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"
CALLS = (*WORKFLOWS, PRE_COMMIT, ROOT / "CONTRIBUTING.md", ROOT / "README.md", ROOT / ".ci" / "run")


def read(path: Path):
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def targets() -> set[str]:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", rules, re.MULTILINE))


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("path", CALLS, ids=lambda path: path.name)
def test_only_targets_of_the_makefile_are_called(path):
    called = set(re.findall(r"(?:^|[`:&;] *)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert called
    assert called - targets() == set()


def test_every_target_is_phony():
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.search(r"^\.PHONY: (.*)$", rules, re.MULTILINE)[1].split()) == targets()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_of_a_workflow_has_steps_and_ends(path):
    jobs = read(path)["jobs"]
    assert jobs
    for job in jobs.values():
        assert all("run" in step or "uses" in step for step in job["steps"])
        assert job["timeout-minutes"] > 0
        assert set(job.get("needs", ())) <= set(jobs)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_fields_of_a_template_have_names_of_their_own(path):
    form = read(path)
    if "body" not in form:
        return
    fields = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert {"name", "description"} <= form.keys()
    assert len(set(fields)) == len(fields) > 0


def test_commits_are_formatted_by_the_pinned_ruff():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (ruff,) = (repo for repo in read(PRE_COMMIT)["repos"] if repo["repo"].endswith("/ruff-pre-commit"))
    assert f"ruff=={ruff['rev'].removeprefix('v')}\n" in pins


def test_a_citation_names_this_version():
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]


def test_the_command_says_its_version():
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"layerscope {version('layerscope')}\n")


def test_the_package_says_that_it_is_typed():
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "py.typed" in package_data["package-data"]["layerscope"]
    assert (ROOT / "layerscope" / "py.typed").read_text(encoding="utf-8") == ""
