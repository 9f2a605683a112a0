"""From raw scans to records: real files, and simulated ones whose numbers are known."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from layerscope.records import ResultRecord
from layerscope.runs.execute import RunSummary, execute

HEAD = 'layerscope = 1\npipeline = "sxas"\nsample = "S"\n'


def run(folder: Path, text: str, *files: Path) -> RunSummary:
    for file in files:
        shutil.copyfile(file, folder / file.name)
    (folder / "recipe.toml").write_text(HEAD + text, "utf-8")
    return execute(folder / "recipe.toml", folder / "run", figures=False)


def value(record: ResultRecord, name: str, component: str | None = None) -> float:
    (found,) = [q.value for q in record.quantities if q.name == name and component in (None, q.component)]
    assert found is not None
    return found


def names(record: ResultRecord) -> set[str]:
    return {flag.partition(":")[0] for flag in record.flags}


@pytest.mark.parametrize(("mode", "place"), [("tey", 707.74), ("tfy", 707.12)])
def test_the_iron_scan_gives_its_l3_maximum(mode: str, place: float, shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "sxas" / "236463.dat"
    found = run(tmp_path, f'mode = "{mode}"\n[[series]]\nfiles = ["236463.dat"]\n', file)
    (record,) = found.run.records
    assert value(record, "edge.position", "Fe L3 maximum") == pytest.approx(place, abs=0.006)
    assert value(record, "edge.area") > 0
    (position,) = [q for q in record.quantities if q.component == "Fe L3 maximum"]
    assert set(position.budget) == {"counting", "sampling", "energy_scale"}


def test_the_triple_of_cobalt_is_merged_without_its_sum(shared_data: Path, tmp_path: Path) -> None:
    files = [shared_data / "sxas" / f"SigScan75331-{k}.txt" for k in ("0001", "0002", "0003", "Sum")]
    listed = ", ".join(f'"{file.name}"' for file in files)
    found = run(tmp_path, f"[[series]]\nfiles = [{listed}]\n", *files)
    (record,) = found.run.records
    assert record.status == "warning"
    assert {"SUM_UNEQUAL", "DWELL_CHANGED", "GAIN_DRIFT", "NOT_NORMALISED", "YIELDS_DISAGREE"} <= names(record)
    assert value(record, "edge.position", "Co L3 maximum") == pytest.approx(779.71, abs=0.01)
    assert value(record, "edge.position", "Co L3 centroid") == pytest.approx(779.95, abs=0.05)
    assert "scans used: 0, 1, 2" in record.notes[0]


def test_normalisation_that_does_not_fit_says_so_and_one_that_fits_is_stated(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "sxas" / "htxs_scan.881"
    text = "[[series]]\nfiles = ['htxs_scan.881']\ndark = {{ tey = 7500 }}\n[normalise]\nkind = 'step'\n{}"
    (refused,) = run(tmp_path, text.format(""), file).run.records
    assert "NOT_NORMALISED:pre_eV = [515, 525] does not fit the scan from 520 to 579 eV" in refused.flags
    (record,) = run(tmp_path, text.format("pre_eV = [520, 527]\n"), file).run.records
    assert "NOT_NORMALISED" not in names(record)
    assert "NEGATIVE_EDGE" not in names(record)
    assert 0.08 < value(record, "edge.step") < 0.16
    assert any("through 520 to 527 eV" in note for note in record.notes)


def test_a_group_of_an_athena_project_is_chosen_by_name_and_agrees_with_its_step(
    shared_data: Path, tmp_path: Path
) -> None:
    file = shared_data / "sxas" / "S_CAMD.prj"
    found = run(tmp_path, "[[series]]\nfiles = ['S_CAMD.prj']\nscan = 'PdS (ox. 2-)'\n", file)
    (record,) = found.run.records
    assert any(note.endswith("the file says 0.034991: the same") for note in record.notes)


def curves(folder: Path, shifts: tuple[float, ...], height: tuple[float, ...]) -> str:
    """Write a sample a file, with a reference channel; each lies at an energy of its own."""
    x, text = np.arange(512.0, 580.0, 0.2), ""
    for k, (shift, share) in enumerate(zip(shifts, height, strict=True)):
        rng, e = np.random.default_rng(k), x - shift
        flux = 1e6 * (1 + 0.001 * (x - 512.0))
        reference = flux * (0.2 + 0.5 / (1 + np.exp(533.0 - e)) + 0.4 * np.exp(-(((e - 531.0) / 0.7) ** 2)))
        signal = flux * (0.4 + share * (1 / (1 + np.exp(536.0 - e)) + 0.5 * np.exp(-(((e - 530.5) / 0.8) ** 2))))
        columns = [y * (1 + 1e-3 * rng.normal(size=x.size)) for y in (signal, reference)]
        rows = "".join(f"{a:.2f},{b:.1f},{c:.2f},{d:.2f}\n" for a, b, c, d in zip(x, flux, *columns, strict=True))
        (folder / f"s{k}.csv").write_text("E,i0,tey,ref\n" + rows)
        text += f"[[series]]\nname = 's{k}'\nfiles = ['s{k}.csv']\n"
        text += "columns = { energy = 'E', i0 = 'i0', tey = 'tey', reference = 'ref' }\n"
    return text


def test_samples_share_an_energy_scale_and_a_damaged_one_spoils_no_other(tmp_path: Path) -> None:
    text = curves(tmp_path, (0.0, 0.4, 0.0), (0.2, 0.3, 0.2))
    (tmp_path / "s2.csv").write_text("E,i0,tey,ref\n515,1,nan,1\n")
    head = 'edge = "O K"\nbands = "none"\nnormalise = { pre_eV = [513, 525] }\nenergy = { align = "reference" }\n'
    found = run(tmp_path, head + text)
    good = sorted((r for r in found.run.records if r.status != "failed"), key=lambda record: record.state.series or "")
    (failed,) = found.failed
    assert failed.problem is not None
    assert "s2.csv" in f"{failed.problem.source}"
    assert [record.state.series for record in good] == ["s0", "s1"]
    shift = value(good[1], "instrument.zero_shift")
    assert shift == pytest.approx(-0.4, abs=0.02)
    areas = [value(record, "edge.area") for record in good]
    assert areas[1] / areas[0] == pytest.approx(1.5, rel=0.02)
    normalised = [a.load().components["normalised by area"][0] for a in found.run.arrays.values()]
    assert len(normalised) == 2
    assert np.abs(np.interp(540.0, found.run.arrays[next(iter(found.run.arrays))].axis, normalised[0])) > 0


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ('edge = "Co L3"\n', "does not hold the edge Co L3"),
        ('mode = "pfy"\n', "no partial fluorescence yield"),
    ],
)
def test_a_wrong_edge_or_signal_is_one_typed_problem(recipe: str, words: str, tmp_path: Path) -> None:
    found = run(tmp_path, recipe + curves(tmp_path, (0.0,), (0.2,)))
    (record,) = found.failed
    assert record.problem is not None
    assert record.problem.kind == "data"
    assert words in record.problem.message


def test_bands_of_two_samples_are_fitted_together_and_stated_with_the_parts_of_their_errors(tmp_path: Path) -> None:
    x = np.concatenate([np.arange(513.0, 527.0), np.arange(527.0, 552.0, 0.2), np.arange(552.0, 576.0)])
    flux, text = 1e6 * (1 + 0.001 * (x - 513.0)), 'edge = "O K"\n'
    for k, name in enumerate("ab"):
        rng = np.random.default_rng(k)
        signal = flux * edge_of_oxide(x, shift=0.12 * k, eg=1.0 - 0.2 * k) * (1 + 1e-3 * rng.normal(size=x.size))
        rows = "".join(f"{a:.2f},{b:.1f},{c:.3f}\n" for a, b, c in zip(x, flux, signal, strict=True))
        (tmp_path / f"{name}.csv").write_text("E,i0,tey\n" + rows)
        text += f"[[series]]\nname = '{name}'\nfiles = ['{name}.csv']\n"
        text += "columns = { energy = 'E', i0 = 'i0', tey = 'tey' }\n"
    found = run(tmp_path, text)
    assert not found.failed
    bands = {r.state.series: r for r in found.run.records if r.method == "sxas.bands"}
    (whole,) = [record for record in found.run.records if record.method == "sxas.edge"]
    assert set(whole.parents) == {record.record_id for record in bands.values()}
    assert sum(one.chosen for one in whole.alternatives) == 1
    (shift,) = [q for q in bands["b"].quantities if q.name == "edge.shift" and q.component == "eg"]
    assert {"counting", "background", "ensemble", "energy_scale"} <= set(shift.budget)
    assert shift.value == pytest.approx(0.12, abs=0.01)
    assert shift.sigma == pytest.approx(0.03, abs=0.01)  # that of two scans that nothing aligns
    (ratio,) = [q for q in bands["b"].quantities if q.name == "edge.share_ratio" and q.component == "eg"]
    assert ratio.value == pytest.approx(0.8, rel=0.02)
    (place,) = [q for q in bands["a"].quantities if q.name == "peak.position" and q.component == "eg"]
    assert place.competing[0].species.startswith("Co3+")
    arrays = {name: lazy.load() for name, lazy in found.run.arrays.items() if name.endswith("bands")}
    for one in arrays.values():
        np.testing.assert_allclose((one.counts - one.fit) / np.sqrt(one.variance), one.residual, atol=1e-6)
        np.testing.assert_allclose(sum(one.components.values()), one.fit, atol=1e-6)


def edge_of_oxide(x: np.ndarray, shift: float, eg: float) -> np.ndarray:
    """Return an O K edge of bands like those of the table, its eg* line at 530.5 eV."""

    def line(center: float, width: float, area: float) -> np.ndarray:
        gauss = 0.93944 / width * np.exp(-2.77259 * ((x - center) / width) ** 2)
        return np.asarray(area * (0.8 * gauss + 0.2 * 0.63662 / width / (1.0 + 4.0 * ((x - center) / width) ** 2)))

    step = 0.5 * (1.0 + np.tanh((x - 536.5) / 1.3))
    bands = ((537.1, 4.3, 4.0), (541.2, 5.2, 6.0), (545.2, 7.0, 4.0), (533.9, 1.3, 0.4), (530.5 + shift, 1.3, eg))
    return np.asarray(1.1 + step + sum(line(*band) for band in bands))


@pytest.mark.parametrize(
    ("file", "place", "species"),
    [("SigScan74369.txt", 194.34, "BO3"), ("SigScan74380.txt", 192.24, "BN (three N)")],
)
def test_pi_star_lines_of_boron_get_the_right_assignment(
    file: str, place: float, species: str, shared_data: Path, tmp_path: Path
) -> None:
    text = f"bands = 'none'\n[[series]]\nfiles = ['{file}']\n"
    (record,) = run(tmp_path, text, shared_data / "sxas" / file).run.records
    (position,) = [q for q in record.quantities if q.name == "edge.position"]
    assert position.value == pytest.approx(place, abs=0.05)
    assert [one.species for one in position.competing] == [species]


def test_a_photodiode_divides_every_sample(shared_data: Path, tmp_path: Path) -> None:
    files = [shared_data / "sxas" / name for name in ("sxr129578.asc", "sxr129577.asc")]
    text = "photodiode = 'sxr129577.asc'\nedge = 'C K'\n[[series]]\nfiles = ['sxr129578.asc']\n"
    (record,) = run(tmp_path, text, *files).run.records
    assert {item.path for item in record.inputs} == {"sxr129578.asc", "sxr129577.asc"}
    assert any("photodiode scan sxr129577.asc" in note for note in record.notes)


def boron(x: np.ndarray, n4: float) -> np.ndarray:
    """Return a B K edge of atoms with three and four neighbours, per atom."""

    def atom(bands: tuple[tuple[float, float, float], ...]) -> np.ndarray:
        lines = sum(h * np.exp(-2.7726 * ((x - c) / w) ** 2) for c, w, h in bands)
        return np.asarray(0.5 * (1.0 + np.tanh((x - 197.0) / 1.3)) + lines)

    three = atom(((194.0, 0.8, 4.0), (202.4, 4.2, 1.7), (205.6, 6.0, 0.9)))
    four = atom(((196.9, 1.4, 1.0), (199.3, 1.8, 2.6), (203.0, 5.0, 1.4)))
    return np.asarray((1 - n4) * three + n4 * four)


def test_the_share_of_four_coordinate_boron_is_stated_by_references_and_by_the_ratio(tmp_path: Path) -> None:
    x = np.concatenate([np.arange(180, 190, 0.5), np.arange(1900, 2060, 2) / 10.0, np.arange(206, 226, 0.5)])
    for k, (name, n4) in enumerate((("BO3", 0.0), ("BO4", 1.0), ("cei", 0.4))):
        flux = np.full(x.size, 1e6)
        signal = flux * (1.0 + boron(x, n4)) * (1 + 5e-4 * np.random.default_rng(k).normal(size=x.size))
        rows = "".join(f"{a:.2f},{b:.1f},{c:.3f}\n" for a, b, c in zip(x, flux, signal, strict=True))
        (tmp_path / f"{name}.csv").write_text("E,i0,tey\n" + rows)
    columns = "columns = { energy = 'E', i0 = 'i0', tey = 'tey' }\n"
    text = 'edge = "B K"\nbands = "none"\n[[series]]\nname = "100 cycles"\nfiles = ["cei.csv"]\n' + columns
    text += "[coordination]\npost_eV = [218, 225]\npre_eV = [181, 190]\n"
    for name, four in (("BO3", 0), ("BO4", 1)):
        text += f"[[coordination.reference]]\nname = '{name}'\nfour = {four}\nfiles = ['{name}.csv']\n{columns}"
    found = run(tmp_path, text)
    assert not found.failed
    (record,) = [one for one in found.run.records if one.method == "sxas.coordination"]
    assert {item.path for item in record.inputs} == {"cei.csv", "BO3.csv", "BO4.csv"}
    assert value(record, "coordination.fraction", "four-coordinate") == pytest.approx(0.4, abs=0.01)
    assert value(record, "coordination.fraction", "four-coordinate by pi* over total") == pytest.approx(0.4, abs=0.02)
    assert "SURFACE_ONLY" in names(record)
    (arrays,) = [lazy.load() for name, lazy in found.run.arrays.items() if name.endswith("coordination")]
    assert set(arrays.components) == {"BO3", "BO4"}
    np.testing.assert_allclose((arrays.counts - arrays.fit) / np.sqrt(arrays.variance), arrays.residual, atol=1e-6)


# --- bad input ------------------------------------------------------------------------------------------------------


def spoilt(kind: str) -> str:
    """Return the text of a scan with one fault."""
    x = np.arange(512.0, 580.0, 0.25)
    flux = 1e6 * (1 + 0.001 * (x - 512.0))
    signal = flux * edge_of_oxide(x, 0.0, 1.0) * (1 + 1e-3 * np.random.default_rng(1).normal(size=x.size))
    names = "E,i0,tey"
    if kind == "NaN":
        signal[100:130] = np.nan
    elif kind == "one NaN":
        signal[100] = np.nan
    elif kind == "spike":
        signal[100] *= 3
    elif kind == "zero flux":
        flux[60:] = 0.0
    elif kind == "one zero of the flux":
        flux[60] = 0.0
    elif kind == "negative flux":
        flux = -flux
    elif kind == "cut at the edge":
        x, flux, signal = (values[x < 533.0] for values in (x, flux, signal))
    elif kind == "twice":
        x, flux, signal = (np.concatenate([values, values]) for values in (x, flux, signal))
    elif kind == "two names alike":
        names = "E,i0,i0"
    elif kind == "missing column":
        names = "E,i0,drain"
    elif kind == "keV":
        x = x / 1000.0
    elif kind == "falling axis":
        x, flux, signal = x[::-1], flux[::-1], signal[::-1]
    rows = [f"{a:.4f},{b:.2f},{c:.4f}" for a, b, c in zip(x, flux, signal, strict=True)]
    if kind == "text":
        rows[9] = "514.25,1000000.0,x"
    return "\n".join([names, *rows, ""])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("NaN", "NaN or infinite"),
        ("one NaN", "left out: 537 eV (nan)"),
        ("spike", "GLITCH:537.00 eV"),
        ("zero flux", "without incident flux"),
        ("one zero of the flux", "left out: 527 eV"),
        ("negative flux", "without incident flux"),
        ("cut at the edge", "does not hold the edge O K"),
        ("twice", "do not rise strictly"),
        ("two names alike", "'tey' is missing"),
        ("missing column", "'tey' is missing"),
        ("keV", "keV"),
        ("text", "row 10 has 'x' in column 2, not a number"),
        ("falling axis", ""),
    ],
)
def test_every_kind_of_bad_input_is_one_typed_error_or_a_record_that_says_so(
    kind: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "scan.csv").write_text(spoilt(kind))
    text = 'edge = "O K"\nbands = "none"\nnormalise = { pre_eV = [513, 525] }\n[[series]]\nfiles = ["scan.csv"]\n'
    found = run(tmp_path, text + "columns = { energy = 'E', i0 = 'i0', tey = 'tey' }\n")
    (record,) = found.run.records
    if record.problem is not None:
        assert record.problem.kind in ("reader", "data")
        assert says
        assert says in f"{record.problem.message} {record.problem.hint}"
        return
    said = " ".join((*record.flags, *record.notes))
    assert says in said
    assert value(record, "edge.area") == pytest.approx(27.84, rel=0.002)
