"""Words of figures: formulas and units as the field prints them, true minus signs, readable colours, names of files."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["HIGH", "LOW", "figure_stem", "legible", "minus", "ordinal", "primed", "printed", "printed_unit"]

_ELEMENTS = (
    "He Li Be Ne Na Mg Al Si Cl Ar Ca Sc Ti Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Zr Nb Mo Tc Ru Rh Pd Ag Cd In "
    "Sn Sb Te Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta Re Os Ir Pt Au Hg Tl Pb Bi Th "
    "H B C N O F P S K V Y I W U"
)
_ELEMENT = _ELEMENTS.replace(" ", "|")
_COUNT = r"\d*\.?\d+(?:[-+−][xyzδ])?|\d*[xyzδ]"
_PART = re.compile(rf"({_ELEMENT}|[()])({_COUNT})?")
_FORMULA = re.compile(rf"(?:(?:{_ELEMENT}|[()])(?:{_COUNT})?)+")
_ION = re.compile(r"(.*[A-Za-z)])(\d*)([-+−])")
_PARTNER = re.compile(rf"(?:{_ELEMENT})'?|TM|M|R|X|(?:(?:[BCFHIKNOPSUVWY()])\d*)+")
_ACRONYM = re.compile(r"[A-Z]{2,}\d*")
_SPACE_GROUP = re.compile(
    r"([PFIR][mnad]?)-(3|4|6)((?<=R-3)[mc]|(?<=P-3)(?:1[mc]|[mc]1)|(?<=[mnad]-3)[mncd]?|"
    r"(?<=-4)(?:3[mncd]|2[mcd]|[mcbn]2)|(?<=-6)(?:[mc]2|2[mc]))"
)
_MOST = 30
"""A larger number after capitals alone counts samples, not atoms."""
LOW = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
HIGH = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
"""Lowered and raised signs, each with the plain one."""
_LOW = str.maketrans({plain: low for low, plain in LOW.items()})
_HIGH = str.maketrans({plain: high for high, plain in HIGH.items()} | {"−": "⁻"})
_LONGEST = 120
"""Characters of a file name, without what is appended to it."""


def printed(text: str) -> str:
    r"""Return a name as it is printed: formulas with subscripts, charges raised, bonds with dashes, phases with primes.

    Changed are words that are chemistry from end to end; every other word stays: ``P-LCO``, ``NMC811``, ``H1-3``,
    ``O3``, ``In 3d5/2``. A formula has two elements or more, so that ``O3`` and ``S12`` may be names.

    Parameters
    ----------
    text : str
        A sample, a species or a phase.

    Returns
    -------
    str
        ``Li₂B₄O₇``, ``TM–O–B``, ``Mn³⁺``, ``sp³``, ``O3′``; with mathtext where Unicode has no letter for it:
        ``LiNi$_{0.8}$Mn$_{0.2}$O$_{2}$``, ``$R\overline{3}m$``.
    """
    return re.sub(r"[^\s,;:]+", lambda match: _word(match.group()), text.replace("$", r"\$"))


def _word(word: str) -> str:
    """Print one word: as a whole, or part by part between slashes and underscores, or bond by bond."""
    whole = _thing(word)
    if whole is not None:
        return whole
    if re.fullmatch(r"\([^()]+\)", word):
        return f"({_word(word[1:-1])})"
    for mark in ("/", "_", "·", "+"):
        if mark in word.strip(mark):
            return mark.join(_word(part) for part in word.split(mark))
    parts = re.split(r"([-=≡])", word)
    for place in range(1, len(parts) - 1, 2):
        if parts[place] == "-" and _bound(parts[place - 1], parts[place + 1]):
            parts[place] = "–"
    return "".join(_thing(part) or re.sub(r"(?<=\w)'$", "′", part) for part in parts)


def _bound(before: str, after: str) -> bool:
    """Tell whether a dash stands between two: partners of a bond, or two compounds, and not a prefix and its word."""
    if _PARTNER.fullmatch(before) and _PARTNER.fullmatch(after):
        return True
    compounds = [len(_symbols(part)) > 1 for part in (before, after)]
    return any(compounds) and all(
        compound or _ACRONYM.fullmatch(part) for compound, part in zip(compounds, (before, after), strict=True)
    )


def _symbols(word: str) -> set[str]:
    """Return the elements of a formula; none where the word is not one from end to end."""
    return {symbol for symbol, _ in _PART.findall(word)} - set("()") if _FORMULA.fullmatch(word) else set()


def _thing(word: str) -> str | None:
    """Return a formula, an ion, a hybrid orbital or a space group as it is printed; None of anything else."""
    if re.fullmatch(r"sp[23]", word):
        return word.translate(_HIGH)
    group = _SPACE_GROUP.fullmatch(word)
    if group:
        return f"${group[1]}\\overline{{{group[2]}}}{group[3]}$"
    return _formula(word) or _ion(word)


def _formula(word: str) -> str | None:
    """Return a formula of two elements or more with its numbers lowered."""
    parts = _PART.findall(word)
    counts = [count for _, count in parts if count]
    if not counts or len(_symbols(word)) < 2:
        return None
    if any(count == "1" or re.match(r"0\d", count) for count in counts):
        return None
    if word.isupper() and any(count.isdigit() and int(count) > _MOST for count in counts):
        return None
    if all(count.isdigit() for count in counts):
        return word.translate(_LOW)
    signs = {"-": "{-}", "−": "{-}", "+": "{+}", "δ": r"\delta"}  # braces: not set like an operator
    low = {count: "".join(signs.get(sign, sign) for sign in count) for count in counts}
    return "".join(symbol + (f"$_{{{low[count]}}}$" if count else "") for symbol, count in parts)


def _ion(word: str) -> str | None:
    """Return an ion with its charge raised: of several digits before the sign, and of an element, the last is one."""
    match = _ION.fullmatch(word)
    if match is None:
        return None
    body, digits, sign = match.groups()
    single = re.fullmatch(_ELEMENT, body) is not None
    count, charge = (digits[:-1], digits[-1:]) if single or len(digits) > 1 else (digits, "")
    if single and sign != "+" and not charge and body not in ("F", "Cl", "Br", "I"):
        return None  # the hyphen of "B- and P-LCO"
    if single:
        return body + count.translate(_LOW) + (charge + sign).translate(_HIGH)
    molecule = _formula(body + count)
    return None if molecule is None else molecule + (charge + sign).translate(_HIGH)


def primed(name: str) -> str:
    """Return a phase as tables have it: with a prime, not with an apostrophe."""
    return name.replace("'", "′")


def printed_unit(unit: str) -> str:
    """Return a unit as it is printed: ``Å³`` for ``angstrom^3``, ``counts eV`` for ``counts*eV``, nothing for ``1``."""
    if unit == "1":
        return ""
    words = re.sub(r"^1/(\w+)$", r"\1^-1", unit).replace("angstrom", "Å").replace("deg", "°").replace("*", " ")
    return re.sub(r"\^(-?\d+)", lambda match: match[1].translate(_HIGH), words)


def minus(text: str) -> str:
    """Return the text of a number with a minus sign for the hyphen and a power of ten for ``e-05``: ``2×10⁻⁵``."""
    mantissa, mark, exponent = text.partition("e")
    power = f"×10{str(int(exponent)).translate(_HIGH)}" if mark else ""
    return mantissa.replace("-", "−") + power


def ordinal(number: int) -> str:
    """Return ``second``, ``third``, ``4th`` for what is drawn of a long series."""
    return {2: "second", 3: "third"}.get(number, f"{number}th")


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
