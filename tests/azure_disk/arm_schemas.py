"""ARM's own JSON Schemas (draft 4), read where they lie beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

_HOST = "https://schema.management.azure.com/schemas"


def registry(folder: Path) -> Registry[Any]:
    """Return all schemas by their addresses."""
    found: Registry[Any] = Registry()
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        uri = f"{_HOST}/{path.relative_to(folder).as_posix()}"
        resource = Resource.from_contents(content, default_specification=DRAFT4)
        found = found.with_resource(uri, resource)
    return found


def validate(known: Registry[Any], file: str, definition: str, document: object) -> None:
    """Raise unless a document is valid by a definition of a schema."""
    schema = {"$ref": f"{_HOST}/{file}#/{definition}"}
    Draft4Validator(schema, registry=known).validate(document)
