"""Print ``docs/recipe_keys.md``: every key of every recipe, from the models that check them.

Run ``python docs/make_recipe_keys.py > docs/recipe_keys.md`` after a change of a recipe; a test compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from layerscope.measured.delimited import ColumnsTable
from layerscope.runs.pipeline import find_pipeline
from layerscope.runs.recipe import StudyRecipe

PIPELINES = ("xps", "casaxps", "xps_survey", "sxas", "xrd_peaks", "rietveld", "eels", "eds", "hrtem")
HEAD = """# Every key of every recipe

Made from the models that check recipes, by `python docs/make_recipe_keys.py`; what the keys are good for stands in
[recipes.md](recipes.md). A key without a default has to be given where it says *required*; a dash means that nothing is
assumed. `[name]` is a table, `[[name]]` one of several.
"""
WRITTEN = ColumnsTable.model_fields  # what tables of columns share stands last
OF_A_FILE = ("layerscope", "pipeline")  # a recipe that is made in Python has them from its model
WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}

Schema = Mapping[str, Any]


def reference(schema: Schema) -> str | None:
    """Return the name of the table that a schema refers to, whether it may be absent or not."""
    found = [s["$ref"] for s in (schema, *schema.get("anyOf", ())) if "$ref" in s]
    return str(found[0]).rsplit("/", 1)[-1] if found else None


def tables(key: str, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield path and name of the tables that a key holds."""
    if (name := reference(schema)) is not None:
        yield f"[{key}]", name
    elif schema.get("type") == "array" and (name := reference(schema.get("items", {}))) is not None:
        yield f"[[{key}]]", name
    elif schema.get("type") == "object" and (name := reference(schema.get("additionalProperties", {}))) is not None:
        yield f"[{key}.<name>]", name


def kind(schema: Schema) -> str:
    """Return in words what may be written for a key."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(s) for s in schema["anyOf"] if s.get("type") != "null"))
    if "$ref" in schema:
        return "table"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(kind(s) for s in schema["prefixItems"]) + "]"
        return "tables" if "$ref" in schema["items"] else f"list of {kind(schema['items'])}"
    if schema["type"] == "object" and not isinstance(schema.get("additionalProperties"), dict):
        return "table"
    if schema["type"] == "object":
        return f"table of name = {kind(schema['additionalProperties'])}"
    if schema.get("format") == "date-time":
        return "date and time"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema]
    return WORDS[schema["type"]] + (f" ({', '.join(limits)})" if limits else "")


def default(key: str, schema: Schema, required: bool) -> str:
    """Return what is taken for a key that is not given; the defaults of a table stand with its keys."""
    value = schema.get("default")
    if required:
        return "*required*"
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return "—"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} of them"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def key_table(schema: Schema) -> str:
    """Return the keys of one table as a table of Markdown."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    required = {*schema.get("required", ()), *OF_A_FILE}
    for key, entry in sorted(schema["properties"].items(), key=lambda item: item[0] in WRITTEN):
        cells = (f"`{key}`", kind(entry), default(key, entry, key in required), entry.get("description", ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def sections(schema: Schema) -> dict[str, list[str]]:
    """Return the tables below a recipe: name to the paths at which they stand, in the order of the keys."""
    found: dict[str, list[str]] = {}

    def walk(inside: str, one: Schema) -> None:
        for key, entry in one["properties"].items():
            for path, name in tables(f"{inside}{key}", entry):
                found.setdefault(name, []).append(path)
                walk(f"{path.strip('[]')}.", schema["$defs"][name])

    walk("", schema)
    return found


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    seen: list[tuple[str, str, list[str], Schema]] = []
    schemas = {f"`{name}`": find_pipeline(name).recipe_model.model_json_schema() for name in PIPELINES}
    for pipeline, schema in {**schemas, "A study": StudyRecipe.model_json_schema()}.items():
        parts.append(f"## {pipeline}\n\n{key_table(schema)}\n")
        for name, paths in sections(schema).items():
            heading = ", ".join(f"`{path}`" for path in paths)
            table = schema["$defs"][name]
            text = str(table.get("description", "")).partition("; see")[0].rstrip(".")
            same = [before for before, *rest in seen if rest == [name, paths, table]]
            if same:
                parts.append(f"### {heading}\n\nAs for {same[0]}.\n")
                continue
            seen.append((pipeline, name, paths, table))
            parts.append(f"### {heading}\n\n{text}.\n\n{key_table(table)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(page())
