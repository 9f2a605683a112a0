"""Every flag that a record may carry: which there are, from which value on they are set, and what follows from them.

One list for all techniques. A flag of a record is a name of this list, alone or with a detail: ``AT_BOUND:B_fwhm``.
A record with a suspicious flag has the status ``warning``; a note says what a reader should know and leaves it ``ok``.

A package that brings a technique of its own names flags that are its own ``X_...`` and lists them as `Flag` in the
attribute ``flags`` of its pipeline; all others it takes from here. The list itself is in `layerscope.flag_lists`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from layerscope.flag_lists import edges, fits, images, phases
from layerscope.flag_lists.flag import Flag

__all__ = [
    "FLAGS",
    "Flag",
    "derived_flags",
    "dispersion_flag",
    "gross_flag",
    "inherited_flags",
    "name_of",
    "status_of",
    "threshold",
]

_FORM = re.compile(r"[A-Z][A-Z0-9_]*(:.+)?", re.DOTALL)
_OWN = "X_"  # flags of packages from outside
_GROSS_EXCESS = 10.0  # variance of the residual over that of the noise, below which no misfit is gross
_NO_COUNTS = 1e4  # reduced chi-square beyond which errors from the stated noise are a hundred times too small
_OF_LEVEL = re.compile(r"RESIDUAL_STRUCTURE:\d+|(AT_BOUND|OVERDISPERSED):.*\[\d+\]")

_LIST = (*fits.FLAGS, *edges.FLAGS, *phases.FLAGS, *images.FLAGS)

FLAGS: Mapping[str, Flag] = {flag.name: flag for flag in _LIST}
"""Every flag by its name."""


def name_of(text: str) -> str:
    """Return the name of a flag as records have it, without its detail.

    Raises
    ------
    ValueError
        If it is not of the form NAME or NAME:detail, or its name is neither in the list nor begins with ``X_``.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"flag {text!r} is not of the form NAME or NAME:detail")
    name = text.partition(":")[0]
    if name not in FLAGS and not name.startswith(_OWN):
        raise ValueError(
            f"flag {name!r} is not in the list of flags (layerscope.flags); one of your own begins with X_"
        )
    return name


def _flag(text: str, own: Iterable[Flag]) -> Flag:
    name = name_of(text)
    for flag in own:
        if flag.name == name:
            return flag
    if name not in FLAGS:
        raise ValueError(f"flag {name!r} is not among the flags of its pipeline")
    return FLAGS[name]


def threshold(name: str) -> float:
    """Return the value from which on a flag is set.

    Raises
    ------
    KeyError
        If there is no such flag, or no single value decides on it.
    """
    found = FLAGS[name].threshold
    if found is None:
        raise KeyError(name)
    return found


def status_of(flags: Iterable[str], own: Sequence[Flag] = ()) -> Literal["ok", "warning"]:
    """Return the status of a record that worked: ``warning`` if a flag is suspicious.

    Parameters
    ----------
    flags : iterable of str
        As the record has them.
    own : sequence of Flag
        Flags of a pipeline from outside.

    Raises
    ------
    ValueError
        If a flag is not known.
    """
    severities = {_flag(text, own).severity for text in flags}
    return "warning" if "suspicious" in severities else "ok"


def inherited_flags(flags: Iterable[str], level: int | None = None, own: Sequence[Flag] = ()) -> tuple[str, ...]:
    """Return which flags of a series hold for the levels that were fitted with it.

    Parameters
    ----------
    flags : iterable of str
        Of the series.
    level : int, optional
        Place of the level: flags of this level alone, ``RESIDUAL_STRUCTURE:3``, ``AT_BOUND:B_area[3]`` and
        ``OVERDISPERSED:4.1[3]``, come too, without its number.
    own : sequence of Flag
        Flags of a pipeline from outside.
    """
    of_series, alone = _by_level(tuple(flags), tuple(own))
    of_level = alone.get(level, ()) if level is not None else ()
    return tuple(dict.fromkeys(text for _, text in sorted((*of_series, *of_level))))


@lru_cache(maxsize=16)
def _by_level(
    flags: tuple[str, ...], own: tuple[Flag, ...]
) -> tuple[list[tuple[int, str]], dict[int, list[tuple[int, str]]]]:
    """Return flags for all levels, and those of single ones without the number, each with its place in the list.

    A series of many levels has many flags, and every level asks for its own.
    """
    of_series: list[tuple[int, str]] = []
    alone: dict[int, list[tuple[int, str]]] = {}
    for place, text in enumerate(flags):
        if _OF_LEVEL.fullmatch(text):
            said, level = re.split(r"[:\[](?=\d+\]?$)", text)
            alone.setdefault(int(level.rstrip("]")), []).append((place, said))
        elif _flag(text, own).of_series:
            of_series.append((place, text))
    return of_series, alone


def derived_flags(flags: Mapping[str, Iterable[str]], own: Sequence[Flag] = ()) -> tuple[str, ...]:
    """Return the flags that a record inherits from those it was derived from: what is suspicious about each.

    Parameters
    ----------
    flags : mapping of str to iterable of str
        Flags of each parent, by what tells the parents apart: it comes first in the detail, where it is not empty.
    own : sequence of Flag
        Flags of a pipeline from outside.
    """
    found = []
    for label, texts in flags.items():
        for text in texts:
            if _flag(text, own).severity == "suspicious":
                name, _, detail = text.partition(":")
                found.append(":".join(part for part in (name, f"{label} {detail}".strip()) if part))
    return tuple(dict.fromkeys(found))


def dispersion_flag(redchi: float, freedom: int) -> tuple[str, ...]:
    """Return the flag of a reduced chi-square that the stated noise does not explain; none where it does.

    Its standard deviation is sqrt(2 / freedom).

    Parameters
    ----------
    redchi : float
    freedom : int
        Degrees of freedom.
    """
    away = (redchi - 1.0) / math.sqrt(2.0 / max(freedom, 1))
    if away > threshold("OVERDISPERSED"):
        return (f"OVERDISPERSED:{redchi:.3g}",)
    return (f"UNDERDISPERSED:{redchi:.3g}",) if away < -threshold("UNDERDISPERSED") else ()


def gross_flag(
    share: float, redchi: float, durbin_watson: float, *, scaled: bool = False, least: str = "GROSS_MISFIT"
) -> tuple[str, ...]:
    """Return the flag of a model that does not describe the data at all; none where it does.

    What is left over must be a good part of the signal, lie beyond the stated noise and be alike at neighbouring points
    (``2 / DW`` is the variance of a residual over that of its scatter): intensities that merely scatter more than they
    should, and levels without signal, are no misfit. Where errors are not scaled by the residual, a noise that is far
    off is one too.

    Parameters
    ----------
    share : float
        Root of the squared residuals over the squared signal above the background, both in units of sigma.
    redchi : float
        Reduced chi-square as given.
    durbin_watson : float
        Of the residual.
    scaled : bool, optional
        Whether the stated noise is only relative, so that reduced chi-square means nothing.
    least : str, optional
        Flag whose threshold the share has to exceed.
    """
    excess = 2.0 / max(durbin_watson, 1e-12)
    if not scaled:
        excess = min(excess, redchi)
    if excess > _GROSS_EXCESS and share > threshold(least):
        left = f"{100.0 * min(share, 1.0):.0f} % of the signal left over"
        return (f"GROSS_MISFIT:{left}, reduced chi-square {redchi:.3g}",)
    return (f"GROSS_MISFIT:reduced chi-square {redchi:.3g}",) if not scaled and redchi > _NO_COUNTS else ()
