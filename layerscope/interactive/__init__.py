"""For notebooks and scripts: files read whatever their technique, recipes run with or without a folder, fits looked at.

Nothing is computed here: the techniques' readers read, and recipes are run as the command line runs them.
"""

from __future__ import annotations

from .dataset import Dataset, read
from .run import Fit, Run, load_run, recipe_models, run

__all__ = ["Dataset", "Fit", "Run", "load_run", "read", "recipe_models", "run"]
