"""Words of figures: one printer of formulas and units for all techniques, numbers, colours, names of files."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.figures.words import figure_stem, legible, minus, printed, printed_unit
from layerscope.runs.columns import words_table
from layerscope.runs.table_formats import as_latex


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LiCoO2", "LiCoO₂"),
        ("simulated LiCoO2", "simulated LiCoO₂"),
        ("LRMO-Li2B4O7, 5000 counts", "LRMO–Li₂B₄O₇, 5000 counts"),
        ("B2O3", "B₂O₃"),
        ("BO4", "BO₄"),
        ("In(OH)3", "In(OH)₃"),
        ("LiNi0.8Mn0.1Co0.1O2", "LiNi$_{0.8}$Mn$_{0.1}$Co$_{0.1}$O$_{2}$"),
        ("Li1.2Mn0.54Ni0.13Co0.13O2", "Li$_{1.2}$Mn$_{0.54}$Ni$_{0.13}$Co$_{0.13}$O$_{2}$"),
        ("LixPOyFz", "Li$_{x}$PO$_{y}$F$_{z}$"),
        ("Li1-xCoO2", "Li$_{1{-}x}$CoO$_{2}$"),
        ("LaMnO3-δ", r"LaMnO$_{3{-}\delta}$"),
        ("LiCoO2_H1-3", "LiCoO₂_H1-3"),
        ("Li2CO3/LiF", "Li₂CO₃/LiF"),
    ],
)
def test_formulas_of_two_elements_or_more_are_printed_with_subscripts(name: str, text: str) -> None:
    assert printed(name) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TM-O-B", "TM–O–B"),
        ("B-O", "B–O"),
        ("B-O-B", "B–O–B"),
        ("C-C/C-H", "C–C/C–H"),
        ("C=O", "C=O"),
        ("O-C=O", "O–C=O"),
        ("sp3", "sp³"),
        ("Mn3+", "Mn³⁺"),
        ("Ni2+/Ni3+", "Ni²⁺/Ni³⁺"),
        ("PF6-", "PF₆⁻"),
        ("SO42-", "SO₄²⁻"),
        ("O3'", "O3′"),
        ("O3'/H1-3", "O3′/H1-3"),
        ("R-3m", r"$R\overline{3}m$"),
        ("LiCoO2 (R-3m)", r"LiCoO₂ ($R\overline{3}m$)"),
        ("Fd-3m", r"$Fd\overline{3}m$"),
    ],
)
def test_bonds_charges_orbitals_phases_and_space_groups_are_printed_as_the_field_does(name: str, text: str) -> None:
    assert printed(name) == text


@pytest.mark.parametrize(
    "name",
    [
        "P-LCO", "B-LCO", "B- and P-LCO", "NMC811", "SC1", "O3", "S12", "H1-3", "(003)", "Al (111)", "C2/m", "P-1",
        "Sample7", "sample12", "LiCo spinel cell", "Mn 3s low", "In 3d5/2", "Li-rich", "CB60", "frame 0, 3.793 V",
    ],
)  # fmt: skip
def test_names_of_samples_lines_and_phases_stay_as_they_are(name: str) -> None:
    assert printed(name) == name


def test_every_printed_name_is_drawn_without_a_missing_glyph(recwarn: pytest.WarningsRecorder) -> None:
    from layerscope.figures import style

    names = [
        "LiNi0.8Mn0.1Co0.1O2",
        "B2O3",
        "Mn3+",
        "PF6-",
        "SO42-",
        "sp3",
        "O3'",
        "R-3m",
        "Li1-xCoO2",
        "LaMnO3-δ",
        "5 $",
    ]
    with style("double") as sheet:
        figure = sheet.figure(60)
        for row, name in enumerate(names):
            figure.text(0.1, 0.05 + 0.08 * row, printed(name))
        figure.draw_without_rendering()
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("1", ""), ("angstrom", "Å"), ("angstrom^3", "Å³"), ("deg^2", "°²"), ("counts*eV", "counts eV"),
        ("1/angstrom", "Å⁻¹"), ("nm", "nm"), ("counts/s", "counts/s"), ("%", "%"),
    ],
)  # fmt: skip
def test_units_are_printed_with_their_signs(unit: str, text: str) -> None:
    assert printed_unit(unit) == text


def test_numbers_have_minus_signs_and_powers_of_ten():
    assert minus("-0.20(15)") == "−0.20(15)"
    assert minus("1.2(3)e-05") == "1.2(3)×10⁻⁵"


def test_small_text_is_dark_enough_and_keeps_dark_colours():
    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in ("#56B4E9", "#E69F00", "#F0E442", "#CC79A7"):
        assert 1.05 / (luminance(legible(colour)) + 0.05) >= 3.95
    assert legible("#000000") == "#000000"
    assert legible("#0072B2") == "#0072B2"


def test_figures_of_several_series_name_what_they_share_once():
    taken: set[str] = set()
    both = ["case_P-LCO_003", "case_B-LCO_003"]
    assert figure_stem(both, "fractions", taken) == "case_P-LCO_B-LCO_003_fractions"
    assert figure_stem(["case_P-LCO_003"], "fractions", taken) == "case_P-LCO_003_fractions"
    assert figure_stem(["CASE_P-LCO_003"], "fractions", taken) == "CASE_P-LCO_003_fractions_2"  # files ignore case
    assert figure_stem(["a_x", "a_x_y"], "map", taken) == "a_x_y_map"
    assert figure_stem(["one", "two"], "map", taken) == "one_two_map"


def test_names_of_figures_are_safe_for_files_and_not_too_long():
    name = figure_stem([f"{'long' * 20}_{k}/ä" for k in range(9)], "fractions", set())
    assert len(name) <= 140
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LiNi0.8Mn0.1Co0.1O2 5 %", r"LiNi$_{0.8}$Mn$_{0.1}$Co$_{0.1}$O$_{2}$ 5 \%"),
        ("B2O3", "B$_{2}$O$_{3}$"),
        ("TM-O-B & Mn3+", r"TM--O--B \& Mn$^{3+}$"),
        ("O3'", "O3$'$"),
        ("LiCoO2_H1-3", r"LiCoO$_{2}$\_H1-3"),
        ("5 $", r"5 \$"),
    ],
)
def test_tables_for_papers_print_the_same_words_in_ascii(name: str, text: str) -> None:
    body = as_latex(words_table("t", ("name",), [(name,)]))
    assert body.splitlines()[-4] == text + r" \\"
    assert body.isascii()
