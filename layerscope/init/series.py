"""Keys that every series of a first recipe has: its name and its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from layerscope.init.files import Opened, common_start
from layerscope.init.text import RecipeText
from layerscope.measured.files import files_of, natural_key

__all__ = ["files_key", "series_name"]

LISTED = 6
"""More files than this are written as a pattern, if one means these and no other."""


def series_name(group: Sequence[Opened]) -> str:
    """Return what a series is called: the file's name, or what the names of its files begin with."""
    names = [one.stem for one in group] + [PurePosixPath(name).stem for one in group for name in one.alike]
    if len(names) == 1:
        return names[0]
    start = re.sub(r"[\W_]+$", "", common_start(names).rstrip("0123456789"))
    return start or group[0].path.absolute().parent.name or "series"


def files_key(text: RecipeText, group: Sequence[Opened], what: str) -> None:
    """Add the files of a series to the table that was begun last.

    Parameters
    ----------
    text : RecipeText
    group : sequence of Opened
        In one folder where there are several.
    what : str
        What files of one kind are taken for.
    """
    names = sorted({one.name for one in group} | {name for one in group for name in one.alike}, key=natural_key)
    assumed = (
        f"assumed: {len(names)} files whose names differ in nothing but digits are {what}" if len(names) > 1 else ""
    )
    pattern = re.sub(r"\d+", "*", PurePosixPath(names[0]).name)
    parent = PurePosixPath(names[0]).parent.as_posix()
    relative = pattern if parent == "." else f"{parent}/{pattern}"
    found = files_of(group[0].path.parent / pattern) if len(names) > LISTED else None
    means_these = found is not None and set(found[1]) == {PurePosixPath(name).name for name in names}
    text.key("files", [relative] if means_these else names, assumed)
