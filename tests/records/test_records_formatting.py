from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layerscope.records import format_limit, format_value, parse_value

finite = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)
positive = st.floats(min_value=1e-9, max_value=1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "sigma", "text"),
    [
        (1.2344, 0.005, "1.234(5)"),
        (191.1, 0.03, "191.10(3)"),
        (191.1, 0.0132, "191.100(13)"),
        (12.3, 1.2, "12.3(12)"),
        (-0.2, 0.15, "-0.20(15)"),
        (0.99996, 0.0004, "1.0000(4)"),
        (9.99, 0.096, "9.99(10)"),
        (1234, 25, "1230(30)"),
        (3.0, 25.0, "0(30)"),
        (123456.0, 1234.0, "123500(1200)"),
        (123456789.0, 1234.0, "1.234568(12)e+08"),
        (1.234e-7, 3e-9, "1.23(3)e-07"),
        (5.0, 1e8, "0.0(10)e+08"),
        (-0.004, 0.03, "0.00(3)"),
        (192.0, 0.0, "192(0)"),
        (1.5e-9, 0.0, "1.5(0)e-09"),
        (192.0, None, "192"),
        (284.8, None, "284.8"),
        (-0.0, None, "0"),
    ],
)
def test_a_value_is_written_with_its_error_in_the_last_digits(value: float, sigma: float | None, text: str) -> None:
    assert format_value(value, sigma) == text


@given(finite, positive)
@example(0.0, 1e-9)
@example(1e12, 1e-9)
@example(-1e-12, 1e9)
def test_reading_a_written_value_gives_it_back_to_the_rounding_of_its_error(value: float, sigma: float) -> None:
    best, error = parse_value(format_value(value, sigma))
    assert error is not None
    assert error == pytest.approx(sigma, rel=0.26)
    # the value is rounded at the last digit of the error, so it moves by at most half of that digit
    assert abs(Decimal(best) - Decimal(value)) <= Decimal(0.5 * error) + Decimal(abs(value)) * Decimal("1e-15")


@given(finite, positive)
def test_writing_again_what_was_read_changes_nothing(value: float, sigma: float) -> None:
    once = format_value(value, sigma)
    best, error = parse_value(once)
    again, error_again = parse_value(format_value(best, error))
    assert again == pytest.approx(best, rel=1e-12, abs=0.05 * (error or 0))
    assert error_again == pytest.approx(error)


@given(finite, positive)
def test_the_sign_of_the_value_changes_only_the_sign_of_the_text(value: float, sigma: float) -> None:
    assert format_value(-value, sigma).lstrip("-") == format_value(value, sigma).lstrip("-")


@pytest.mark.parametrize(("value", "sigma"), [(math.nan, 1.0), (1.0, math.inf), (1.0, -0.1), (math.inf, None)])
def test_what_is_not_a_number_with_an_error_is_refused(value: float, sigma: float | None) -> None:
    with pytest.raises(ValueError, match="cannot format"):
        format_value(value, sigma)


@pytest.mark.parametrize("text", ["", "1.2(", "(5)", "1.2.3(4)", "< 0.018 (95 %)", "nan(1)"])
def test_text_of_another_form_is_not_read_as_a_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form"):
        parse_value(text)


@pytest.mark.parametrize(
    ("limit", "text"),
    [(0.0173, "< 0.018 (95 %)"), (0.018, "< 0.018 (95 %)"), (12.01, "< 13 (95 %)"), (1e-7, "< 1.0e-07 (95 %)")],
)
def test_an_upper_limit_is_rounded_up_so_that_it_still_holds(limit: float, text: str) -> None:
    assert format_limit(upper_limit=limit, limit_confidence=0.95) == text


@given(positive)
def test_a_rounded_upper_limit_is_never_below_the_true_one(limit: float) -> None:
    shown = float(format_limit(upper_limit=limit)[2:])
    assert limit <= shown <= 1.11 * limit


def test_intervals_name_their_confidence() -> None:
    assert format_limit(low=10, high=20, confidence=0.6827) == "10 to 20 (68.3 %)"
    assert format_limit(low=50, confidence=0.95) == "> 50 (95 %)"
    assert format_limit(high=5, confidence=0.95) == "< 5 (95 %)"
    assert format_limit() == "-"
