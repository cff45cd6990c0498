import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_hold():
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_speak_of_modules_that_exist():
    """A contract about a module that was renamed would hold for ever."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    fields = ("source_modules", "forbidden_modules", "allowed_importers", "containers", "ancestors")
    named = {name for contract in linter["contracts"] for field in fields for name in contract.get(field, [])}
    own = {name for name in named if name.split(".")[0] in linter["root_packages"]}
    assert len(own) >= 8
    for name in own:
        path = ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
