"""The reference of a bundle's manifest, from its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crossfuse_docs.prose import one_line, table

SCHEMA = "crossfuse/bundles/manifest.schema.json"
INTRODUCTION = f"""\
# Manifest of a bundle

A model bundle is a folder `NAME/VERSION/` with `manifest.json`, one ONNX file for each
precision and `card.md`. The manifest keeps [the schema](../../{SCHEMA}) (JSON Schema draft 7);
a manifest that breaks it, and a file whose sha256 is not the one in it, are refused. `crossfuse
models show NAME` prints it, `crossfuse models verify` checks the files."""

Schema = Mapping[str, Any]
ANY = "*"


def page(root: Path) -> str:
    """docs/reference/manifest.md"""
    schema = json.loads((root / SCHEMA).read_text(encoding="utf-8"))
    rows = list(_rows(schema, schema, ""))
    return f"{INTRODUCTION}\n\n{table(('key', 'value', ''), rows)}\n"


def _rows(schema: Schema, whole: Schema, prefix: str) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, entry in _alike_once(schema.get("properties", {})):
        path = f"{prefix}{name}"
        entry = _resolved(entry, whole)
        text = one_line(entry.get("description", ""))
        if name not in required and name != ANY:
            text = f"{text} Optional.".strip()
        yield f"`{path}`", _value(entry, whole), text
        items = _resolved(entry.get("items", {}), whole)
        if items.get("properties"):
            yield from _rows(items, whole, f"{path}[].")
        else:
            yield from _rows(entry, whole, f"{path}.")


def _alike_once(properties: Schema) -> Iterator[tuple[str, Schema]]:
    """Keys whose values are all defined by the same reference stand in one line."""
    references = {json.dumps(entry) for entry in properties.values() if "$ref" in entry}
    if len(properties) > 1 and len(references) == 1:
        keys = ", ".join(properties)
        first = next(iter(properties.values()))
        yield ANY, {**first, "description": f"One or more of {keys}."}
    else:
        yield from properties.items()


def _resolved(entry: Schema, whole: Schema) -> Schema:
    reference = entry.get("$ref")
    if reference is None:
        return entry
    return {**whole["definitions"][reference.rpartition("/")[2]], **entry}


def _value(entry: Schema, whole: Schema) -> str:
    if "const" in entry:
        return f"`{json.dumps(entry['const'])}`"
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(value)}`" for value in entry["enum"])
    kinds = entry.get("type", "object")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if "items" in entry:
        text += f" of {_value(_resolved(entry['items'], whole), whole)}"
    if "pattern" in entry:
        text += f", `{entry['pattern']}`".replace("|", "\\|")
    if "minimum" in entry:
        text += f", {entry['minimum']} or more"
    return text
