"""Numbers as people write them: ``1.234(5)``, ``< 0.018 (95 %)``, ``1.23(4)e-07``.

The digits in brackets are the standard error in units of the last digits shown, as CODATA writes them; without a
decimal point they are the error itself, ``1230(30)``. The error is rounded to one digit, or to two where the first is
a one, so that rounding never changes it by more than a quarter.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

__all__ = ["format_confidence", "format_limit", "format_number", "format_value", "parse_value"]

# Wide enough for any pair of doubles: 1e308 with an error of 1e-308 is silly, but must not fail.
_CONTEXT = Context(prec=700, rounding=ROUND_HALF_EVEN)
_SCIENTIFIC_FROM = 6
_SCIENTIFIC_BELOW = -4
_PATTERN = re.compile(r"\s*([-+]?)(\d+)(?:\.(\d+))?(?:\((\d+)\))?(?:e([-+]?\d+))?\s*")


def format_value(value: float, sigma: float | None) -> str:
    """Return a value with its standard error in brackets.

    Parameters
    ----------
    value : float
        Best estimate.
    sigma : float or None
        Standard error in the same unit; None when there is none, which shows the value alone.

    Returns
    -------
    str
        ``191.10(3)``, ``-0.20(15)``, ``1230(30)``, ``1.23(4)e-07``; ``192`` without an error, ``192(0)`` for an exact
        value.

    Raises
    ------
    ValueError
        If a number is not finite or sigma is negative.
    """
    if sigma is None:
        return format_number(value)
    if not (math.isfinite(value) and math.isfinite(sigma)):
        raise ValueError(f"cannot format {value} with sigma {sigma}: not finite")
    if sigma < 0:
        raise ValueError(f"cannot format a negative sigma {sigma}")
    if sigma == 0:
        mantissa, mark, exponent = format_number(value).partition("e")
        return f"{mantissa}(0){mark}{exponent}"
    place, error = _round_error(Decimal(repr(float(sigma))))
    best = _quantize(Decimal(repr(float(value))), place)
    exponent_of_ten = max(error.adjusted(), best.adjusted() if best else error.adjusted())
    if _SCIENTIFIC_BELOW <= exponent_of_ten < _SCIENTIFIC_FROM:
        return _bracketed(best, error, place)
    shift = -exponent_of_ten
    scaled = _bracketed(best.scaleb(shift, _CONTEXT), error.scaleb(shift, _CONTEXT), place + shift)
    return f"{scaled}e{exponent_of_ten:+03d}"


def _round_error(sigma: Decimal) -> tuple[int, Decimal]:
    """Return the decimal place that the error is rounded to, and the rounded error."""
    leading = sigma.scaleb(-sigma.adjusted(), _CONTEXT)
    digits = 2 if leading < Decimal("1.95") else 1
    place = sigma.adjusted() - digits + 1
    return place, _quantize(sigma, place, ROUND_HALF_UP)


def _quantize(number: Decimal, place: int, rounding: str | None = None) -> Decimal:
    rounded = number.quantize(Decimal(1).scaleb(place), rounding=rounding, context=_CONTEXT)
    return abs(rounded) if rounded == 0 else rounded


def _bracketed(best: Decimal, error: Decimal, place: int) -> str:
    decimals = max(-place, 0)
    digits = int(error.scaleb(decimals, _CONTEXT))
    return f"{best:.{decimals}f}({digits})"


def format_number(value: float) -> str:
    """Return a number without an error, to eight significant digits.

    Parameters
    ----------
    value : float
        Any finite number.

    Raises
    ------
    ValueError
        If it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"cannot format {value}: not finite")
    return f"{value + 0.0:.8g}"


def format_confidence(confidence: float) -> str:
    """Return a confidence in percent: ``95 %``, ``68.3 %``."""
    return f"{100 * confidence:.3g} %"


def format_limit(
    *,
    upper_limit: float | None = None,
    limit_confidence: float | None = None,
    low: float | None = None,
    high: float | None = None,
    confidence: float | None = None,
) -> str:
    """Return a limit or an interval with its confidence.

    Parameters
    ----------
    upper_limit, limit_confidence : float, optional
        The value lies below `upper_limit`, at this confidence (0 to 1). Shown first, rounded away from zero to two
        digits so that the limit still holds.
    low, high, confidence : float, optional
        Ends of an interval, either of which may be open.

    Returns
    -------
    str
        ``< 0.018 (95 %)``, ``10 to 20 (68 %)``, ``> 50 (95 %)``; a dash when nothing is given.
    """
    if upper_limit is not None:
        return f"< {_round_up(upper_limit)}{_in_brackets(limit_confidence)}"
    if low is not None and high is not None:
        return f"{low:.4g} to {high:.4g}{_in_brackets(confidence)}"
    if low is not None:
        return f"> {low:.4g}{_in_brackets(confidence)}"
    if high is not None:
        return f"< {high:.4g}{_in_brackets(confidence)}"
    return "-"


def _in_brackets(confidence: float | None) -> str:
    return "" if confidence is None else f" ({format_confidence(confidence)})"


def _round_up(limit: float) -> str:
    number = Decimal(repr(float(limit)))
    if number == 0:
        return "0"
    rounded = _quantize(number, number.adjusted() - 1, ROUND_CEILING)
    if _SCIENTIFIC_BELOW <= rounded.adjusted() < _SCIENTIFIC_FROM:
        return f"{rounded:f}"
    return f"{rounded.scaleb(-rounded.adjusted(), _CONTEXT):f}e{rounded.adjusted():+03d}"


def parse_value(text: str) -> tuple[float, float | None]:
    """Return value and standard error from what `format_value` wrote.

    Parameters
    ----------
    text : str
        ``1.234(5)`` and its kin.

    Returns
    -------
    (float, float or None)
        Value and sigma; None where the text has no brackets.

    Raises
    ------
    ValueError
        If the text is not of this form.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form 1.234(5)")
    sign, whole, decimals, digits, exponent = match.groups()
    shift = int(exponent or 0)
    fraction = f".{decimals}" if decimals else ""
    value = float(f"{sign}{whole}{fraction}e{shift}")
    sigma = None if digits is None else float(f"{digits}e{shift - len(decimals or '')}")
    return value, sigma
