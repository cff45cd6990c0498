"""README, ARCHITECTURE and docs/ are true: links arrive, commands parse, YAML fits the schemas."""

import shlex
from itertools import chain
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from typer.main import get_command

from layerscope.orchestrator.cli import app
from layerscope.orchestrator.experiment.schema import experiment_schema, reference_schema, task_schema
from tests.architecture.documents import PAGES, ROOT, anchors, blocks, commands, name_of, relative_links
from tests.tiny import read_experiment

COMMANDS = list(dict.fromkeys(commands()))
YAML_BLOCKS = [block for block in blocks() if block.language == "yaml"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page):
    lost = []
    for link in relative_links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_of_docs_is_linked_from_the_readme():
    linked = {link.partition("#")[0] for link in relative_links(ROOT / "README.md")}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked


def test_there_are_commands_and_blocks_to_look_at():
    assert {"README.md", "docs/commands.md"} <= {page for page, _ in COMMANDS}
    assert len(YAML_BLOCKS) > 20


@pytest.mark.parametrize("line", dict.fromkeys(line for _, line in COMMANDS))
def test_every_command_has_the_arguments_and_options_it_is_given(line):
    name, *arguments = _words(line)
    commands = get_command(app).commands
    assert name in commands
    commands[name].make_context(name, arguments)  # Raises what the command line would say.


@pytest.mark.parametrize("line", [line for _, line in COMMANDS if " configs/experiments/" in line])
def test_commands_on_shipped_experiments_have_overrides_and_profiles_that_fit(line):
    name, *arguments = _words(line)
    given = get_command(app).commands[name].make_context(name, arguments).params
    read_experiment(ROOT / given["experiment"], overrides=given["overrides"] or (), profile=given["profile"])


@pytest.mark.parametrize(
    "block", YAML_BLOCKS, ids=[f"{block.page}-{i}" for i, block in enumerate(YAML_BLOCKS)]
)
def test_every_yaml_is_a_part_of_an_experiment_a_task_or_a_reference(block):
    written = YAML(typ="safe", pure=True).load(block.text)
    faults = [
        [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(written)]
        for schema in map(_nothing_required, (experiment_schema(), task_schema(), reference_schema()))
    ]
    assert [] in faults, list(chain(*faults))


def test_the_example_of_the_readme_is_a_whole_experiment(tmp_path):
    block = next(one for one in YAML_BLOCKS if one.page == "README.md")
    path = tmp_path / "topics.yaml"
    path.write_text(block.text, encoding="utf-8")
    assert read_experiment(path).experiment == "topics"


def test_files_of_configs_that_commands_name_are_there():
    words = {word for _, line in COMMANDS for word in _words(line) if word.startswith("configs/")}
    invented = {"configs/tasks/tickets.yaml"}
    assert sorted(word for word in words - invented if not (ROOT / word).exists()) == []


def _words(line: str) -> list[str]:
    """Without the command's own name, comments, and what the shell does with the output."""
    words = shlex.split(line, comments=True)[1:]
    return words[: words.index(">")] if ">" in words else words


def _nothing_required(schema: Any) -> Any:
    """The same schema for a part of a file."""
    match schema:
        case dict():
            return {key: _nothing_required(part) for key, part in schema.items() if key != "required"}
        case list():
            return [_nothing_required(part) for part in schema]
        case _:
            return schema
