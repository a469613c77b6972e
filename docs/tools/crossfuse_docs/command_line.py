"""The reference of the command line, from the parsers that answer `--help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from crossfuse.cli import COMMANDS, load_command
from crossfuse_docs.prose import code, escape, markdown, one_line, sentence

INTRODUCTION = """\
# Command line

What `crossfuse COMMAND --help` prints, for every command. Data goes to standard output, all
else to standard error. Exit codes: 0 done, 1 the work failed, 2 bad usage or bad input, 130
interrupted. All commands take `--debug`, for the full log and tracebacks. `crossfuse --version`
prints the version."""


def page() -> str:
    """docs/reference/cli.md"""
    parts = [INTRODUCTION]
    for name, command in COMMANDS.items():
        parts.append(f"## crossfuse {name}")
        parts += _command(load_command(name)[1], command.summary, level=3)
    return "\n\n".join(parts) + "\n"


def parsers(name: str) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The parser of a command and of everything below it, by the words that lead there."""
    yield from _below((name,), load_command(name)[1])


def _below(
    words: tuple[str, ...], parser: argparse.ArgumentParser
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield words, parser
    for name, (below, _) in _subparsers(parser).items():
        yield from _below((*words, name), below)


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options and words of a parser, without the help and the choice of a sub-command."""
    # argparse has no public way to list them.
    return [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        and action.dest != "debug"
    ]


def _command(parser: argparse.ArgumentParser, summary: str, level: int) -> Iterator[str]:
    if summary:
        yield escape(sentence(summary))
    if parser.description and parser.description != summary:
        yield markdown(parser.description)
    listed = "\n".join(map(_option, options(parser)))
    if listed:
        yield listed
    if parser.epilog:
        lines = parser.epilog.splitlines()[1:]
        yield code("\n".join(line.removeprefix("  ") for line in lines))
    for name, (below, summary) in _subparsers(parser).items():
        heading = f"{parser.prog} {name}".split(" [", maxsplit=1)[0]
        yield f"{'#' * level} {heading}"
        yield from _command(below, summary, level + 1)


def _subparsers(
    parser: argparse.ArgumentParser,
) -> dict[str, tuple[argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return {
                name: (below, summaries.get(name, "")) for name, below in action.choices.items()
            }
    return {}


def _option(action: argparse.Action) -> str:
    value = _value(action)
    if action.option_strings:
        names = ", ".join(f"`{name}{value}`" for name in action.option_strings)
    else:
        names = f"`{value.strip()}`"
    required = " (required)" if action.required and action.option_strings else ""
    return f"- {names}{required}: {one_line(_help(action))}"


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    metavar = action.metavar
    if metavar is None and action.choices is not None:
        metavar = "|".join(map(str, action.choices))
    if metavar is None:
        metavar = action.dest.upper() if action.option_strings else action.dest
    name = " ".join(metavar) if isinstance(metavar, tuple) else metavar
    ends = {"?": f" [{name}]", "*": f" [{name} ...]", "+": f" {name} [{name} ...]"}
    return ends.get(str(action.nargs), f" {name}")


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": "crossfuse"}
    plain = action.default in (None, False, argparse.SUPPRESS) or action.default == []
    if plain or "default" in text or isinstance(action, argparse._StoreTrueAction):
        return text
    return f"{text} (default: {action.default})"
