"""Words of diffraction figures: formulas with subscripts, true minus signs, readable colours, names of files."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["figure_stem", "formula_label", "legible", "minus"]

_ELEMENTS = frozenset(
    re.findall(
        "[A-Z][a-z]?",
        "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbT"
        "eIXeCsBaLaCePrNdPmSmEuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiThU",
    )
)
_PART = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?(?:\d+(?:\.\d+)?)?){2,}")
_LONGEST = 120
"""Characters of a file name, without what is appended to it."""


def formula_label(text: str) -> str:
    """Return a sample's name as it is printed: the numbers of chemical formulas as subscripts.

    Only words that are formulas from end to end are changed: two elements or more, one of them with a small letter, so
    that ``P-LCO``, ``NMC811`` and ``O3`` stay as they are.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        With mathtext where there is a subscript: ``LiCoO$_{2}$``.
    """
    return " ".join(_formula(word) for word in text.split(" "))


def _formula(word: str) -> str:
    if not _FORMULA.fullmatch(word) or not any(c.islower() for c in word) or not any(c.isdigit() for c in word):
        return word
    parts = _PART.findall(word)
    if any(element not in _ELEMENTS for element, _ in parts):
        return word
    return "".join(element + (f"$_{{{count}}}$" if count else "") for element, count in parts)


def minus(text: str) -> str:
    """Return the text of a number with a minus sign for the hyphen and a power of ten for ``e-05``."""
    mantissa, mark, exponent = text.partition("e")
    power = f"×10$^{{{int(exponent)}}}$" if mark else ""
    return mantissa.replace("-", "−") + power


def legible(colour: str, contrast: float = 4.0) -> str:
    """Return a colour for text on white: the same hue, darkened until the contrast is that of readable print.

    Parameters
    ----------
    colour : str
        ``#RRGGBB``.
    contrast : float
        Ratio of luminances, (1 + 0.05) / (L + 0.05), after the Web Content Accessibility Guidelines.
    """
    red, green, blue = (int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5))
    for _ in range(60):
        if 1.05 / (_luminance(red, green, blue) + 0.05) >= contrast:
            break
        red, green, blue = 0.96 * red, 0.96 * green, 0.96 * blue
    return "#" + "".join(f"{round(255 * part):02X}" for part in (red, green, blue))


def _luminance(*parts: float) -> float:
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def figure_stem(names: Sequence[str], ending: str, taken: set[str]) -> str:
    """Return the name of a figure of some series: what they share once, what differs side by side.

    Parameters
    ----------
    names : sequence of str
        Names of the series, safe for files, such as ``case_P-LCO_003`` and ``case_B-LCO_003``.
    ending : str
        What the figure shows.
    taken : set of str
        Names in use, of any case; the new one is added.

    Returns
    -------
    str
        ``case_P-LCO_B-LCO_003_fractions``; with ``_2``, ``_3`` ... where that is taken.
    """
    unique = list(dict.fromkeys(names))
    words = [name.split("_") for name in unique]
    head = _common(words) if len(unique) > 1 else words[0]
    tails = [w[len(head) :] for w in words] if len(unique) > 1 else [[]]
    tail = _common([t[::-1] for t in tails])[::-1]
    middle = ["_".join(t[: len(t) - len(tail)]) for t in tails]
    joined = "_".join(part for part in ("_".join(head), *middle, "_".join(tail)) if part)
    if len(joined) > _LONGEST:
        joined = f"{unique[0][: _LONGEST - 20]}_and_{len(unique) - 1}_more"
    joined = re.sub(r"[^A-Za-z0-9._\-]+", "_", joined)
    name, number = f"{joined}_{ending}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{joined}_{ending}_{number}"
    taken.add(name.casefold())
    return name


def _common(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the words with which all rows begin."""
    shared = []
    for words in zip(*rows, strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return shared
