"""What this technique can look up: crystal structures of the library, each with its source."""

from __future__ import annotations

from collections.abc import Sequence

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
            rows.append((library, name, formula, group, _cell(table["cell"]), len(table["sites"]), source))
    columns = (
        Column("library", kind="key"),
        Column("phase"),
        Column("formula"),
        Column("space group"),
        Column("cell / Å, °", kind="text"),
        Column("sites"),
        Column("source", kind="text"),
    )
    note = 'A recipe takes one as library = "LiCoO2_O3" in phases, or a structure of its own as a .cif or .toml file.'
    return words_table("Structures", columns, rows, note=note)


def _cell(cell: Sequence[float]) -> str:
    """Return the constants of a cell without those that repeat, and without right angles."""
    lengths = [f"{name} {value:g}" for name, value in zip("abc", dict.fromkeys(cell[:3]), strict=False)]
    if cell[0] == cell[1] != cell[2]:
        lengths = [f"a {cell[0]:g}", f"c {cell[2]:g}"]
    angles = [f"{name} {value:g}" for name, value in zip("αβγ", cell[3:], strict=True) if value != 90.0]
    return ", ".join([*lengths, *angles])
