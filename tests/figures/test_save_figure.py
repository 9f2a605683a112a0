"""Style sheets and deterministic saving: the page is exact, the bytes repeat, every plotted point is in the table."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from layerscope.errors import DataError, StoreError
from layerscope.figures import (
    PALETTE,
    Column,
    Curve,
    FigureProvenance,
    FigureTable,
    millimetres,
    save_figure,
    style,
    unlisted_artists,
)

PROVENANCE = FigureProvenance(
    title="B 1s of a Li-rich oxide",
    record_ids=("0f" * 32, "1e" * 32),
    inputs={"data/profile.vms": "ab" * 32},
    software={"xps": "1"},
    caption="Fraction of TM–O–B against etch time.",
)

PLOT = '''
import numpy as np
from layerscope.figures import Curve, FigureTable, style

def draw(width="single", height=60.0):
    """A figure with all that XPS figures hold: lines, markers, a band, math text, a legend, two panels."""
    x = np.linspace(188.0, 196.0, 41)
    y = 100.0 * np.exp(-((x - 192.0) ** 2)) + 10.0
    with style(width) as sheet:
        figure = sheet.figure(height)
        left, right = figure.subplots(1, 2)
        left.plot(x, y, "k.", label="data")
        left.plot(x, y - 1.0, label="fit")
        left.set(xlabel="Binding energy (eV)", ylabel="Intensity (counts)", title=r"B 1s, $\\chi^2 = 1.02$")
        left.invert_xaxis()
        left.legend()
        right.errorbar(x[::8], y[::8], yerr=2.0, fmt="o", label="TM–O–B")
        right.fill_between(x[::8], y[::8] - 2.0, y[::8] + 2.0, alpha=0.3)
        right.axhline(0.0)
        right.set(xlabel="Etch time (s)", ylabel="Fraction −1")
    table = FigureTable.from_curves([
        Curve("a", "data", x, y, "binding_energy", "eV", "intensity", "counts"),
        Curve("a", "fit", x, y - 1.0, "binding_energy", "eV", "intensity", "counts"),
        Curve("b", "TM-O-B", x[::8], y[::8], "etch_time", "s", "fraction", "1", y[::8] - 2.0, y[::8] + 2.0),
    ])
    return figure, table
'''

SAVE = (
    PLOT
    + """
import sys
from pathlib import Path
from layerscope.figures import FigureProvenance, save_figure
figure, table = draw()
save_figure(figure, Path(sys.argv[1]) / "fig", table, FigureProvenance("t", ("00",), {"a.vms": "11"}, {"xps": "1"}))
assert "matplotlib.pyplot" not in sys.modules, "pyplot keeps global state"
"""
)


@pytest.fixture
def draw():
    namespace: dict = {}
    exec(PLOT, namespace)  # noqa: S102 - the same source runs in a second process below
    return namespace["draw"]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    return header, rows


def test_five_files_are_byte_identical_in_two_processes_with_different_hash_seeds(tmp_path):
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-P", "-W", "error", "-c", SAVE, str(tmp_path / seed)],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "UTC" if seed == "1" else "Asia/Tokyo"},
        )
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    assert set(digests(tmp_path / "1")) == {"fig.pdf", "fig.svg", "fig.png", "fig.csv", "fig.json"}


def test_saving_twice_in_one_process_changes_no_byte(tmp_path, draw):
    figure, table = draw()
    paths = save_figure(figure, tmp_path / "one" / "fig", table, PROVENANCE)
    assert [path.suffix for path in paths] == [".pdf", ".svg", ".png", ".csv", ".json"]
    save_figure(figure, tmp_path / "two" / "fig", table, PROVENANCE)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_figure_is_the_same_whether_ticks_are_kept_from_one_drawing_to_the_next_or_not(tmp_path, draw, monkeypatch):
    from contextlib import nullcontext

    from layerscope.figures import save

    kept, plain = tmp_path / "kept", tmp_path / "plain"
    save_figure(*_with_stem(draw("double"), kept / "fig"))
    monkeypatch.setattr(save, "repeated_cheaply", nullcontext)
    save_figure(*_with_stem(draw("double"), plain / "fig"))
    for ending in ("svg", "png", "csv"):  # the fonts in the PDF lack what no viewer reads
        assert (kept / f"fig.{ending}").read_bytes() == (plain / f"fig.{ending}").read_bytes(), ending
    assert len((kept / "fig.pdf").read_bytes()) < len((plain / "fig.pdf").read_bytes())


def test_a_users_matplotlibrc_does_not_change_the_figure_nor_is_it_changed(tmp_path, draw, saved):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "pdf.fonttype": 3, "axes.unicode_minus": False}):
        before = dict(mpl.rcParams)
        save_figure(*_with_stem(draw("single", 70.0), tmp_path / "fig"))
        assert dict(mpl.rcParams) == before
        with pytest.raises(ZeroDivisionError), style("double"):
            raise ZeroDivisionError
        assert dict(mpl.rcParams) == before
    assert digests(tmp_path) == digests(saved)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """One single-column figure, 70 mm high, saved once for all tests that only look at the files."""
    namespace: dict = {}
    exec(PLOT, namespace)  # noqa: S102
    figure, table = namespace["draw"]("single", 70.0)
    folder = tmp_path_factory.mktemp("saved")
    save_figure(figure, folder / "fig", table, PROVENANCE)
    return folder


def _with_stem(drawn, stem):
    return drawn[0], stem, drawn[1], PROVENANCE


@pytest.mark.parametrize(("width", "mm"), [("single", 89.0), ("double", 183.0)])
def test_the_saved_page_has_the_exact_column_width(tmp_path, draw, saved, width, mm):
    folder = saved
    if width == "double":
        folder = tmp_path
        save_figure(*_with_stem(draw(width, 70.0), tmp_path / "fig"))
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", (folder / "fig.pdf").read_bytes())
    assert box is not None
    assert float(box[1]) * 25.4 / 72 == pytest.approx(mm, abs=0.02)
    assert float(box[2]) * 25.4 / 72 == pytest.approx(70.0, abs=0.02)
    svg = re.search(r'width="([\d.]+)pt"', (folder / "fig.svg").read_text(encoding="utf-8"))
    assert svg is not None
    assert float(svg[1]) * 25.4 / 72 == pytest.approx(mm, abs=0.02)
    png = (folder / "fig.png").read_bytes()
    pixels = int.from_bytes(png[16:20], "big")
    assert pixels / (mm / 25.4) >= 300


def test_pdf_embeds_truetype_and_no_file_holds_a_date(saved):
    pdf = (saved / "fig.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Subtype /Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert b"<dc:date>" not in (saved / "fig.svg").read_bytes()
    assert b"tIME" not in (saved / "fig.png").read_bytes()


def test_all_text_is_between_5_and_7_points(draw):
    from matplotlib.text import Text

    figure, _ = draw("double")
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
    assert sizes
    assert min(sizes) >= 5
    assert max(sizes) <= 7


def test_cycle_colours_stay_apart_for_colour_blind_readers():
    # Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB; distance as CIE76 in CIELAB (D65).
    deficiencies = {
        "normal": np.eye(3),
        "protan": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deutan": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    }
    srgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in (*PALETTE, "#000000")])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    for name, matrix in deficiencies.items():
        lab = _lab(np.clip(linear @ np.transpose(matrix), 0, 1))
        distances = {pair: float(np.linalg.norm(lab[pair[0]] - lab[pair[1]])) for pair in combinations(range(8), 2)}
        closest = min(distances, key=distances.__getitem__)
        assert distances[closest] > 10, f"{name}: colours {closest} are {distances[closest]:.1f} apart"


def _lab(linear):
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    f = np.where(f**3 > 0.008856, f, 7.787 * f**3 + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_style_sheet_cycle_is_the_published_palette():
    import matplotlib as mpl

    with style("single"):
        assert tuple(f"#{colour}" for colour in _cycle(mpl)) == PALETTE


def _cycle(mpl):
    return [colour.removeprefix("#") for colour in mpl.rcParams["axes.prop_cycle"].by_key()["color"]]


def test_csv_reads_back_to_the_plotted_numbers_exactly(tmp_path):
    x, y = np.linspace(0.1, 0.7, 7), np.array([1 / 3, 1e-300, np.nan, -0.0, 1e22, 123456789.123456789, 2.0])
    table = FigureTable.from_curves([Curve("", "fit", x, y, "binding_energy", "eV", "intensity", "counts/s")])
    with style("single") as sheet:
        figure = sheet.figure(40)
        figure.subplots().plot(x, y)
    save_figure(figure, tmp_path / "fig", table, PROVENANCE)
    header, rows = read_csv(tmp_path / "fig.csv")
    assert header == ["binding_energy [eV]", "fit: intensity [counts/s]"]
    back = np.array(rows, dtype=float)
    assert np.array_equal(back[:, 0], x)
    assert np.array_equal(back[:, 1], y, equal_nan=True)


def test_curves_on_one_grid_share_its_column_and_others_get_their_own():
    x = np.arange(3.0)
    table = FigureTable.from_curves(
        [
            Curve("a", "data", x, x, "etch_time", "s", "fraction", "1"),
            Curve("a", "fit", x, x + 1, "etch_time", "s", "fraction", "1", x, x + 2),
            Curve("a", "fine", [0.0, 0.5], [1.0, 2.0], "etch_time", "s", "fraction", "1"),
            Curve("b", "data", x, x, "etch_time", "s", "fraction", "1"),
        ]
    )
    assert table.to_csv() == (
        "a: etch_time [s],a: data: fraction [1],a: fit: fraction [1],a: fit: fraction low [1],"
        "a: fit: fraction high [1],a: fine: etch_time [s],a: fine: fraction [1],"
        "b: etch_time [s],b: data: fraction [1]\n"
        "0.0,0.0,1.0,0.0,2.0,0.0,1.0,0.0,0.0\n"
        "1.0,1.0,2.0,1.0,3.0,0.5,2.0,1.0,1.0\n"
        "2.0,2.0,3.0,2.0,4.0,,,2.0,2.0\n"
    )


def test_labels_stand_beside_numbers_and_commas_are_quoted():
    table = FigureTable((Column.labels("sample", ["pristine", "cycled, 100"]), Column.numbers("B", "%", [1, 2])))
    assert table.to_csv() == 'sample,B [%]\npristine,1.0\n"cycled, 100",2.0\n'


@pytest.mark.parametrize(
    "make",
    [
        lambda: FigureTable(()),
        lambda: FigureTable((Column.numbers("a", "eV", [1.0]), Column.numbers("a", "eV", [2.0]))),
        lambda: Column.numbers("a", "", [1.0]),
        lambda: Column.numbers("a", "eV", [[1.0]]),
        lambda: FigureTable.from_curves([Curve("", "c", [1.0, 2.0], [1.0], "x", "eV", "y", "1")]),
    ],
    ids=["empty", "header twice", "no unit", "two-dimensional", "unequal length"],
)
def test_a_table_that_would_mislead_is_refused(make):
    with pytest.raises(DataError):
        make()


@pytest.mark.parametrize("artist", ["plot", "scatter", "fill_between", "errorbar", "segments"])
def test_a_plotted_point_that_is_not_in_the_table_is_refused_by_name(tmp_path, artist):
    x = np.arange(4.0)
    table = FigureTable.from_curves([Curve("", "data", x, x, "x", "s", "y", "1")])
    with style("single") as sheet:
        figure = sheet.figure(40)
        axes = figure.subplots()
        axes.plot(x, x)
        y = np.array([0.0, 1.0, 2.5, 3.0])
        if artist == "errorbar":
            axes.errorbar(x, y, yerr=1.0, label="forgotten")
        elif artist == "segments":
            axes.add_collection(LineCollection([np.column_stack([x, y])], label="forgotten"))
        else:
            getattr(axes, artist)(x, y, label="forgotten")
    with pytest.raises(DataError, match="forgotten") as caught:
        save_figure(figure, tmp_path / "fig", table, PROVENANCE)
    assert "y = " in caught.value.message
    assert not list(tmp_path.iterdir())


def test_a_point_is_listed_where_one_row_holds_both_its_numbers_and_nowhere_else():
    generator = np.random.default_rng(7)
    x, y, z = generator.integers(0, 9, (3, 40)).astype(float)  # few numbers in many rows
    table = FigureTable((Column.numbers("x", "s", x), Column.numbers("y", "1", y), Column.numbers("z", "1", z[:25])))
    rows = [{a, b, *z[k : k + 1].tolist()} if k < 25 else {a, b} for k, (a, b) in enumerate(zip(x, y, strict=True))]
    for point in [(float(a), float(b)) for a in range(-1, 10) for b in range(-1, 10)]:
        with style("single") as sheet:
            figure = sheet.figure(40)
            figure.subplots().plot(*([value] for value in point), "o")
        assert (unlisted_artists(figure, table) == ()) == any(set(point) <= row for row in rows), point


def test_the_first_point_that_is_missing_is_named_of_every_artist():
    x = np.arange(5.0)
    table = FigureTable.from_curves([Curve("", "data", x, x**2, "x", "s", "y", "1")])
    with style("single") as sheet:
        figure = sheet.figure(40)
        axes = figure.subplots()
        axes.plot(x, np.where(x == 3.0, 10.0, x**2), label="one")
        axes.plot(x**2, x, label="turned")  # a band beside a map runs upwards
        axes.plot([np.nan, 7.0], [1.0, 1.0], label="two")
    assert unlisted_artists(figure, table) == (
        "panel 1, 'one' at x = 3.0, y = 10.0",
        "panel 1, 'two' at x = 7.0, y = 1.0",
    )


@pytest.mark.parametrize("how", ["imshow", "pcolorfast", "pcolormesh"])
def test_an_image_names_its_array_or_has_every_value_in_the_table(how):
    values = np.array([[1.0, 2.0], [3.0, np.nan]])
    listed = FigureTable((Column.numbers("map", "1", [1.0, 2.0, 3.0]),))
    part = FigureTable((Column.numbers("map", "1", [1.0, 2.0]),))
    with style("single") as sheet:
        figure = sheet.figure(40)
        axes = figure.subplots()
        edges = np.arange(3.0)
        image = getattr(axes, how)(values) if how == "imshow" else getattr(axes, how)(edges, edges, values)
        image.set_label("map of phases")
    assert unlisted_artists(figure, listed) == ()
    (missing,) = unlisted_artists(figure, part)
    assert "'map of phases' of 3 values that name no array" in missing
    assert unlisted_artists(figure, part, {"map of phases": "arrays/a.grids.nxs#/entry/map/data"}) == ()
    image.set_label("_guide scale")
    assert unlisted_artists(figure, part) == ()


def test_the_json_names_the_arrays_that_images_show(tmp_path, draw):
    figure, table = draw()
    figure.axes[0].imshow(np.zeros((2, 2)) + 0.125, extent=(190.0, 194.0, 0.0, 1.0), aspect="auto").set_label("map")
    with pytest.raises(DataError, match="name no array"):
        save_figure(figure, tmp_path / "fig", table, PROVENANCE)
    arrays = {"map": "arrays/a.grids.nxs#/entry/map/data"}
    save_figure(figure, tmp_path / "fig", table, replace(PROVENANCE, arrays=arrays))
    assert json.loads((tmp_path / "fig.json").read_text())["arrays"] == arrays


def test_guides_and_lines_across_the_axes_need_no_table(draw):
    figure, table = draw()
    axes = figure.axes[0]
    axes.axvline(192.0)
    axes.axvspan(191.0, 193.0)
    axes.plot([191.0, 192.0], [50.0, 60.0], label="_guide to the label")
    assert unlisted_artists(figure, table) == ()


def test_json_names_records_inputs_versions_and_the_hash_of_every_file(saved):
    text = (saved / "fig.json").read_text(encoding="utf-8")
    document = json.loads(text)
    assert document["records"] == list(PROVENANCE.record_ids)
    assert document["inputs"] == dict(PROVENANCE.inputs)
    assert {"layerscope", "matplotlib", "numpy", "python", "xps"} <= set(document["software"])
    found = digests(saved)
    assert document["files"] == {name: found[name] for name in ("fig.pdf", "fig.svg", "fig.png", "fig.csv")}
    assert str(saved) not in text


@pytest.mark.parametrize("path", ["/home/me/a.vms", "C:\\data\\a.vms"])
def test_an_absolute_input_path_is_refused(tmp_path, draw, path):
    figure, table = draw()
    with pytest.raises(DataError, match="relative"):
        save_figure(figure, tmp_path / "fig", table, FigureProvenance("t", inputs={path: "00"}))


def test_a_folder_that_cannot_be_made_gives_a_store_error(tmp_path, draw):
    (tmp_path / "file").write_text("")
    figure, table = draw()
    with pytest.raises(StoreError, match="cannot be made"):
        save_figure(figure, tmp_path / "file" / "fig", table, PROVENANCE)


def test_unknown_width_and_impossible_height_are_refused():
    with pytest.raises(DataError, match="width"), style("triple"):  # type: ignore[arg-type]
        pass
    with style("single") as sheet:
        assert millimetres(sheet.figure()) == pytest.approx((89.0, 67.0), abs=0.05)
        with pytest.raises(DataError, match="height"):
            sheet.figure(9000)
