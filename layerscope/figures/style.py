"""Style sheets for one and two journal columns, applied without leaving a trace in matplotlib's global state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from layerscope.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DATA_COLOUR", "PALETTE", "SAMPLE_COLOURS", "Sheet", "Width", "millimetres", "style"]

Width: TypeAlias = Literal["single", "double"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe-Ito colours in the order of the style sheet's cycle, safe for the common colour-vision deficiencies
(M. Okabe, K. Ito, *Color Universal Design*, 2008)."""

SAMPLE_COLOURS = ("#332288", "#999933", "#882255", "#7A4A21", "#000000")
"""Samples, where each has a colour: indigo, olive, wine, brown, black. They stay apart from `PALETTE`, so that no
sample looks like a species, a phase or a band beside it (most are of P. Tol, *Colour Schemes*, 2021, set *muted*)."""

DATA_COLOUR = "#000000"
"""Measured points are black in every figure; the cycle is for components and series."""

MM_PER_INCH = 25.4
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sheet:
    """The applied sheet, as :func:`style` hands it out.

    Attributes
    ----------
    width_mm : float
        Width of the page in millimetres: 89 for one column, 183 for two.
    """

    width_mm: float

    def figure(self, height_mm: float | None = None) -> Figure:
        """Make an empty figure of the sheet's exact width.

        Parameters
        ----------
        height_mm : float, optional
            Height in millimetres; the sheet's own height when left out.

        Returns
        -------
        Figure
            A figure that belongs to nobody: no pyplot, no window, freed with its last reference.

        Raises
        ------
        DataError
            When the height is not between 10 and 250 mm (a journal page).
        """
        from matplotlib.figure import Figure

        if height_mm is None:
            return Figure()
        if not 10.0 <= height_mm <= 250.0:
            raise DataError(f"a figure of {height_mm:g} mm height fits no page", hint="use 10 to 250 mm")
        return Figure(figsize=(self.width_mm / MM_PER_INCH, height_mm / MM_PER_INCH))


def millimetres(figure: Figure) -> tuple[float, float]:
    """Return width and height of a figure in millimetres."""
    width, height = figure.get_size_inches()
    return float(width) * MM_PER_INCH, float(height) * MM_PER_INCH


def sheets(width: Width | None = None) -> list[Path]:
    """Return the style files to apply in order: the base and, when asked for, the column width."""
    base = _HERE / "base.mplstyle"
    return [base] if width is None else [base, _HERE / f"{width}.mplstyle"]


@contextmanager
def style(width: Width | float = "single") -> Iterator[Sheet]:
    """Draw in layerscope's style inside a ``with`` block; the settings outside stay as they were.

    The block starts from matplotlib's defaults, not from the user's ``matplotlibrc``, because the same records must
    give the same figure everywhere. Matplotlib's settings are one per process: do not draw from two threads at once.

    Parameters
    ----------
    width : {"single", "double"} or float
        One column (89 mm), two (183 mm), or any width in millimetres.

    Yields
    ------
    Sheet
        Makes figures of the right size: ``sheet.figure(height_mm=60)``.

    Raises
    ------
    DataError
        When the width is a word, but neither of the two.
    """
    if isinstance(width, str) and width not in get_args(Width):
        raise DataError(f"there is no figure width {width!r}", hint='use "single" (89 mm) or "double" (183 mm)')
    from matplotlib import style as mpl_style

    named = width if isinstance(width, str) else None
    with mpl_style.context([str(path) for path in sheets(named)], after_reset=True):
        yield Sheet({"single": 89.0, "double": 183.0}[width] if isinstance(width, str) else width)
