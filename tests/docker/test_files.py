"""The files of docker/ and the pinned packages, read without a Docker: parts that must agree do."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]
DOCKERFILE = Path("docker/Dockerfile").read_text().replace("\\\n", " ")
COMPOSE = YAML(typ="safe", pure=True).load(Path("docker/compose.yaml"))
SERVICES = COMPOSE["services"]
RAY_NODES = ("head", "worker", "driver")


def test_every_dependency_is_pinned_inside_its_range():
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(_pins()[canonicalize_name(requirement.name)]), line


def test_pins_name_no_build_and_no_path():
    lines = _lines("constraints.txt")
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    assert len(_pins()) == len(lines)


def test_the_image_has_a_python_that_the_package_takes():
    version = re.search(r"^FROM python:([0-9.]+)", DOCKERFILE, re.MULTILINE)[1]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(version)


def test_no_stage_of_the_image_ends_as_root():
    user_by_stage, user = {}, "root"
    for line in DOCKERFILE.splitlines():
        match line.split():
            case ["FROM", base, "AS", name]:
                user = user_by_stage.get(base, "root")
                user_by_stage[name] = user
            case ["USER", user]:
                user_by_stage[name] = user
    assert user_by_stage == {"layerscope": "layerscope", "mlflow": "layerscope"}


def test_every_installation_in_the_image_is_pinned():
    installations = re.findall(r"pip install[^&\n]*", DOCKERFILE)
    assert installations
    assert all("-c constraints.txt" in installation for installation in installations)


def test_what_the_image_copies_exists_and_is_not_ignored():
    kept = [line.removeprefix("!") for line in _lines(".dockerignore") if line.startswith("!")]
    sources = [
        source for line in re.findall(r"^COPY (.*)", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert sorted(sources) == sorted(kept)
    assert all(Path(source).exists() for source in sources)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_checked(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_what_waits_for_a_healthy_service_waits_for_one_that_exists():
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            assert name in SERVICES
            assert condition == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", RAY_NODES)
def test_every_ray_node_has_the_token_and_the_store(name):
    service = SERVICES[name]
    assert service["environment"]["RAY_AUTH_MODE"] == "token"
    assert service["environment"]["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")
    assert service["image"] == SERVICES["head"]["image"]
    assert "store:/store" in service["volumes"]


def test_secrets_come_from_outside():
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN", key):
                assert value.startswith("${")
    assert "docker/.env" in _lines(".gitignore")


def test_ports_are_open_to_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_driver_finds_the_tracking_server_by_a_name_that_it_answers_to():
    server = SERVICES["driver"]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert server in SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


def test_named_volumes_are_declared():
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if re.match(r"\w+:", volume)
    }
    assert used == set(COMPOSE["volumes"])


def _pins() -> dict[str, str]:
    pairs = [line.split("==") for line in _lines("constraints.txt")]
    return {canonicalize_name(name): version for name, version in pairs}


def _lines(path: str) -> list[str]:
    return [line for line in Path(path).read_text().splitlines() if line and not line.startswith("#")]
