"""Figures of XPS runs: what stands in them is what stands in the records, and the bytes repeat."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layerscope.spectra.xps import figure_trends, figures
from layerscope.spectra.xps.figure_data import collect_profiles, figure_colours
from layerscope.spectra.xps.figure_data import pages as regions_by_figure

from layerscope.figures import FigureProvenance, FigureTable
from layerscope.figures.courses import spread

# A run of a few points, made by hand: records and arrays say what every test expects. It is a text so that a second
# process can make the very same one.
MAKE = '''
from types import SimpleNamespace
import numpy as np
from layerscope.records import ArrayRef, FitQuality, InputFile, Quantity, ResultRecord, SampleState
from layerscope.runs.arrays import SeriesArrays

AXIS = np.linspace(188.0, 195.0, 36)
SHIFT = (0.25, -0.5, 0.0)
SHARES = {"B-O-B": (None, 0.8, 0.6), "TM-O-B": (None, None, 0.4)}  # None: not detected
HASH = "ab" * 32

def peak(center, area):
    return area * np.exp(-((AXIS - center) ** 2))

def share(name, species, value):
    if value is None:
        return Quantity(name=name, value=0.01, sigma=0.02, sigma_kind="covariance", unit="1", component=species,
                        role="derived", upper_limit=0.05, limit_confidence=0.95)
    return Quantity(name=name, value=value, sigma=0.03, sigma_kind="covariance", unit="1", component=species,
                    role="derived")

def area(species, value, seen=True):
    limit = {} if seen else {"upper_limit": 9.0, "limit_confidence": 0.95}
    return Quantity(name="peak.area", value=value, sigma=3.0, sigma_kind="covariance", unit="counts*eV",
                    component=species, **limit)

class Maker:
    """Makes records with ids of their own."""

    def __init__(self, levels=3, moments=False, nothing_at=(), outlier=None):
        self.levels, self.moments, self.nothing_at, self.outlier = levels, moments, nothing_at, outlier
        self.records, self.arrays, self.count = [], {}, 0

    def record(self, method, series, region, time, **more):
        self.count += 1
        recipe = {"series": [{"name": series}], "regions": [{"region": "B 1s"}, {"region": "O 1s"}]}
        record = ResultRecord(
            record_id=f"{self.count:064x}", technique="xps", method=method, method_version="1",
            state=SampleState(sample=f"sample {series}", series=series, region=region,
                              etch_time_s=None if self.moments else time),
            inputs=(InputFile(path=f"{series}.vms", sha256=HASH, size=1, reader="r", reader_version="1"),),
            recipe=recipe, **more)
        self.records.append(record)
        return record

    def region(self, series, region, species):
        """Add one region: its levels, its series record and its arrays."""
        parents = []
        for level in range(self.levels):
            quantities = [Quantity(name="charge.shift", value=SHIFT[level], sigma=0.1, sigma_kind="covariance",
                                   unit="eV", role="derived")]
            for name in species:
                seen = level not in self.nothing_at
                quantities.append(area(name, 50.0 if seen else 1.0, seen))
                if len(species) > 1:
                    quantities.append(share("species.fraction", name, SHARES.get(name, (0.5, 0.5, 0.5))[level]))
                    if seen:
                        quantities.append(share("species.fraction_single_level", name, 0.5))
            flags = ("OUTLIER:area 4 of its neighbours'",) if level == self.outlier else ()
            parents.append(self.record("xps.region", series, region, 10.0 * level, quantities=tuple(quantities),
                                       quality=FitQuality(chi2=1.0, n_data=36, flags=flags)).record_id)
        stem = f"case_{series}_{region.replace(' ', '_')}"
        shape = (self.levels, AXIS.size)
        components = {name: np.stack([peak(190.0 + k, 50.0 - 10.0 * level) for level in range(self.levels)])
                      for k, name in enumerate(species)}
        background = np.full(shape, 20.0) + np.linspace(0.0, 3.0, AXIS.size)
        fit = background + sum(components.values())
        noise = np.sin(np.arange(fit.size)).reshape(shape)
        self.arrays[stem] = SeriesArrays(
            name=stem, technique="xps", title=stem, sample=f"sample {series}", axis=AXIS, axis_name="binding_energy",
            axis_unit="eV", levels=10.0 * np.arange(self.levels), level_name="time" if self.moments else "etch_time",
            level_unit="s", counts=fit + 4.0 * noise, variance=np.full(shape, 16.0), fit=fit, background=background,
            residual=noise, components=components, base="case")
        quantities = () if self.levels < 3 else (Quantity(
            name="species.onset_time", value=8.0, sigma=2.0, sigma_kind="covariance", unit="s", component=species[-1],
            role="derived", low=6.0, high=10.0, confidence=0.6827),)
        self.record("xps.series", series, region, None, quantities=quantities, parents=tuple(parents),
                    arrays=(ArrayRef(file=f"arrays/{stem}.nxs", path="/x", shape=shape, unit="counts", sha256=HASH),))
        return parents

    def composition(self, series, parents):
        for level, parent in enumerate(parents):
            quantities = tuple(
                Quantity(name="composition.atomic_fraction", value=v, sigma=2.0, sigma_kind="systematic", unit="%",
                         component=e, role="derived") for e, v in (("B", 30.0 + level), ("O", 70.0 - level)))
            self.record("xps.composition", series, None, 10.0 * level, quantities=quantities, parents=(parent,))

    def run(self):
        arrays = {stem: SimpleNamespace(load=lambda series=series: series) for stem, series in self.arrays.items()}
        return SimpleNamespace(records=tuple(self.records), arrays=arrays)

def usual(names=("one", "two"), **options):
    """A recipe of two series with two regions each, and their atomic fractions."""
    maker = Maker(**options)
    for series in names:
        parents = maker.region(series, "B 1s", ("B-O-B", "TM-O-B"))
        maker.region(series, "O 1s", ("lattice oxide", "surface oxygen"))
        maker.composition(series, parents)
    return maker.run()
'''

SCRIPT = (
    MAKE
    + """
import sys
from pathlib import Path
from layerscope.spectra.xps.figures import draw_profiles
for drawing in draw_profiles(usual(names=("one",)), Path(sys.argv[1])):
    drawing.draw()
"""
)

made: dict[str, Any] = {}
exec(MAKE, made)  # noqa: S102 - the text above, so that this process and the second one make the same run

ENDINGS = (".pdf", ".svg", ".png", ".csv", ".json")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the figures of the usual run."""
    folder = tmp_path_factory.mktemp("figures")
    for drawing in figures.draw_profiles(made["usual"](), folder):
        drawing.draw()
    return folder


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
    """Return a function that draws a run without saving it: figures by name, each with its table and provenance."""

    def draw(run: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def keep(figure: Any, stem: Path, table: FigureTable, provenance: FigureProvenance) -> tuple[Path, ...]:
            found[stem.name] = (figure, table, provenance)
            return ()

        monkeypatch.setattr(figures, "save_figure", keep)
        for drawing in figures.draw_profiles(run, Path("figures")):
            drawing.draw()
        return found

    return draw


def texts(figure: Any) -> list[str]:
    """Return every visible text of a figure."""
    import matplotlib.text

    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]


def columns(path: Path) -> dict[str, list[str]]:
    """Return the columns of a CSV file without their empty cells."""
    rows = list(csv.reader(path.read_text().splitlines()))
    return {name: [row[k] for row in rows[1:] if row[k]] for k, name in enumerate(rows[0])}


def test_every_profile_and_the_overview_are_written_in_five_formats(drawn: Path) -> None:
    stems = ("case_one_profile", "case_two_profile", "case_overview")
    assert {path.name for path in drawn.iterdir()} == {stem + ending for stem in stems for ending in ENDINGS}


def test_a_second_process_writes_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-P", "-c", SCRIPT, str(tmp_path / "again")], check=True, cwd=tmp_path)
    again = sorted((tmp_path / "again").iterdir())
    assert len(again) == len(ENDINGS)
    for path in again:
        assert path.read_bytes() == (drawn / path.name).read_bytes(), path.name


def test_the_csv_gives_back_the_measured_counts_at_corrected_energies(drawn: Path) -> None:
    table = columns(drawn / "case_one_profile.csv")
    series = made["usual"]().arrays["case_one_B_1s"].load()
    offsets = [float(cell) for cell in table["a: offset of the level [counts]"]]
    assert table["a: level"] == ["0 s", "10 s", "20 s"]
    assert offsets == sorted(offsets, reverse=True)  # the surface on top
    for level, name in enumerate(table["a: level"]):
        energy = np.array(table[f"a: binding_energy at {name} [eV]"], float)
        counts = np.array(table[f"a: {name}: data: intensity, offset [counts]"], float) - offsets[level]
        np.testing.assert_allclose(energy, series.axis + made["SHIFT"][level], rtol=0, atol=1e-12)
        np.testing.assert_allclose(counts, series.counts[level], rtol=1e-12)


def test_the_json_names_every_record_and_the_hash_of_the_input(drawn: Path) -> None:
    run = made["usual"]()
    about = json.loads((drawn / "case_one_profile.json").read_text())
    assert set(about["records"]) == {r.record_id for r in run.records if r.state.sample == "sample one"}
    assert about["inputs"] == {"one.vms": made["HASH"]}


def test_what_was_not_detected_is_drawn_as_a_limit_with_its_confidence_and_never_as_a_value(drawn: Path) -> None:
    rows = list(csv.reader((drawn / "case_one_profile.csv").read_text().splitlines()))
    column = {name: [row[k] for row in rows[1:4]] for k, name in enumerate(rows[0])}
    value = next(v for name, v in column.items() if name.endswith(": TM-O-B: fraction [1]"))
    limit = next(v for name, v in column.items() if "TM-O-B: upper limit at 95 %" in name)
    assert [float(cell) for cell in value[2:]] == [0.4]
    assert all(cell in ("", "nan") for cell in value[:2])
    assert [float(cell) for cell in limit[:2]] == [0.05, 0.05]


def test_joint_and_single_level_shares_stand_side_by_side(pages: Callable[[Any], dict[str, Any]]) -> None:
    _, table, _ = pages(made["usual"]())["case_one_profile"]
    names = [column.name for column in table.columns]
    assert any(name.endswith("B-O-B: fraction") for name in names)
    assert any(name.endswith("B-O-B, each level alone: fraction") for name in names)


def test_binding_energy_runs_from_high_to_low_and_levels_are_named(pages: Callable[[Any], dict[str, Any]]) -> None:
    figure, _, _ = pages(made["usual"]())["case_one_profile"]
    energy = [axes for axes in figure.get_axes() if axes.get_xlabel() == "Binding energy / eV"]
    assert len(energy) == 2
    for axes in energy:
        high, low = axes.get_xlim()
        assert high >= made["AXIS"].max() + 0.25
        assert low <= made["AXIS"].min() - 0.5
    words = texts(figure)
    assert {"0 s", "10 s", "20 s", "Etch time / s", "Share of B 1s", "Atomic fraction / %", "B–O–B"} <= set(words)
    assert "TM–O–B onset 8(2) s" in words


def test_text_is_of_journal_size_and_nothing_leaves_the_page(pages: Callable[[Any], dict[str, Any]]) -> None:
    import matplotlib.text

    runs = [made["usual"](), made["usual"](levels=1)]
    for figure, _, _ in [page for run in runs for page in pages(run).values()]:
        figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        assert width * 25.4 == pytest.approx(183.0, abs=0.01)
        drawn = figure.get_tightbbox()
        assert drawn.x0 >= -0.005
        assert drawn.y0 >= -0.005
        assert drawn.x1 <= width + 0.005
        assert drawn.y1 <= height + 0.005
        sizes = {t.get_fontsize() for t in figure.findobj(matplotlib.text.Text) if t.get_text()}
        assert min(sizes) >= 5.0
        assert max(sizes) <= 7.0


def test_named_elements_and_marked_times_do_not_overlap(pages: Callable[[Any], dict[str, Any]]) -> None:
    for figure, _, _ in pages(made["usual"]()).values():
        figure.draw_without_rendering()
        for axes in figure.get_axes():
            boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
            for k, box in enumerate(boxes):
                assert not any(box.overlaps(other) for other in boxes[:k])


def test_shares_of_a_level_where_nothing_was_detected_are_left_out(pages: Callable[[Any], dict[str, Any]]) -> None:
    _, table, _ = pages(made["usual"](nothing_at=(1,)))["case_one_profile"]
    share = next(column for column in table.columns if column.name.endswith("lattice oxide: fraction"))
    np.testing.assert_array_equal(np.isnan(np.asarray(share.cells)), [False, True, False])


def test_a_single_level_has_its_shares_and_limits_written_in(pages: Callable[[Any], dict[str, Any]]) -> None:
    found = pages(made["usual"](levels=1))
    figure, table, _ = found["case_one_profile"]
    assert "B–O–B: < 0.050 (95 %)" in texts(figure)
    assert "lattice oxide: 0.50(3)" in texts(figure)
    counts = next(column for column in table.columns if column.name == "a: 0 s: data: intensity")
    np.testing.assert_array_equal(counts.cells, made["usual"](levels=1).arrays["case_one_B_1s"].load().counts[0])
    assert {"sample one", "sample two"} <= set(texts(found["case_overview"][0]))


def test_moments_stand_on_a_time_axis(pages: Callable[[Any], dict[str, Any]]) -> None:
    figure, _, _ = pages(made["usual"](moments=True))["case_one_profile"]
    assert "Time / s" in texts(figure)
    assert "Etch time / s" not in texts(figure)


def test_an_outlier_is_marked_at_its_level_and_explained(pages: Callable[[Any], dict[str, Any]]) -> None:
    figure, _, provenance = pages(made["usual"](outlier=1))["case_one_profile"]
    assert "10 s*" in texts(figure)
    assert any("outlier" in note for note in provenance.notes)


def test_many_regions_are_split_evenly_over_figures(pages: Callable[[Any], dict[str, Any]]) -> None:
    maker = made["Maker"]()
    for region in ("B 1s", "O 1s", "C 1s", "F 1s", "P 2p"):
        maker.region("one", region, (f"{region} low", f"{region} high"))
    found = pages(maker.run())
    assert sorted(found) == ["case_one_profile", "case_one_profile_2"]
    assert {"B 1s", "O 1s", "C 1s"} <= set(texts(found["case_one_profile"][0]))
    assert {"F 1s", "P 2p"} <= set(texts(found["case_one_profile_2"][0]))


def test_boron_comes_first_even_if_another_region_has_more_species() -> None:
    maker = made["Maker"]()
    maker.region("one", "C 1s", ("C-C/C-H", "C-O", "CO3"))
    maker.region("one", "B 1s", ("B-O-B", "TM-O-B"))
    (profile,) = collect_profiles(maker.run())
    assert [region.name for region in profile.regions] == ["B 1s", "C 1s"]


def test_a_species_has_one_colour_in_all_figures_and_differs_from_its_neighbours() -> None:
    maker = made["Maker"]()
    for series in ("one", "two"):
        maker.region(series, "C 1s", ("C-C/C-H", "C-O", "CO3"))
        maker.region(series, "F 1s", ("LiF", "LixPFy", "C-O"))
    profiles = collect_profiles(maker.run())
    colours = figure_colours(profiles)
    for profile in profiles:
        for region in profile.regions:
            assert len({colours[species] for species in region.own}) == len(region.own)
    assert set(colours) == {"C-C/C-H", "C-O", "CO3", "LiF", "LixPFy"}


def test_a_run_without_a_fitted_region_has_no_figures(tmp_path: Path) -> None:
    assert list(figures.draw_profiles(made["Maker"]().run(), tmp_path)) == []
    assert not list(tmp_path.iterdir())


def test_species_of_regions_that_share_a_figure_differ_and_elements_differ_from_them() -> None:
    maker = made["Maker"]()
    parents = maker.region("one", "B 1s", ("B-O-B", "TM-O-B"))
    maker.region("one", "C 1s", ("C-C/C-H", "C-O", "CO3"))
    maker.region("one", "O 1s", ("lattice oxide", "surface oxygen"))
    maker.region("one", "Mn 3s", ("Mn 3s low", "Mn 3s high"))
    maker.composition("one", parents)
    profiles = collect_profiles(maker.run())
    colours = figure_colours(profiles)
    (page,) = regions_by_figure(profiles[0].regions)
    drawn = [species for region in page for species in region.own] + ["at.% B", "at.% O"]
    assert len(drawn) == 11
    assert len({colours[name] for name in drawn}) == len(drawn)


def test_a_long_profile_is_stacked_in_part_and_its_levels_are_named_without_overlap(
    pages: Callable[[Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_LEVELS", 2)
    figure, table, provenance = pages(made["usual"](names=("one",)))["case_one_profile"]
    for kind, levels in (("data", ["0 s", "20 s"]), ("residual", ["0 s", "10 s", "20 s"])):
        named = [c.name.split(": ") for c in table.columns if c.name.startswith("a:") and f": {kind}:" in c.name]
        assert [words[1] for words in named] == levels
    assert "every second is stacked" in provenance.caption
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert boxes
    assert not any(box.overlaps(other) for k, box in enumerate(boxes) for other in boxes[:k])


def test_of_a_very_long_profile_some_values_and_residuals_are_drawn_and_the_caption_says_which(
    pages: Callable[[Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pages(made["usual"](names=("one",)))["case_one_profile"][1]
    for module, name in ((figures, "MOST_LEVELS"), (figures, "MOST_ROWS"), (figures, "MOST_POINTS")):
        monkeypatch.setattr(module, name, 2)
    monkeypatch.setattr(figure_trends, "MOST_POINTS", 2)
    _, table, provenance = pages(made["usual"](names=("one",)))["case_one_profile"]
    rows = {c.name: c.cells for c in table.columns}
    for column in whole.columns:
        if column.name.startswith("b: B-O-B"):
            np.testing.assert_array_equal(rows[column.name], column.cells[::2])
    residuals = [name for name in rows if name.startswith("a:") and ": residual:" in name]
    assert [name.split(": ")[1] for name in residuals] == ["0 s", "20 s"]
    assert "residuals show every second. Values are drawn of every second level" in provenance.caption


def test_labels_are_moved_apart_in_their_order_and_stay_inside() -> None:
    wanted = [0.9, 0.5, 0.52, 0.51, 0.99]
    placed = spread(wanted, 0.1, 0.0, 1.0)
    assert np.argsort(placed).tolist() == np.argsort(wanted).tolist()
    assert np.diff(sorted(placed)).min() >= 0.1 - 1e-12
    assert min(placed) >= 0.0
    assert max(placed) <= 1.0
