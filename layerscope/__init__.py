"""From raw files of four instruments to one kind of result record, with honest errors.

Importing this package costs nothing: whatever needs numpy or pandas is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerscope.version import __version__

if TYPE_CHECKING:
    from layerscope.interactive import Dataset, Fit, Run, load_run, read, run

__all__ = ["Dataset", "Fit", "Run", "__version__", "load_run", "read", "run"]

_RECIPE = "Recipe"
"""Ending of the names of recipe models: ``XpsRecipe``, ``RietveldRecipe``, one for each installed technique."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        from layerscope import interactive

        return getattr(interactive, name)
    if name.endswith(_RECIPE) and name[:1].isupper():
        from layerscope.interactive import recipe_models

        for model in recipe_models().values():
            if model.__name__ == name:
                return model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
