"""docs/reference says what the code says, about everything that can be given."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

from crossfuse.cli import COMMANDS
from crossfuse_docs import command_line, python_api, statuses
from crossfuse_docs.reference import PAGES, content, folder
from crossfuse_docs.settings import VARIABLES
from crossfuse_server.settings import ENVIRONMENT_PREFIX, ServerSettings

PACKAGES = ("crossfuse", "training", "export", "server", "benchmarks")
# Of tests, of tools and of protobuf's own; nobody who runs the product sets them.
NOT_FOR_USERS = {"CROSSFUSE_PROTOBUF"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_makes(root: Path, name: str) -> None:
    written = (folder(root) / name).read_text(encoding="utf-8")
    assert written == content(root, name), f"{name} is not current: make reference"


def test_no_other_pages(root: Path) -> None:
    assert {path.name for path in folder(root).iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_and_word_says_what_it_does(root: Path, name: str) -> None:
    page = (folder(root) / "cli.md").read_text(encoding="utf-8")
    for words, parser in command_line.parsers(name):
        for action in command_line.options(parser):
            where = f"crossfuse {' '.join(words)}: {action.option_strings or action.dest}"
            assert action.help, f"{where} has no help text"
            assert all(f"`{flag}" in page for flag in action.option_strings), where


def test_every_setting_is_in_the_table(root: Path) -> None:
    page = (folder(root) / "settings.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)`<br>`(\w+)`<br>`--([\w-]+)` \|", page, re.MULTILINE)
    assert listed == [
        (entry.name, ENVIRONMENT_PREFIX + entry.name.upper(), entry.name.replace("_", "-"))
        for entry in fields(ServerSettings)
    ]


def test_every_variable_that_is_read_is_listed(root: Path) -> None:
    read = {
        variable
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        for variable in re.findall(
            r"[\"'](CROSSFUSE_[A-Z]+)[\"']", path.read_text(encoding="utf-8")
        )
    }
    assert read - NOT_FOR_USERS == set(VARIABLES)


def test_every_status_says_what_to_do() -> None:
    assert statuses.statuses_raised() <= set(statuses.ADVICE)


@pytest.mark.parametrize("package", python_api.PACKAGES)
def test_what_is_exported_has_docstrings(package: str) -> None:
    module = importlib.import_module(package)
    for name in python_api.exported(module):
        value = getattr(module, name)
        if getattr(value, "__module__", "").startswith("crossfuse") and callable(value):
            assert value.__doc__, f"{package}.{name}"
