"""Flags mean the same in every technique, and whether a record warns follows from them alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.flags import FLAGS, Flag, derived_flags, dispersion_flag, inherited_flags, name_of, status_of, threshold
from layerscope.records import FitQuality

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_all_flags_is_the_list_that_decides_on_them() -> None:
    script = ROOT / "docs" / "make_flags.py"
    made = subprocess.run([sys.executable, "-P", str(script)], capture_output=True, check=True).stdout.decode("utf-8")
    written = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    assert made == written, "run: python docs/make_flags.py > docs/flags.md"


def test_every_flag_of_the_list_is_set_somewhere_in_the_product() -> None:
    folders = (ROOT / name for name in ("layerscope", "spectra", "diffraction", "microscopy"))
    every = (path for folder in folders for path in folder.rglob("*.py"))
    files = [path for path in every if path.name != "flags.py" and path.parent.name != "flag_lists"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    made = set(re.findall(r"[A-Z][A-Z0-9_]+", text)) | {"OVERDISPERSED", "UNDERDISPERSED"}
    assert set(FLAGS) - made == set()


def test_a_suspicious_flag_warns_and_a_note_does_not() -> None:
    assert status_of(()) == "ok"
    for name, flag in FLAGS.items():
        assert status_of([f"{name}:detail"]) == ("warning" if flag.severity == "suspicious" else "ok")


@pytest.mark.parametrize("flag", ["TILTED", "at bound", "OVERDISPERSED 2.3", "AT_BOUND:", ":fwhm", ""])
def test_a_flag_that_is_not_in_the_list_is_refused_by_a_record(flag: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form|not in the list of flags"):
        FitQuality(flags=(flag,))


def test_a_package_from_outside_brings_flags_of_its_own() -> None:
    own = (Flag("X_TILTED", "the sample is tilted", "level it"),)
    assert FitQuality(flags=("X_TILTED:3 deg",)).flags == ("X_TILTED:3 deg",)  # readable where it is not installed
    assert status_of(["X_TILTED:3 deg"], own) == "warning"
    with pytest.raises(ValueError, match="not among the flags of its pipeline"):
        status_of(["X_TILTED"])
    assert inherited_flags(["X_TILTED"], own=own) == ()
    assert derived_flags({"B 1s": ["X_TILTED:3 deg"]}, own) == ("X_TILTED:B 1s 3 deg",)


def test_levels_inherit_what_concerns_the_series_and_what_is_their_own() -> None:
    series = [
        "NOT_CONVERGED",
        "AT_BOUND:B_fwhm",
        "AT_BOUND:B_area[2]",
        "CORRELATED:a~b 0.98",
        "RESIDUAL_STRUCTURE:2",
        "RESIDUAL_STRUCTURE:12",
        "RESIDUAL_STRUCTURE:all together",
        "OVERDISPERSED:2.3",
        "OVERDISPERSED:4.1[12]",
        "LEVELS_LEFT_OUT:1",
    ]
    shared = ("NOT_CONVERGED", "AT_BOUND:B_fwhm", "RESIDUAL_STRUCTURE:all together", "OVERDISPERSED:2.3")
    assert inherited_flags(series) == shared
    assert inherited_flags(series, 1) == shared
    assert inherited_flags(series, 2) == (*shared[:2], "AT_BOUND:B_area", "RESIDUAL_STRUCTURE", *shared[2:])
    assert inherited_flags(series, 12) == (*shared[:2], "RESIDUAL_STRUCTURE", *shared[2:], "OVERDISPERSED:4.1")


def test_what_was_derived_inherits_what_is_suspicious_about_its_parents() -> None:
    parents = {"B 1s": ["OVERDISPERSED:2.3", "CORRELATED:a~b 0.98"], "O 1s": ["NOT_CONVERGED"]}
    assert derived_flags(parents) == ("OVERDISPERSED:B 1s 2.3", "NOT_CONVERGED:O 1s")
    again = ("OVERDISPERSED:B 1s 2.3", "NOT_CONVERGED")
    assert derived_flags({"": again}) == again


@pytest.mark.parametrize(("freedom", "low", "high"), [(100, 0.4343, 1.5657), (10_000, 0.94344, 1.05656)])
def test_a_reduced_chi2_is_flagged_beyond_four_standard_deviations(freedom: int, low: float, high: float) -> None:
    assert dispersion_flag(high + 1e-3, freedom) == (f"OVERDISPERSED:{high + 1e-3:.3g}",)
    assert dispersion_flag(low - 1e-3, freedom) == (f"UNDERDISPERSED:{low - 1e-3:.3g}",)
    assert dispersion_flag(high - 1e-3, freedom) == dispersion_flag(low + 1e-3, freedom) == ()


def test_a_threshold_is_part_of_what_a_flag_says() -> None:
    assert threshold("CORRELATED") == 0.95
    assert "±0.95" in FLAGS["CORRELATED"].meaning
    with pytest.raises(KeyError):
        threshold("NOT_CONVERGED")
    for flag in FLAGS.values():
        assert "{" not in flag.meaning + flag.do
        assert ("{threshold}" in flag.says) == (flag.threshold is not None), flag.name
        assert name_of(flag.name) == flag.name
