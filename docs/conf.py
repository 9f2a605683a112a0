"""The documentation site: ``python -m sphinx -W -b html docs site``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from layerscope.version import __version__

REPOSITORY = "https://github.com/layerscope/layerscope/blob/main"
HERE = Path(__file__).parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE.parent]  # the installed package

project = "layerscope"
author = "The layerscope developers"
copyright = author
release = version = __version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "make_*.py", "recipes/*"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4


autodoc_typehints = "none"  # numpydoc's sections say them in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = f"layerscope {release}"
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
}
html_show_sourcelink = False
html_copy_source = False


def _outside(app: object, name: str, source: list[str]) -> None:
    """Let links to what lies beside the documentation lead to the repository."""
    for folder in ("benchmarks", "reference_data", "tests"):
        source[0] = source[0].replace(f"](../{folder}/", f"]({REPOSITORY}/{folder}/")


def setup(app: Any) -> None:
    """Connect what this page adds."""
    app.connect("source-read", _outside)
