"""Bad XPS input, end to end: one clear error each, a failed record, a place in quarantine, and the rest done.

All faulty files are series of one recipe beside a sound one, as in a real batch; so one run shows at once that each
fault stays with its own series.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layerscope.spectra.xps.recipe import XpsRecipe
from layerscope.spectra.xps.recipecheck import recipe_problems

from layerscope.errors import RecipeError
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.outcome import RunSummary

Fault = Callable[[bytes], bytes]

MODEL = """
[charge]
kind = "line"
region = "C 1s"
species = "C-C/C-H"
energy_eV = 284.8

[[regions]]
region = "B 1s"
[[regions.components]]
species = "B-O-B"

[[regions]]
region = "C 1s"
[[regions.components]]
species = "C-C/C-H"
[[regions.components]]
species = "C-O"
[[regions.components]]
species = "CO3"

[quantification]
"""


def recipe_text(names: dict[str, str], model: str = MODEL) -> str:
    """Return a recipe with a series for each name and the lines of its table."""
    text = 'layerscope = 1\npipeline = "xps"\nsample = "S"\n'
    for name, lines in names.items():
        text += f'[[series]]\nname = "{name}"\nsample = "{name}"\n{lines}\n'
    return text + model


# --- VAMAS and PHI ----------------------------------------------------------------------------------------------------


def ordinates(lines: list[str], block: int) -> tuple[int, int]:
    """Return the first line of a block's ordinate values, and how many there are."""
    at = [i for i, line in enumerate(lines) if line == "pulse counting"][block]
    return at + 11, int(lines[at + 8])


def change(block: int, value: Callable[[list[str]], list[str]]) -> Fault:
    """Return a fault that changes the ordinate values of a block."""

    def fault(data: bytes) -> bytes:
        lines = data.decode().split("\r\n")
        first, count = ordinates(lines, block)
        lines[first : first + count] = value(lines[first : first + count])
        return "\r\n".join(lines).encode()

    return fault


def cut(block: int) -> Fault:
    """Return a fault that ends the file in the middle of a block."""

    def fault(data: bytes) -> bytes:
        lines = data.decode().split("\r\n")
        first, count = ordinates(lines, block)
        return "\r\n".join(lines[: first + count // 2]).encode()

    return fault


def one_point(data: bytes) -> bytes:
    lines = data.decode().split("\r\n")
    first, count = ordinates(lines, 2)
    lines[first - 3] = "1"
    del lines[first + 1 : first + count]
    return "\r\n".join(lines).encode()


def other_axis(data: bytes) -> bytes:
    lines = data.decode().split("\r\n")
    first, _ = ordinates(lines, 2)
    axis = max(i for i in range(first) if lines[i] == "Kinetic Energy")
    lines[axis + 2] = str(float(lines[axis + 2]) + 1.03)
    return "\r\n".join(lines).encode()


def all_of(*faults: Fault) -> Fault:
    def fault(data: bytes) -> bytes:
        for each in faults:
            data = each(data)
        return data

    return fault


def zeros(values: list[str]) -> list[str]:
    return ["0"] * len(values)


def flat(values: list[str]) -> list[str]:
    return [str(int(n)) for n in np.random.default_rng(4).poisson(400.0, len(values))]


def many(value: str) -> Callable[[list[str]], list[str]]:
    """Return what puts a value in more places than are masked."""
    return lambda values: [value] * 20 + values[20:]


#: fault, kind of the error, what its text must tell
VAMAS_FAULTS: dict[str, tuple[Fault, str, str]] = {
    "empty": (lambda d: b"", "reader", r"the file is empty"),
    "magic": (lambda d: b"VAMOS" + d[5:], "reader", r"no known format .*vamas"),
    "noise": (lambda d: random.Random(7).randbytes(4000), "reader", r"no known format"),
    "NaN": (change(2, many("NaN")), "data", r"level 1 of 'B 1s' .*NaN"),
    "NaN in the reference": (change(3, many("NaN")), "data", r"level 1 of 'C 1s' .*NaN"),
    "negative": (change(2, many("-5")), "data", r"level 1 of 'B 1s' .*negative counts"),
    "one point": (one_point, "data", r"level 1 of 'B 1s' has only 1 point"),
    "other axis": (other_axis, "data", r"level 1 of 'B 1s' .*185\.47 to 196\.47 eV, the series .*left out"),
    "too large": (change(2, lambda v: ["1e300", *v[1:]]), "data", r"level 1 of 'B 1s' has counts of up to 1e\+300"),
    "reference gone": (all_of(*(change(b, zeros) for b in (1, 3, 5))), "data", r"counts of level 0 of 'C 1s' are zero"),
    "reference not seen": (
        all_of(*(change(b, flat) for b in (1, 3, 5))),
        "data",
        r"'C-C/C-H' is not detected in 'C 1s'",
    ),
    **{
        f"cut in block {b + 1}": (cut(b), "reader", rf"block {b + 1} of 6 .*the file ends after \d+ more")
        for b in range(6)
    },
}


@pytest.fixture(scope="module")
def make_vamas(reference_data: Path) -> Iterator[Callable[..., bytes]]:
    """Return a maker of small depth profiles: B 1s and C 1s at three levels, with the generator of the cases."""
    sys.path.insert(0, str(reference_data))
    from _generate.li_rich import level
    from _generate.vamas import VamasOptions, write_vamas

    def make(regions: tuple[str, ...] = ("B 1s", "C 1s"), etch_time: bool = True) -> bytes:
        levels = [level(k, 10.0 * (k + 1), shift, True) for k, shift in enumerate((0.05, -0.08, 0.10))]
        levels = [replace(x, regions=tuple(r for r in x.regions if r.window.region in regions)) for x in levels]
        data: bytes = write_vamas(levels, VamasOptions("sample", "experiment", ("simulated",), etch_time=etch_time))
        return data

    yield make
    sys.path.remove(str(reference_data))


@dataclass
class Batch:
    """A run over many faulty series."""

    summary: RunSummary
    quarantine: list[dict[str, Any]]

    def failed(self, series: str) -> list[ResultRecord]:
        return [r for r in self.summary.failed if r.state.sample == series]

    def good(self, series: str) -> list[ResultRecord]:
        return [r for r in self.summary.run.records if r.state.sample == series and r.status != "failed"]


def run(folder: Path, text: str, **options: Any) -> Batch:
    recipe = folder / "recipe.toml"
    recipe.write_text(text, encoding="utf-8")
    summary = execute(recipe, folder / "out", figures=False, **options)
    quarantine = json.loads((folder / "out" / "quarantine.json").read_text(encoding="utf-8"))["quarantined"]
    return Batch(summary, quarantine)


@pytest.fixture(scope="module")
def vamas(
    make_vamas: Callable[..., bytes], reference_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Batch, dict[str, tuple[str, str]]]:
    """Run all VAMAS and PHI faults beside a sound file; also return the kind and text expected of each."""
    folder = tmp_path_factory.mktemp("vamas")
    sound = make_vamas()
    expected = {name: (kind, text) for name, (_, kind, text) in VAMAS_FAULTS.items()}
    files = {"sound": sound, **{name: fault(sound) for name, (fault, _, _) in VAMAS_FAULTS.items()}}
    files["no etch times"] = make_vamas(etch_time=False)
    expected["no etch times"] = ("data", r"no etch time for level 0, 1, 2 of 'C 1s' \(give etch_times_s")
    files["no reference"] = make_vamas(regions=("B 1s",))
    expected["no reference"] = ("data", r"there is no region 'C 1s' \(it holds B 1s; .*charge reference")
    files["no boron"] = make_vamas(regions=("C 1s",))
    expected["no boron"] = ("data", r"there is no region 'B 1s' \(it holds C 1s\)")
    phi = (reference_data / "xps_b1s_lco_cei" / "lco_100_cycles.pro").read_bytes()
    header = phi.index(b"EOFH")
    for name, end in {"PHI header": header - 50, "PHI table": header + 60, "PHI data": len(phi) - 100}.items():
        files[name] = phi[:end]
        expected[name] = ("reader", r".{15}")
    lines = {}
    for number, (name, data) in enumerate(files.items()):
        file = f"f{number}.{'pro' if name.startswith('PHI') else 'vms'}"
        (folder / file).write_bytes(data)
        lines[name] = f'files = ["{file}"]'
    lines["missing"] = 'files = ["nowhere.vms"]'
    expected["missing"] = ("reader", r"nowhere\.vms: there is no such file")
    outside = tmp_path_factory.mktemp("outside") / "secret.vms"
    outside.write_bytes(sound)
    (folder / "link.vms").symlink_to(outside)
    lines["link"] = 'files = ["link.vms"]'
    expected["link"] = ("recipe", r"link\.vms: the path leads out of the recipe's folder")
    lines["times"] = 'files = ["f0.vms"]\netch_times_s = [0, 10]'
    expected["times"] = ("data", r"the recipe gives 2 times for 3 levels")
    lines["falling times"] = 'files = ["f0.vms"]\netch_times_s = [0, 20, 10]'
    expected["falling times"] = ("data", r"the etch times do not rise")
    lines["sample"] = 'files = ["f0.vms"]\nselect_sample = "other"'
    expected["sample"] = ("data", r"no region 'C 1s' of sample 'other'")
    lines["format"] = 'files = ["f0.vms"]\nformat = "phi"'
    expected["format"] = ("reader", r"does not begin with SOFH")
    return run(folder, recipe_text(lines)), expected


def check_problem(record: ResultRecord, kind: str, text: str) -> None:
    """Check that a failed record tells a person what is wrong with which file."""
    problem = record.problem
    assert problem is not None
    assert problem.kind == kind
    said = f"{problem.source}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
    assert re.search(text, said), said
    assert problem.source, said
    assert "Error" not in said, said  # no name of an exception
    assert "Traceback" not in said, said
    assert len(problem.message) < 300, said


VAMAS_NAMES = [
    *VAMAS_FAULTS,
    *("no etch times", "no reference", "no boron", "PHI header", "PHI table", "PHI data", "missing", "link"),
    *("times", "falling times", "sample", "format"),
]


@pytest.mark.parametrize("name", VAMAS_NAMES)
def test_faulty_series_gives_one_failed_record_that_names_file_and_reason(
    vamas: tuple[Batch, dict[str, tuple[str, str]]], name: str
) -> None:
    batch, expected = vamas
    failed = batch.failed(name)
    assert len(failed) == 1, [str(r.problem) for r in failed]
    check_problem(failed[0], *expected[name])
    assert [q for q in batch.quarantine if q["record_id"] == failed[0].record_id]


def test_sound_series_beside_faulty_ones_is_done_and_the_exit_code_says_quarantined(
    vamas: tuple[Batch, dict[str, tuple[str, str]]], make_vamas: Callable[..., bytes], tmp_path: Path
) -> None:
    batch, expected = vamas
    assert batch.summary.exit_code == 2
    assert set(expected) == set(VAMAS_NAMES)
    assert len(batch.quarantine) == len(batch.summary.failed) == len(expected)
    (tmp_path / "f0.vms").write_bytes(make_vamas())
    alone = run(tmp_path, recipe_text({"sound": 'files = ["f0.vms"]'}))
    assert alone.summary.exit_code == 0
    # the same records with the same numbers (array files are named after the folder, so whole records differ)
    numbers = [{r.record_id: r.quantities for r in b.good("sound")} for b in (alone, batch)]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) >= 12
    assert not alone.quarantine


def test_what_does_not_depend_on_the_fault_is_still_evaluated(
    vamas: tuple[Batch, dict[str, tuple[str, str]]],
) -> None:
    batch, _ = vamas
    # a level with an axis of its own: the two other levels of B 1s, all of C 1s, the composition where both are there
    methods = [(r.method, r.state.region, r.state.etch_time_s) for r in batch.good("other axis")]
    assert [t for m, region, t in methods if (m, region) == ("xps.region", "B 1s")] == [10.0, 30.0]
    assert len([1 for m, region, _ in methods if (m, region) == ("xps.region", "C 1s")]) == 3
    assert [t for m, _, t in methods if m == "xps.composition"] == [10.0, 30.0]
    series = next(r for r in batch.good("other axis") if r.method == "xps.series" and r.state.region == "B 1s")
    assert series.status == "warning"
    assert series.quality is not None
    assert "LEVELS_LEFT_OUT:1" in series.quality.flags
    # a file without boron: carbon is evaluated, atomic fractions of one element are not
    assert {r.state.region for r in batch.good("no boron")} == {"C 1s"}
    # without an energy scale nothing is said at all
    assert not batch.good("no reference")
    assert not batch.good("reference gone")
    assert not batch.good("reference not seen")


def test_level_that_is_left_out_does_not_rename_the_others(vamas: tuple[Batch, dict[str, tuple[str, str]]]) -> None:
    batch, _ = vamas
    selectors = {
        r.state.etch_time_s: r.inputs[0].selector
        for r in batch.good("other axis")
        if r.method == "xps.region" and r.state.region == "B 1s"
    }
    assert selectors == {10.0: "B 1s@level=0", 30.0: "B 1s@level=2"}


# --- columns ----------------------------------------------------------------------------------------------------------

CSV_MODEL = """
[[regions]]
region = "C 1s"
[[regions.components]]
species = "C-C/C-H"
"""


def csv(counts: np.ndarray, energy: np.ndarray, header: str = "energy,counts") -> str:
    return header + "\n" + "".join(f"{e:.2f},{c:g}\n" for e, c in zip(energy, counts, strict=True))


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Batch, dict[str, tuple[str, str]]]:
    """Run faults of plain columns."""
    folder = tmp_path_factory.mktemp("columns")
    energy = np.round(np.arange(280.0, 290.0, 0.1), 2)
    expected_counts = 500.0 + 4000.0 * np.exp(-4 * np.log(2) * ((energy - 284.8) / 1.3) ** 2)
    counts = np.random.default_rng(3).poisson(expected_counts).astype(float)
    bad = counts.copy()
    bad[10:20] = np.nan
    negative = counts.copy()
    negative[10:20] = -3
    sound = csv(counts, energy)
    rows = sound.splitlines(keepends=True)
    twice = energy.copy()
    twice[11] = twice[10]
    plain = 'region = "C 1s", energy = "energy", counts = "counts"'
    texts: dict[str, tuple[str, str]] = {
        "sound": (sound, plain),
        "falling": (csv(counts[::-1], energy[::-1]), plain),
        "NaN": (csv(bad, energy), plain),
        "negative": (csv(negative, energy), plain),
        "one point": ("".join(rows[:2]), plain),
        "energy twice": (csv(counts, twice), plain),
        "no column": (sound, plain.replace('"counts"', '"signal"')),
        "column number": (sound, 'region = "C 1s", counts = 7'),
        "unit in header": (
            csv(counts, energy, "energy,intensity (cps)"),
            plain.replace('"counts"', '"intensity (cps)"'),
        ),
        "rate without time": (sound, plain + ', unit = "counts/s"'),
        "words": (sound.replace(rows[30], "see logbook\n"), plain),
        "short row": (sound.replace(rows[30], "283.0\n"), plain),
        "points": ("".join(rows[:60]), plain + ", points = 100"),
        "keV": (csv(counts, energy, "energy keV,counts"), plain.replace('"energy"', '"energy keV"')),
        "kinetic without photon": (sound, plain + ', kind = "kinetic"'),
    }
    expected = {
        "NaN": ("data", r"10 counts that are NaN"),
        "negative": ("data", r"negative counts"),
        "one point": ("data", r"only 1 point"),
        "energy twice": ("data", r"do not rise strictly"),
        "no column": ("reader", r"column 'signal' is missing \(columns: energy, counts\)"),
        "column number": ("reader", r"there is no column 7"),
        "unit in header": ("reader", r"\(cps\)', the column map says counts"),
        "rate without time": ("data", r"counts per second without dwell time .*series\.exposure"),
        "words": ("reader", r"line 31 is not a row of numbers: 'see logbook'"),
        "short row": ("reader", r"line 31"),
        "points": ("reader", r"59 rows are there, 100 were expected"),
        "keV": ("reader", r"'energy keV' is not in eV"),
        "kinetic without photon": ("reader", r"kinetic energies need excitation_energy_eV"),
        "noise": ("reader", r"not text|no row"),
        "empty": ("reader", r"empty"),
        "unequal pair": ("data", r"level 1 of 'C 1s' has 90 points .*the series 100"),
    }
    lines = {}
    for number, (name, (text, mapping)) in enumerate(texts.items()):
        (folder / f"c{number}.csv").write_text(text, encoding="utf-8")
        lines[name] = f'files = ["c{number}.csv"]\ncolumns = {{ {mapping} }}'
    (folder / "noise.csv").write_bytes(random.Random(8).randbytes(3000))
    lines["noise"] = f'files = ["noise.csv"]\ncolumns = {{ {plain} }}'
    (folder / "empty.csv").write_bytes(b"")
    lines["empty"] = f'files = ["empty.csv"]\ncolumns = {{ {plain} }}'
    (folder / "short.csv").write_text("".join(rows[:91]), encoding="utf-8")
    pair = f"times_s = [0, 1]\ncolumns = {{ {plain} }}"
    lines["unequal pair"] = f'files = ["c0.csv", "short.csv"]\n{pair}'
    return run(folder, recipe_text(lines, CSV_MODEL)), expected


CSV_NAMES = (
    *("NaN", "negative", "one point", "energy twice", "no column", "column number", "unit in header"),
    *("rate without time", "words", "short row", "points", "keV", "kinetic without photon", "noise", "empty"),
    "unequal pair",
)


@pytest.mark.parametrize("name", CSV_NAMES)
def test_faulty_columns_give_one_failed_record_that_names_file_and_reason(
    columns: tuple[Batch, dict[str, tuple[str, str]]], name: str
) -> None:
    batch, expected = columns
    assert set(expected) == set(CSV_NAMES)
    failed = batch.failed(name)
    assert len(failed) == 1, [str(r.problem) for r in failed]
    check_problem(failed[0], *expected[name])


def test_energies_that_fall_are_as_good_as_those_that_rise(columns: tuple[Batch, dict[str, tuple[str, str]]]) -> None:
    batch, _ = columns
    values = [
        {(q.name, q.component): (q.value, q.sigma) for r in batch.good(name) for q in r.quantities}
        for name in ("sound", "falling")
    ]
    assert values[0] == values[1]
    assert values[0]


# --- recipes ----------------------------------------------------------------------------------------------------------


def with_line(after: str, line: str) -> tuple[str, str]:
    return after, f"{after}\n{line}"


B_O_B = 'species = "B-O-B"'
C_O = 'species = "C-O"'
CO3 = 'species = "CO3"'
BAD_FILE = 'files = ["f0.vms"]'
RECIPE_FAULTS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "unknown species": ([(B_O_B, 'species = "B-O-P"')], r"regions\[0\] \(B 1s\): unknown species 'B-O-P'.*'B-O-B'"),
    "unknown region": ([('region = "B 1s"', 'region = "B 2s"')], r"unknown species 'B-O-B' for B 2s"),
    "unknown key": (
        [with_line("[quantification]", 'rsf_sett = "x"')],
        r"rsf_sett: unknown key, did you mean 'rsf_",
    ),
    "unknown component key": (
        [with_line(B_O_B, 'shap = "voigt"')],
        r"^recipe\.toml: regions\[0\]\.components\[0\]\.shap: unknown key, did you mean 'shape'\?$",
    ),
    "parent path": ([(BAD_FILE, 'files = ["../f0.vms"]')], r"files\[0\]: .*'\.\.' is refused.*--data DIR$"),
    "absolute path": ([(BAD_FILE, 'files = ["/etc/passwd"]')], r"files\[0\]: a path is relative"),
    "unit": (
        [with_line(BAD_FILE, 'columns = { region = "B 1s", unit = "kcounts" }')],
        r"unit: 'kcounts' is not one of",
    ),
    "call": (
        [with_line(B_O_B, "parameters.fwhm = { expr = \"__import__('os').system('true')\" }")],
        r"regions\[0\]\.components\[0\]\.parameters\.fwhm: expr .*function call is not allowed",
    ),
    "attribute": (
        [with_line(B_O_B, 'parameters.fwhm = { expr = "B_O_B_fwhm.__class__" }')],
        r"parameters\.fwhm: expr .*Attribute is not allowed",
    ),
    "subscript": ([with_line(B_O_B, 'parameters.fwhm = { expr = "shift[0]" }')], r"Subscript is not allowed"),
    "lambda": ([with_line(B_O_B, 'parameters.fwhm = { expr = "(lambda: 1)()" }')], r"is not allowed"),
    "own circle": ([with_line(B_O_B, 'parameters.fwhm = { expr = "B_O_B_fwhm * 2" }')], r"form a circle: B_O_B_fwhm"),
    "circle": (
        [
            with_line(C_O, 'parameters.fwhm = { expr = "CO3_fwhm" }'),
            with_line(CO3, 'parameters.fwhm = { expr = "C_O_fwhm" }'),
        ],
        r"regions\[1\] \(C 1s\): constraints form a circle: C_O_fwhm -> CO3_fwhm -> C_O_fwhm",
    ),
    "like circle": (
        [with_line(C_O, 'like = "CO3"'), with_line(CO3, 'like = "C-O"')],
        r"constraints form a circle",
    ),
    "unknown parameter": (
        [with_line(B_O_B, 'parameters.fwhm = { expr = "C_fwhm * 2" }')],
        r"uses 'C_fwhm', which is no parameter \(parameters are B_O_B_center",
    ),
    "infinite": ([with_line(B_O_B, 'parameters.fwhm = { expr = "9**9**9**9" }')], r"(no finite value|not finite)"),
    "division": ([with_line(B_O_B, 'parameters.fwhm = { expr = "1 / 0" }')], r"(no finite value|not finite)"),
    "optional": (
        [with_line(C_O, "optional = true"), with_line(CO3, 'parameters.fwhm = { expr = "C_O_fwhm" }')],
        r"'C-O' is optional, but without it: the constraint of 'CO3_fwhm' uses 'C_O_fwhm'",
    ),
    "like nothing": ([with_line(C_O, 'like = "X"')], r"'C-O' is to be like 'X'"),
    "like other shape": ([with_line(C_O, 'like = "CO3"\nshape = "voigt"')], r"their shapes differ"),
    "no doublet": ([with_line(C_O, "doublet = true")], r"no splitting and ratio for 'C-O'"),
    "wrong parameter": ([with_line(C_O, "parameters.width = 1")], r"has no parameter 'width' \(it has center, fwhm"),
    "custom": ([(C_O, 'species = "C-X"\ncustom = true')], r"custom species 'C-X' needs position_eV"),
    "bounds": ([with_line(C_O, "parameters.fwhm = { min = 2, max = 1 }")], r"min 2\.0 is above max 1\.0"),
    "outside": ([with_line(C_O, "parameters.fwhm = { value = 5, max = 2 }")], r"the value 5\.0 lies above max 2\.0"),
    "below": ([with_line(C_O, "parameters.fwhm = { value = 1, min = 2 }")], r"the value 1\.0 lies below min 2\.0"),
    "negative width": (
        [with_line(C_O, "parameters.fwhm = { value = -1, min = -2, max = -0.5 }")],
        r"the fwhm of 'C-O' must be above zero",
    ),
    "RSF set": ([with_line("[quantification]", 'rsf_set = "scofeld"')], r"quantification\.rsf_set: unknown RSF set"),
    "RSF line": ([with_line('region = "B 1s"', 'rsf_line = "Qx 9z"')], r"regions\[0\]\.rsf_line: .*'Qx 9z'"),
    "one element": ([with_line('region = "B 1s"', "quantify = false")], r"atomic fractions need two regions"),
    "charge species": ([('species = "C-C/C-H"\nenergy', 'species = "C"\nenergy')], r"'C 1s' has no component 'C'"),
    "two times": (
        [with_line(BAD_FILE, "etch_times_s = [0, 1, 2]\ntimes_s = [0, 1, 2]")],
        r"angles .*: give one",
    ),
    "confidence": ([("[charge]", "[charge]\nsigma_eV = -1")], r"charge\.sigma_eV: .*greater than or equal to 0"),
    "law": (
        [("[quantification]", '[mn_valence]\nregion = "C 1s"\nlow = "C-O"\nhigh = "CO3"\nlaw = "galakov"')],
        r"mn_valence\.law: unknown Mn 3s law 'galakov' \(known: galakhov",
    ),
}


def faulty_recipe(name: str) -> str:
    text = recipe_text({"sound": BAD_FILE})
    for old, new in RECIPE_FAULTS[name][0]:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("name", RECIPE_FAULTS)
def test_faulty_recipe_is_refused_before_any_work_with_its_key_and_the_reason(
    name: str, make_vamas: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "f0.vms").write_bytes(make_vamas())
    with pytest.raises(RecipeError, match=RECIPE_FAULTS[name][1]) as caught:
        run(tmp_path, faulty_recipe(name))
    assert not (tmp_path / "out").exists()
    if name != "unknown region":  # one thing is wrong, one thing is said
        assert not re.search(r"; (series|regions|charge|quantification)\b", str(caught.value))


def test_recipe_with_an_unknown_species_fails_alone_in_a_study(
    make_vamas: Callable[..., bytes], tmp_path: Path
) -> None:
    for name, text in {
        "first": faulty_recipe("unknown species"),
        "second": faulty_recipe("unknown key"),
        "third": recipe_text({"sound": BAD_FILE}),
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "f0.vms").write_bytes(make_vamas())
        (tmp_path / name / "recipe.toml").write_text(text, encoding="utf-8")
    study = tmp_path / "study.toml"
    study.write_text('layerscope = 1\nrecipes = ["first/recipe.toml", "second/recipe.toml", "third/recipe.toml"]\n')
    summary = execute(study, tmp_path / "out", figures=False)
    assert summary.exit_code == 2
    problems = {str(r.problem.source): r.problem.message for r in summary.failed if r.problem}
    assert set(problems) == {"first/recipe.toml", "second/recipe.toml"}
    assert "unknown species 'B-O-P'" in problems["first/recipe.toml"]
    assert "rsf_sett" in problems["second/recipe.toml"]
    quarantine = json.loads((tmp_path / "out" / "quarantine.json").read_text(encoding="utf-8"))["quarantined"]
    assert len(quarantine) == 2
    done = [r for r in summary.run.records if r.status != "failed"]
    assert {r.method for r in done} >= {"xps.region", "xps.series", "xps.composition"}


def test_range_without_data_says_what_was_measured(make_vamas: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "f0.vms").write_bytes(make_vamas())
    text = recipe_text({"sound": BAD_FILE}).replace('region = "B 1s"', 'region = "B 1s"\nrange_eV = [100, 110]', 1)
    batch = run(tmp_path, text)
    assert batch.summary.exit_code == 2
    assert len(batch.summary.failed) == 1
    check_problem(batch.summary.failed[0], "data", r"0 points in the range .*measured: 186\.5 to 197\.5 eV")


@pytest.mark.parametrize("text", ["", "not = = toml", "\x00", "layerscope = 1\n", "recipes = 3\npipeline = 4\n"])
def test_no_recipe_at_all_is_a_recipe_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        run(tmp_path, text)


def test_random_damage_to_a_file_never_ends_in_an_internal_error(
    make_vamas: Callable[..., bytes], tmp_path: Path
) -> None:
    sound = make_vamas(regions=("C 1s",))
    text = 'layerscope = 1\npipeline = "xps"\nsample = "S"\n'
    generator = random.Random(11)
    for number in range(40):
        data = bytearray(sound)
        for _ in range(generator.choice((1, 3, 10))):
            data[generator.randrange(len(data))] = generator.randrange(256)
        if generator.random() < 0.3:
            del data[generator.randrange(len(data)) :]
        (tmp_path / f"d{number}.vms").write_bytes(data)
        text += f'[[series]]\nname = "{number}"\nsample = "{number}"\nfiles = ["d{number}.vms"]\n'
    text += '[[regions]]\nregion = "C 1s"\nshift = "none"\n[[regions.components]]\nspecies = "C-C/C-H"\n'
    batch = run(tmp_path, text)
    assert batch.summary.exit_code == 2
    for record in batch.summary.failed:
        assert record.problem is not None
        assert record.problem.kind != "internal", record.problem
    done = {r.state.sample for r in batch.summary.run.records}
    assert done == {str(n) for n in range(40)}


def test_factor_given_in_the_recipe_stands_in_for_one_that_the_set_lacks() -> None:
    text = recipe_text({"sound": BAD_FILE}).replace('region = "B 1s"', 'region = "B 1s"\nrsf_line = "Qx 9z"', 1)
    text = text.replace(
        "[quantification]", '[quantification]\nfactors = { "Qx 9z" = 0.5 }\nfactors_source = "measured"'
    )
    assert recipe_problems(XpsRecipe.model_validate(tomllib.loads(text))) == []
