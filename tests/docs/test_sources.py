"""What the pages say can be followed: links lead somewhere, commands and messages exist."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from crossfuse.cli import COMMANDS, load_command
from crossfuse_docs import command_line
from crossfuse_docs.blocks import blocks, command_lines, guide_pages
from crossfuse_docs.links import FENCE, markdown_files, problems, slug
from crossfuse_server.http import fuse, information, live, probes, samples
from crossfuse_server.settings import ENVIRONMENT_PREFIX, ServerSettings

ROOT = Path(__file__).resolve().parents[2]
# Flags of other programs that pages name alone.
FOREIGN = {
    "--async",
    "--env",
    "--generate",
    "--gpus",
    "--help",
    "--nodes",
    "--system-site-packages",
}
FOLDERS = "benchmarks|deploy|docs|examples|export|protos|server|tests|training"
UNDONE = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3))


def test_links_lead_somewhere(root: Path) -> None:
    assert not problems(root)


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Who is served, and what is refused", "who-is-served-and-what-is-refused"),
        ("`crossfuse fuse`", "crossfuse-fuse"),
        ("What it *takes*", "what-it-takes"),
        ("fp16 - and `int8`", "fp16---and-int8"),
        ("[[data.sets]]", "datasets"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "b.md").write_text("# Here\n")
    (tmp_path / "a.md").write_text("[x](b.md#here) [y](b.md#there) `[z](c.md)` ![w](d.png)\n")
    assert problems(tmp_path) == [
        "a.md: b.md#there: no such heading in b.md",
        "a.md: d.png: no such file",
    ]


def pages() -> Iterator[tuple[str, str]]:
    """Every Markdown file of the repository: its path and its text."""
    for path in markdown_files(ROOT):
        yield path, (ROOT / path).read_text(encoding="utf-8")


def test_files_that_are_named_exist(root: Path) -> None:
    for path, text in pages():
        for named in re.findall(rf"\b(?:{FOLDERS})/[\w./-]*\w", text):
            assert (root / named).exists(), f"{path}: {named}"


def test_make_targets_that_are_named_exist(root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    for path, text in pages():
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, path


def test_variables_that_are_named_are_settings() -> None:
    settings = {entry.name.upper() for entry in fields(ServerSettings)}
    for path, text in pages():
        assert set(re.findall(rf"{ENVIRONMENT_PREFIX}([A-Z_]+)", text)) <= settings, path


def test_addresses_that_are_named_are_served() -> None:
    routers = (fuse.router, information.router, live.router, probes.router, samples.router)
    patterns = [
        re.sub(r"{\w+}", r"[^/]+", route.path)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
    found = 0
    for path, text in pages():
        for named in re.findall(r"`(?:GET |POST )?(/(?:[a-z]+z|metrics|v1/[\w/]+))`", text):
            assert any(re.fullmatch(pattern, named) for pattern in patterns), f"{path}: {named}"
            found += 1
    assert found > 20


def all_commands() -> Iterator[tuple[str, list[str]]]:
    for path, text in pages():
        for words in command_lines(text):
            yield path, words


def test_commands_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command line in any page has flags and values that its parser takes."""

    def refuse(parser: argparse.ArgumentParser, message: str) -> None:
        raise ValueError(message)

    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    count = 0
    for path, words in all_commands():
        if words[0] in ("COMMAND", "--version") or words[-1] == "--help":
            continue
        assert words[0] in COMMANDS, f"{path}: crossfuse {words[0]}"
        try:
            load_command(words[0])[1].parse_args(words[1:])
        except ValueError as error:
            pytest.fail(f"{path}: crossfuse {' '.join(words)}: {error}")
        count += 1
    assert count > 60


def test_flags_named_in_prose_exist() -> None:
    known = {
        flag
        for name in COMMANDS
        for _, parser in command_line.parsers(name)
        for action in command_line.options(parser)
        for flag in (*action.option_strings, "--debug", "--version")
    }
    for path, text in pages():
        prose = FENCE.sub("", text)
        for flag in re.findall(r"`(?:crossfuse [^`\n]*?)?(--[a-z][a-z0-9-]*)[^`\n]*`", prose):
            assert flag in known | FOREIGN, f"{path}: {flag}"


def test_every_guide_has_commands_that_run_or_say_why_not(root: Path) -> None:
    found = [block for page in guide_pages(root) for block in blocks(root, page)]
    assert len([block for block in found if not block.skip]) > 15
    assert all(len(block.skip) > 5 for block in found if block.skip)


def test_quoted_messages_are_those_of_the_product(root: Path) -> None:
    """Each message in the troubleshooting tables is in the code; `…` is what differs."""
    page = (root / "docs" / "guides" / "operating.md").read_text(encoding="utf-8")
    section = page.partition("## By symptom")[2]
    quoted = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert len(quoted) > 20
    known = texts()
    missing = [
        message
        for message in quoted
        if not all(any(part in text for text in known) for part in parts(message))
    ]
    assert not missing


def parts(message: str) -> list[str]:
    """What must be in the code: "FIELD: got X" is put together from a field and a value."""
    field, got, rest = message.rpartition("got ")
    pieces = [field.removesuffix(": "), *rest.split("…")] if got else message.split("…")
    return [piece.strip() for piece in pieces if len(piece.strip()) > 1]


@cache
def texts() -> tuple[str, ...]:
    """The texts of the packages, with `…` for every part that is put in."""
    found = set()
    for package in ("crossfuse", "server/crossfuse_server"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (
                        str(part.value) if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    )
                    found.add("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return tuple(found)


def test_nothing_is_left_to_be_done(root: Path) -> None:
    command = ["git", "grep", "-InwE", UNDONE, "--", "."]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert found.stdout == ""
