"""From raw files of four instruments to one kind of result record, with honest errors.

Importing this package costs nothing: whatever needs numpy or pandas is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerscope.version import __version__

if TYPE_CHECKING:
    from layerscope.runs.load import Run, load_run

__all__ = ["Run", "__version__", "load_run"]


def __getattr__(name: str) -> Any:
    if name in ("Run", "load_run"):
        from layerscope.runs import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "Run", "load_run"])
