"""Every flag that the wing may set stands in the list of flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from layerscope.flags import FLAGS

WING = Path(__file__).resolve().parents[2] / "microscopy"
FORM = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(:|$)")


def test_every_flag_in_the_code_is_in_the_list() -> None:
    for path in sorted(WING.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        named = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        named |= {name.id for node in ast.walk(tree) if isinstance(node, ast.Name) for name in [node]}
        words = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        found = {match.group(1) for word in words if (match := FORM.match(word))} - named
        assert found <= set(FLAGS), f"{path.name}: {sorted(found - set(FLAGS))}"
