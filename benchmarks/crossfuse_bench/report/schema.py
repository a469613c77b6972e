"""The schema of a report, by its name, and the check against it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import fastjsonschema

from crossfuse.errors import InvalidInput

SCHEMA = "crossfuse-bench/2"
"""What is written; reports of version 1, without phases and energy of GPUs, are read as well."""
READ = (SCHEMA, "crossfuse-bench/1")


def validate(document: Any, name: str = "report") -> None:
    """Refuse what does not keep the schema."""
    if isinstance(document, dict) and document.get("schema") not in READ:
        raise InvalidInput(name, f"schema {document.get('schema')!r}", " or ".join(READ))
    schema = json.loads((files(__package__) / "schema.json").read_text(encoding="utf-8"))
    try:
        fastjsonschema.validate(schema, document)
    except fastjsonschema.JsonSchemaException as error:
        raise InvalidInput(name, str(error), f"a report of schema {SCHEMA}") from error
