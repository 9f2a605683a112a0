"""Print ``docs/figure_keys.md``: every key of a specification of a figure, from the models that check them.

Run ``python docs/make_figure_keys.py > docs/figure_keys.md`` after a change of a panel; a test compares the two.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from make_recipe_keys import Schema, key_table, sections

from layerscope.figures.specified import FigureSpec, PanelOptions, installed_kinds

HEAD = """# Every key of a specified figure

Made from the models that check specifications, by `python docs/make_figure_keys.py`; what they are good for stands in
[figures.md](figures.md). A key without a default has to be given where it says *required*; a dash means that nothing is
assumed.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, f"## The figure\n\n{key_table(FigureSpec.model_json_schema())}\n"]
    common = PanelOptions.model_json_schema()
    parts.append(f"## `[[panels]]`\n\nWhat every panel understands.\n\n{key_table(common)}\n")
    for name, paths in sections(common).items():
        heading = ", ".join(f"`{path}`".replace("[[", "[[panels.") for path in paths)
        parts.append(f"### {heading}\n\n{key_table(common['$defs'][name])}\n")
    for kind in installed_kinds().values():
        schema: Schema = kind.options.model_json_schema()
        own = {key: entry for key, entry in schema["properties"].items() if key not in common["properties"]}
        words = f"{str(schema['description']).rstrip('.')}. Draws records of `{kind.pipeline}`."
        if kind.usual:
            words += " What a figure without a specification shows of them."
        table = key_table({**schema, "properties": own}) if own else "No key of its own."
        parts.append(f"## `{kind.name}`\n\n{words}\n\n{table}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(page())
