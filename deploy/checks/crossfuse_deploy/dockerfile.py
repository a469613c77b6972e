"""Reads a Dockerfile: its stages, and their instructions with arguments and variables filled in."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
FLAGS = re.compile(r"(?:--[a-z-]+=\S+\s+)+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continued lines joined; `line` is its first line's number."""

    keyword: str
    text: str
    line: int

    @property
    def flags(self) -> dict[str, str]:
        """`--from=wheel` as {"from": "wheel"}."""
        flags, _ = self._parts
        return dict(word.removeprefix("--").split("=", 1) for word in flags.split())

    @property
    def argument(self) -> str:
        """What follows the flags."""
        _, argument = self._parts
        return argument

    @property
    def _parts(self) -> tuple[str, str]:
        flags = FLAGS.match(self.text)
        end = flags.end() if flags else 0
        return self.text[:end], self.text[end:]

    @property
    def words(self) -> list[str]:
        """The argument as words, from its JSON form or split like a shell does."""
        if self.argument.startswith("["):
            return [str(word) for word in json.loads(self.argument)]
        return shlex.split(self.argument)

    @property
    def pairs(self) -> dict[str, str]:
        """The `name=value` words of ARG, ENV and LABEL; an ARG without a value has none."""
        return dict(word.split("=", 1) for word in shlex.split(self.argument) if "=" in word)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins; `base` is an image or the name of an earlier stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def last(self, keyword: str) -> Instruction | None:
        """The instruction of that kind that counts."""
        found = [entry for entry in self.instructions if entry.keyword == keyword]
        return found[-1] if found else None


def read_dockerfile(path: Path, arguments: Mapping[str, str]) -> dict[str, Stage]:
    """The stages by name; `arguments` are build arguments that replace the file's defaults."""
    stages: dict[str, Stage] = {}
    values: dict[str, str] = {}
    name, base = "", ""
    body: list[Instruction] = []
    for entry in _instructions(path.read_text(encoding="utf-8")):
        if entry.keyword == "FROM":
            if name:
                stages[name] = Stage(name, base, tuple(body))
            base, _, name = expand(entry.text, values).partition(" AS ")
            body = []
        elif name:
            body.append(entry)
        else:
            values |= {key: arguments.get(key, value) for key, value in entry.pairs.items()}
    return {**stages, name: Stage(name, base, tuple(body))}


def needed(stages: Mapping[str, Stage], target: str) -> list[Stage]:
    """The stages that a target is built from, each after those that it needs."""
    order: dict[str, Stage] = {}

    def add(name: str) -> None:
        if name not in stages or name in order:
            return
        stage = stages[name]
        add(stage.base)
        for entry in stage.instructions:
            add(entry.flags.get("from", ""))
        order[name] = stage

    add(target)
    return list(order.values())


def expand(text: str, values: Mapping[str, str]) -> str:
    """The text with `$NAME` and `${NAME}` filled in; what has no value is empty."""
    return VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def _instructions(text: str) -> Iterator[Instruction]:
    first, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        first = first if parts else number
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            keyword, _, rest = " ".join(parts).partition(" ")
            yield Instruction(keyword.upper(), rest.strip(), first)
            parts = []
