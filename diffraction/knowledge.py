"""What this technique can look up: crystal structures of the library, each with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.crystals import available_phases, read_phase_table
from layerscope.runs.summary import Column, SummaryTable, words_table

__all__ = ["phases"]


def phases(words: Sequence[str]) -> SummaryTable:
    """Return the structures of the library.

    Parameters
    ----------
    words : sequence of str
        Words that all occur in name, formula or space group, or begin a word of the source; the initials of a formula
        count too, so that ``lco`` finds LiCoO2.
    """
    rows = []
    for library in available_phases():
        table = read_phase_table(library)
        name, formula, group = (str(table.get(key, "")) for key in ("name", "formula", "space_group"))
        source = str(table.get("source", ""))
        initials = "".join(sign for sign in formula if sign.isupper())
        text = " ".join((library, name, formula, initials, group)).casefold()
        cited = f" {source}".casefold()
        # a word must begin one of the source, or "lco" would find "Elcombe"
        if all(word.casefold() in text or f" {word.casefold()}" in cited for word in words):
            sites = len(table.get("sites", ())) or "cell only"
            rows.append((library, name, formula, group, sites, _cell(table), source))
    columns = (
        Column("library", kind="key"),
        Column("phase"),
        Column("formula"),
        Column("space group"),
        Column("sites"),
        Column("cell / Å, °; range", kind="text"),
        Column("source", kind="text"),
    )
    note = (
        'A recipe takes one as library = "LiCoO2_O3" in phases, or a structure of its own as a .cif or .toml file. '
        "What has a cell only serves Le Bail and images. The range is where charge, substitution or growth on another "
        "crystal may put a length."
    )
    return words_table("Structures", columns, rows, note=note)


def _cell(table: Mapping[str, Any]) -> str:
    """Return the constants of a cell without those that repeat, without right angles, and their ranges."""
    cell = table["cell"]
    lengths = [f"{name} {value:g}" for name, value in zip("abc", dict.fromkeys(cell[:3]), strict=False)]
    if cell[0] == cell[1] != cell[2]:
        lengths = [f"a {cell[0]:g}", f"c {cell[2]:g}"]
    angles = [f"{name} {value:g}" for name, value in zip("αβγ", cell[3:], strict=True) if value != 90.0]
    ranges = [f"{r['constant']} {r['low']:g}–{r['high']:g}" for r in table.get("cell_range", ())]
    return ", ".join([*lengths, *angles]) + ("; " + ", ".join(ranges) if ranges else "")
