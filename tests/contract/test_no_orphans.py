"""Nothing stands in the code that no product code uses: a function that a recipe cannot reach is wired or deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from .orphans import Definition, find_orphans

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "layerscope": "layerscope",
    "spectra": "layerscope.spectra",
    "diffraction": "layerscope.diffraction",
    "microscopy": "layerscope.microscopy",
}
#: Packages whose exports are for users: scripts, benchmarks and techniques from outside.
INTERFACE = ("layerscope", "layerscope.crystals", "layerscope.figures", "layerscope.fitting", "layerscope.records")
#: What may stand without a user, and why.
ALLOWED: dict[tuple[str, str], str] = {
    (
        "layerscope.diffraction.rietveld.engines.rietx_engine",
        "simulate",
    ): "patterns of known truth, for tests, benchmarks and studies of one's own",
    ("layerscope.microscopy.readers.ready", "read_image"): "one image by itself, for tests, benchmarks and scripts",
}


@pytest.fixture(scope="module")
def orphans() -> list[Definition]:
    return find_orphans(ROOT, FOLDERS, INTERFACE)


def test_every_definition_is_reached_from_where_the_program_is_entered(orphans: list[Definition]) -> None:
    found = [f"{d[0]}: {d[1]}" for d in orphans if d not in ALLOWED]
    assert not found, "named by no product code:\n" + "\n".join(found)


def test_what_is_allowed_still_stands_and_is_still_unused(orphans: list[Definition]) -> None:
    assert set(ALLOWED) <= set(orphans)


MODULES = {
    "pyproject.toml": '[project]\nname = "p"\n[project.scripts]\np = "p.main:run"\n',
    "p/__init__.py": "from p.tools import exported, listed\n__all__ = ['exported']\n",
    "p/main.py": (
        "from p import tools\nfrom p.tools import used as mine, imported_only\n"
        "def run():\n    mine()\n    tools.by_attribute()\n    return LIMIT\nLIMIT = _PRIVATE = 3\n"
    ),
    "p/tools.py": (
        "__all__ = ['listed', 'used']\n"
        "def used() -> 'Annotated':\n    return helper()\n"
        "def helper():\n    return 1\n"
        "def exported():\n    return 2\n"
        "def by_attribute():\n    from p.late import loaded\n    return loaded()\n"
        "class Annotated:\n    pass\n"
        "def listed():\n    return 3\n"
        "def imported_only():\n    return deep()\n"
        "def deep():\n    return 4\n"
        "def itself():\n    return itself()\n"
    ),
    "p/late.py": "def loaded():\n    return 5\ndef named_by_a_test():\n    return 6\n",
    "p/chooser.py": "from importlib import import_module\nFOUND = import_module('p.chosen').sniff\nprint(FOUND)\n",
    "p/chosen.py": "def sniff():\n    return 7\ndef other():\n    return 8\n",
}


def test_the_search_follows_names_and_is_not_fooled_by_lists_imports_and_recursion(tmp_path: Path) -> None:
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "test_p.py").write_text("from p.late import named_by_a_test\nnamed_by_a_test()\n")
    found = {name for _, name in find_orphans(tmp_path, {"p": "p"})}
    assert found == {"exported", "listed", "imported_only", "deep", "itself", "named_by_a_test", "other"}
    assert "exported" not in {name for _, name in find_orphans(tmp_path, {"p": "p"}, ["p"])}
