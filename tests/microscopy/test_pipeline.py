"""The pipeline of micrographs, from files to records, tables, arrays and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from layerscope import load_run
from layerscope.errors import RecipeError
from layerscope.records import ResultRecord
from layerscope.runs.execute import RunSummary, execute
from layerscope.runs.export import export_run
from layerscope.runs.plan import make_plan
from layerscope.runs.present import summary_tables
from layerscope.runs.validate import validate_run

from .written import write_mrc

pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")
pytest.importorskip("gemmi", reason="gemmi is not installed (pip install 'layerscope[em]')")

PIXEL = 0.025
A_COO, WIDTH_LCO, C_LCO = 0.42612, 0.28156 * np.sqrt(3) / 2, 1.40542


def rocksalt(x: np.ndarray, y: np.ndarray, a: float = A_COO) -> np.ndarray:
    """CoO along [110], 002 along y, by its strongest waves."""
    waves = ((1, 1, 0.8), (1, -1, 0.8), (0, 2, 1.3), (2, 0, 1.2), (2, 2, 0.8), (2, -2, 0.8), (1, 3, 0.6), (1, -3, 0.6))
    return sum(w * np.cos(2 * np.pi * (h * np.sqrt(2) * x + k * y) / a) for h, k, w in waves)


def layered(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """LiCoO2 along [100], 003 along x; 01l have l = 1 modulo 3."""
    waves = ((0, 3, 1.2), (1, -2, 0.5), (1, 1, 0.7), (1, -5, 0.4), (1, 4, 1.4), (0, 6, 0.5), (1, 7, 0.5), (1, -8, 0.9))
    waves += ((0, 9, 0.3), (1, 10, 0.4), (1, -11, 0.5), (2, -1, 0.4), (2, 2, 0.3), (2, -4, 0.5))
    return sum(w * np.cos(2 * np.pi * (k * y / WIDTH_LCO + m * x / C_LCO)) for k, m, w in waves)


def coated(seed: int, film: float = 2.5, skin: float = 3.0) -> np.ndarray:
    """Vacuum to 2.5 nm, an amorphous film, a skin of CoO, and LiCoO2; the normal is x."""
    y, x = np.indices((200, 440)) * PIXEL
    rng = np.random.default_rng(seed)
    random = np.fft.irfft2(np.fft.rfft2(rng.normal(size=x.shape)) * _band(x.shape), s=x.shape)
    random *= 0.9 / random.std()
    edges = 2.5, 2.5 + film, 2.5 + film + skin
    inside = [(x >= low) & (x < high) for low, high in zip(edges, (*edges[1:], 99.0), strict=True)]
    mean = 90.0 + 9.0 * np.where(x < 2.5, 0.0, random)
    mean += 6.0 * rocksalt(y, x) * inside[1] + 6.0 * layered(x, y) * inside[2]
    return np.clip(rng.poisson(np.maximum(mean, 1.0)), 0, 255).astype(np.uint8)


def _band(shape: tuple[int, int]) -> np.ndarray:
    g = np.hypot(np.fft.fftfreq(shape[0], PIXEL)[:, None], np.fft.rfftfreq(shape[1], PIXEL)[None])
    return np.exp(-(((g - 3.5) / 1.5) ** 2))


def save(path: Path, image: np.ndarray) -> None:
    Picture.fromarray(image).save(path)


def write(folder: Path, recipe: str, **images: np.ndarray) -> Path:
    for name, image in images.items():
        save(folder / f"{name}.png", image)
    path = folder / "recipe.toml"
    path.write_text('layerscope = 1\npipeline = "hrtem"\nsample = "B-LCO"\n' + recipe)
    return path


LAYERED = (
    'phases = ["LiCoO2_O3", "CoO"]\n'
    f'[[series]]\nfiles = ["*.png"]\npixel_nm = {PIXEL}\nscale_sd = 0.01\n'
    '[[regions]]\nname = "bulk"\nbox = [8.4, 0.3, 2.5, 4.4]\n'
    '[[regions]]\nname = "skin"\nbox = [5.1, 0.3, 2.7, 4.4]\n'
    '[[regions]]\nname = "film"\nbox = [2.6, 0.3, 2.3, 4.4]\n'
    '[layers]\norder = ["vacuum", "amorphous", "CoO", "LiCoO2_O3"]\nnormal_deg = 0.0\n'
    "[map]\nstep_nm = 0.8\n"
)


@pytest.fixture(scope="module")
def grain(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    """Two images of a coated grain, of which the skins differ by 0.4 nm."""
    folder = tmp_path_factory.mktemp("grain")
    return execute(write(folder, LAYERED, a=coated(1), b=coated(2, skin=3.4)), folder / "run")


def of(run: RunSummary, method: str, region: str | None = None, frame: int | None = 0) -> ResultRecord:
    (record,) = (
        r for r in run.run.records if r.method == method and (r.state.region, r.state.frame) == (region, frame)
    )
    return record


def test_every_region_says_what_it_shows_with_a_probability(grain: RunSummary) -> None:
    assert not grain.failed
    for region, phase, zone in (("bulk", "LiCoO2_O3", "[1 0 0]"), ("skin", "CoO", "[1 1 0]")):
        record = of(grain, "hrtem.region", region)
        best = next(one for one in record.alternatives if one.chosen)
        assert best.name == f"{phase} {zone}"
        assert best.probability is not None
        assert best.probability > 0.9
        assert best.in_set
        assert sum(one.probability or 0.0 for one in record.alternatives) == pytest.approx(1.0, abs=0.01)


def test_a_region_without_a_lattice_is_a_result_with_its_reason(grain: RunSummary) -> None:
    record = of(grain, "hrtem.region", "film")
    assert record.status == "ok"
    assert any(flag.startswith("NOT_INDEXABLE:") for flag in record.flags)
    best = next(one for one in record.alternatives if one.chosen)
    assert best.name == "no lattice"


def test_spacings_and_angles_are_those_of_the_drawn_lattice_within_their_errors(grain: RunSummary) -> None:
    record = of(grain, "hrtem.region", "skin")
    for quantity in record.quantities:
        if quantity.name == "lattice.d_spacing" and quantity.component and "CoO" in quantity.component:
            hkl = [int(word) for word in quantity.component.split("(")[1].rstrip(")").split()]
            assert quantity.value is not None
            assert quantity.sigma is not None
            assert quantity.value == pytest.approx(
                A_COO / np.linalg.norm(hkl), abs=2.5 * quantity.budget["position"] + 2e-4
            )
            assert quantity.sigma > 0.01 * quantity.value  # the scale is not known better
    angles = [q for q in record.quantities if q.name == "lattice.angle"]
    assert angles
    known = {35.26, 54.74, 70.53, 90.0, 0.0, 25.24, 64.76, 29.5}
    for q in angles:
        assert q.value is not None
        assert min(abs(q.value - angle) for angle in known) < 3 * (q.sigma or 0.0)


def test_layers_are_as_thick_as_they_were_drawn(grain: RunSummary) -> None:
    for frame, skin in ((0, 3.0), (1, 3.4)):
        record = of(grain, "hrtem.layers", None, frame)
        for name, truth in (("amorphous", 2.5), ("CoO", skin)):
            quantity = record.get("layer.thickness", name)
            assert quantity.value is not None
            assert quantity.sigma is not None
            assert abs(quantity.value - truth) < 2.5 * quantity.sigma
            assert quantity.sigma < 0.35
            assert set(quantity.budget) == {"boundaries", "scale"}


def test_a_sample_has_the_mean_of_its_images_and_their_spread(grain: RunSummary) -> None:
    record = of(grain, "hrtem.series", None, None)
    own = [of(grain, "hrtem.layers", None, frame).get("layer.thickness", "CoO").value or 0.0 for frame in (0, 1)]
    mean, spread = record.get("layer.thickness", "CoO"), record.get("layer.thickness_spread", "CoO")
    assert mean.value == pytest.approx(np.mean(own))
    assert spread.value == pytest.approx(np.std(own, ddof=1))
    assert mean.sigma is not None
    assert mean.sigma > spread.value / np.sqrt(2) * 0.99
    assert len(record.parents) == 2


def test_the_map_names_what_was_drawn_and_its_arrays_are_valid(grain: RunSummary) -> None:
    run = grain.run
    assert not validate_run(run.folder)
    grids = next(iter(run.grids.values()))
    phases = grids["map"]
    assert phases.values.dtype == np.float32
    classes = list(phases.axes[2].values)
    x = np.asarray(phases.axes[1].values)
    best = np.argmax(np.nan_to_num(phases.values), axis=2)
    seen = np.isfinite(phases.values).all(axis=2)
    for name, low, high in (("CoO", 6.0, 7.0), ("LiCoO2_O3", 9.0, 10.2)):
        part = seen & ((x > low) & (x < high))[None]
        assert (best[part] == classes.index(name)).mean() > 0.8
    assert grids["view"].values.dtype == np.uint8
    assert grids.metadata["file"] == "a.png"


def test_tables_print_ranked_explanations_and_thicknesses(grain: RunSummary) -> None:
    tables = {table.title: table for table in summary_tables(grain.run)}
    layers = tables["B-LCO: layers"]
    assert [row[0] for row in layers.rows] == ["", "0", "1"] or [row[0] for row in layers.rows] == ["0", "1", ""]
    ranked = tables["B-LCO: ranked explanations"]
    assert {"rank", "explanation", "p", "set"} <= {column.head for column in ranked.fields}
    assert any("LiCoO2_O3 [1 0 0]" in row for row in ranked.rows)


def test_figures_name_the_arrays_that_they_show(grain: RunSummary) -> None:
    assert grain.warnings == ()
    described = [path for path in grain.run.figures if path.suffix == ".json"]
    assert len(described) == 2
    content = json.loads(described[0].read_text())
    assert any(label.endswith("view") for label in content["arrays"])
    assert all(".grids.nxs#/entry/" in place for place in content["arrays"].values())
    assert content["inputs"]


def test_rings_of_several_phases_are_named_together_drawn_and_listed(tmp_path: Path) -> None:
    from matplotlib.image import imread

    recipe = Path(__file__).parents[2] / "reference_data" / "hrtem_cei_rings" / "recipe.toml"
    run = execute(recipe, tmp_path / "run")
    assert run.warnings == ()
    record = next(r for r in run.run.records if r.method == "hrtem.region")
    ranked = [one for one in record.alternatives if not one.comparison]
    assert ranked[0].name == "LiF + LiB6O9F rings"
    present = {one.name: one.probability or 0.0 for one in record.alternatives if one.comparison == "present"}
    assert present["LiB6O9F"] > 0.99
    assert present["LiF"] > present["Al"] > 0.1 > present["CoO"]  # the scale is known to 0.3 %, aluminium is 0.6 % off
    assert any(note.startswith("present, ") for note in record.notes)
    (told,) = (
        table for table in summary_tables(run.run) if table.title.endswith("phases present, alone or with others")
    )
    assert "LiB6O9F" in told.rows[0]
    listed = next(path for path in run.run.figures if path.suffix == ".csv").read_text()
    assert "rings of LiB6O9F" in listed
    assert "found rings" in listed
    drawn = imread(next(path for path in run.run.figures if path.suffix == ".png"))[..., 0]
    rows, columns = (size // 12 for size in drawn.shape)
    blocks = drawn[: 12 * rows, : 12 * columns].reshape(12, rows, 12, columns)
    assert (blocks.min(axis=(1, 3)) == 1.0).mean() < 0.2  # of a page of two panels little is empty


def test_arrays_are_exported_as_nexus(grain: RunSummary, tmp_path: Path) -> None:
    files = export_run(grain.run, "nexus", tmp_path)
    assert sorted(file.suffixes[-2:] for file in files) == [[".grids", ".nxs"]] * 2


def test_a_second_run_finds_everything_done(grain: RunSummary) -> None:
    again = execute(grain.run.folder.parent / "recipe.toml", grain.run.folder)
    assert (again.done, again.changed) == (0, False)


def test_strain_and_images_of_single_lattices_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    recipe = (
        f'phases = ["LiCoO2_O3"]\n[[series]]\nfiles = ["a.png"]\npixel_nm = {PIXEL}\n'
        '[[regions]]\nname = "bulk"\nbox = [4.0, 0.3, 6.5, 4.4]\n'
        '[layers]\norder = ["vacuum", "LiCoO2_O3"]\nnormal_deg = 0.0\nstrain = true\nfiltered = true\n'
    )
    run = execute(write(tmp_path, recipe, a=coated(1, film=0.0, skin=0.0)), tmp_path / "run")
    assert not run.failed
    (grids,) = run.run.grids.values()
    (drawn,) = (tmp_path / "run" / "figures").glob("*.json")
    shown = json.loads(drawn.read_text("utf-8"))["arrays"]
    assert [label for label in shown if "strain" in label] == ["c: strain across", "d: strain along"]
    assert "may be false" in drawn.with_suffix(".svg").read_text("utf-8")  # the warning stands in the panel
    parts = list(grids["strain"].axes[2].values)
    x = np.asarray(grids["strain"].axes[1].values)
    bulk = grids["strain"].values[:, (x > 6.0) & (x < 9.0)]
    for part in ("across", "along"):
        values = bulk[..., parts.index(part)]
        assert np.isfinite(values).mean() > 0.4
        assert abs(np.nanmean(values)) < 0.005
    outside = grids["strain"].values[:, x < 1.5]
    assert np.isnan(outside[..., : len(parts) - 1]).all()  # no lattice: no strain
    assert (outside[..., parts.index("near a change")] == 1.0).all()
    record = of(run, "hrtem.layers", None, None)
    assert "STRAIN_ACROSS_PHASES" in record.flags
    alone = grids["filtered LiCoO2_O3"]
    places = np.asarray(alone.axes[1].values)
    inside = alone.values[:, (places > 5.0) & (places < 9.0)].std()
    assert inside > 2.0 * alone.values[:, places < 1.5].std()


ONE = f'phases = ["CoO", "LiCoO2_O3"]\n[[series]]\nfiles = ["*.png"]\npixel_nm = {PIXEL}\n'


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ('phases = ["CoOO"]\n[[series]]\nfiles = ["a.png"]\n', "no phase 'CoOO'.*CoO"),
        (ONE + '[layers]\norder = ["vacuum", "Co3O4"]\n', "'Co3O4' is none of the phases"),
        (ONE + '[internal_standard]\nregion = "bulk"\nphase = "CoO"\n', "there is no region 'bulk'"),
        (ONE + '[[regions]]\nname = "a"\nbox = [0, 0, 1, -1]\n', "box"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused_with_what_was_meant(tmp_path: Path, keys: str, why: str) -> None:
    path = write(tmp_path, keys, a=coated(1))
    with pytest.raises(RecipeError, match=why):
        make_plan(path)


def test_a_region_outside_the_image_is_told_by_check_and_fails_that_image_only(tmp_path: Path) -> None:
    recipe = ONE + '[[regions]]\nname = "far"\nbox = [0, 0, 6, 4]\n'
    path = write(tmp_path, recipe, a=coated(1), b=coated(2)[:, :200])
    (planned,) = make_plan(path).recipes
    problems = planned.pipeline.check(planned.recipe)
    assert ["region 'far' ends outside" in problem.message for problem in problems] == [True]
    run = execute(path, tmp_path / "run", figures=False)
    assert len(run.failed) == 1
    assert run.exit_code == 2
    assert any(record.method == "hrtem.region" for record in run.run.records if record.status != "failed")


def test_one_image_without_a_scale_does_not_stop_the_others(tmp_path: Path) -> None:
    recipe = 'phases = ["CoO"]\n[[series]]\nfiles = ["a.mrc", "b.png"]\n'
    path = write(tmp_path, recipe, b=coated(2)[:128, :128])
    write_mrc(tmp_path / "a.mrc", coated(1)[:128, :128].astype(np.uint16), (1280 * PIXEL, 1280 * PIXEL))
    run = execute(path, tmp_path / "run", figures=False)
    (failed,) = run.failed
    assert failed.problem is not None
    assert "size of a pixel" in failed.problem.message
    assert failed.problem.source == "b.png"


NOTHING = {
    "noise": np.random.default_rng(4).poisson(60.0, (128, 128)).astype(np.uint8),
    "photograph": np.clip(
        np.add.outer(np.linspace(0, 200, 128), np.linspace(0, 50, 128))
        + np.random.default_rng(5).normal(0, 2, (128, 128)),
        *(0, 255),
    ).astype(np.uint8),
}


@pytest.mark.parametrize("name", NOTHING)
def test_an_image_without_a_lattice_gives_an_honest_record(tmp_path: Path, name: str) -> None:
    run = execute(write(tmp_path, ONE, **{name: NOTHING[name]}), tmp_path / "run", figures=False)
    record = of(run, "hrtem.region", "image", None)
    assert any(flag.startswith("NOT_INDEXABLE") for flag in record.flags)
    assert record.status == "ok"


def test_pixels_too_coarse_for_any_lattice_are_not_indexable(tmp_path: Path) -> None:
    recipe = ONE.replace(str(PIXEL), "0.4")
    run = execute(write(tmp_path, recipe, a=coated(1)[:128, :128]), tmp_path / "run")
    record = of(run, "hrtem.region", "image", None)
    (flag,) = (flag for flag in record.flags if flag.startswith("NOT_INDEXABLE"))
    assert "too coarse" in flag
    assert run.warnings == ()


def test_an_internal_standard_tells_the_scale_of_the_other_regions(tmp_path: Path) -> None:
    recipe = LAYERED.split("[layers]")[0].replace(f"pixel_nm = {PIXEL}\nscale_sd = 0.01", f"pixel_nm = {1.02 * PIXEL}")
    recipe += '[internal_standard]\nregion = "bulk"\nphase = "LiCoO2_O3"\nzone = [1, 0, 0]\n'
    run = execute(write(tmp_path, recipe, a=coated(3)), tmp_path / "run", figures=False)
    scale = of(run, "hrtem.image", None, None).get("image.scale")
    assert scale.value == pytest.approx(1 / 1.02, abs=3 * (scale.sigma or 0.0))
    assert scale.sigma is not None
    assert scale.sigma < 0.01
    skin = of(run, "hrtem.region", "skin", None)
    assert any("internal standard" in note for note in skin.notes)
    spacings = [q for q in skin.quantities if q.name == "lattice.d_spacing"]
    near = min(spacings, key=lambda q: abs((q.value or 0.0) - A_COO / 2))
    assert near.value == pytest.approx(A_COO / 2, abs=3 * (near.sigma or 0.0))
    assert (near.sigma or 1.0) < 0.015 * (near.value or 0.0)


def test_zone_axes_that_are_named_are_the_only_ones_of_their_phase(tmp_path: Path) -> None:
    recipe = ONE + "[zones]\nCoO = [[1, 1, 0]]\n"
    run = execute(write(tmp_path, recipe, a=coated(1)[:180, 210:310]), tmp_path / "run", figures=False)
    names = [one.name for one in of(run, "hrtem.region", "image", None).alternatives]
    assert {name for name in names if name.startswith("CoO [")} <= {"CoO [1 1 0]"}


def test_a_list_of_vectors_is_indexed_like_an_image(tmp_path: Path) -> None:
    g = np.array([(h * np.sqrt(2), k) for h, k in ((1, 1), (1, -1), (0, 2), (2, 0), (2, 2), (1, 3))]) / A_COO
    rows = "".join(f"{x:.5f}, {y:.5f}, 0.005\n" for x, y in g)
    (tmp_path / "spots.csv").write_text(f"gx (1/nm), gy (1/nm), sigma (1/nm)\n{rows}")
    recipe = 'phases = ["CoO", "LiCoO2_O3", "Co3O4"]\n[[series]]\nfiles = ["spots.csv"]\nscale_sd = 0.005\n'
    run = execute(write(tmp_path, recipe), tmp_path / "run")
    record = of(run, "hrtem.region", "vectors", None)
    best = next(one for one in record.alternatives if one.chosen)
    assert best.name.startswith("CoO [1 1 0]")
    spacings = sorted(q.value or 0.0 for q in record.quantities if q.name == "lattice.d_spacing")
    assert np.allclose(spacings, np.sort(1 / np.hypot(*g.T)), rtol=1e-4)
    assert load_run(tmp_path / "run").grids


def test_layers_stand_beside_what_other_techniques_say_along_the_depth(tmp_path: Path) -> None:
    from layerscope.microscopy.beside import courses_along_depth

    from layerscope.records import Quantity, SampleState

    def place(depth: float, counts: float, technique: str = "eds", sample: str = "B-LCO") -> ResultRecord:
        quantity = Quantity(
            name="peak.net_area", value=counts, sigma=5.0, sigma_kind="counting", unit="counts", component="B K"
        )
        state = SampleState(sample=sample, depth_nm=depth)
        key = f"{int(depth * 10):064x}"
        return ResultRecord(
            record_id=key, technique=technique, method="m", method_version="1", state=state, quantities=(quantity,)
        )

    records = [place(4.0, 10.0), place(0.0, 200.0), place(2.0, 100.0), place(1.0, 9.0, sample="other")]
    (course,) = courses_along_depth([*records, place(3.0, 7.0, technique="hrtem")], "B-LCO", "hrtem")
    assert course.label == "B K"
    assert course.depth_nm.tolist() == [0.0, 2.0, 4.0]
    assert course.points.value.tolist() == [1.0, 0.5, 0.05]
    assert not courses_along_depth(records, "nobody", "hrtem")


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    """Real and simulated images of known content, with the priors that their files deserve."""
    folder = tmp_path_factory.mktemp("real")
    recipe = (
        'phases = ["LiCoO2_O3", "Co3O4", "CoO", "LiF", "Al", "SrTiO3", "graphene"]\n'
        '[[series]]\nname = "calibrated"\nfiles = ["lif_nanopoly_rings.tif", "ncem_16_STOimage_1.ser", "._image.dm4"]\n'
        '[[series]]\nname = "uncalibrated"\nfiles = ["hambach_graphene_defect_raw.tif"]\npixel_nm = "unknown"\n'
    )
    return execute(write(folder, recipe), folder / "run", data=shared_data / "hrtem")


def answer(run: RunSummary, series: str, frame: int | None) -> ResultRecord:
    (record,) = (
        r for r in run.run.records if r.method == "hrtem.region" and (r.state.series, r.state.frame) == (series, frame)
    )
    return record


def test_rings_of_nanocrystals_leave_every_phase_that_the_scale_allows_in_the_set(real: RunSummary) -> None:
    record = answer(real, "calibrated", 0)
    members = {one.name for one in record.alternatives if one.in_set and not one.comparison}
    assert {"LiF rings", "Al rings"} <= members
    assert any(one.comparison == "spots" for one in record.alternatives)
    assert any(q.component == "ring 1" or "ring 1:" in str(q.component) for q in record.quantities)
    assert any(flag.startswith("PHASE_AMBIGUOUS") for flag in record.flags)


def test_strontium_titanate_comes_first_and_says_that_the_stated_scale_is_off(real: RunSummary) -> None:
    record = answer(real, "calibrated", 1)
    best = next(one for one in record.alternatives if one.chosen and not one.comparison)
    assert best.name == "SrTiO3 [1 0 0]"
    assert any(flag.startswith("SCALE_OFF:-3") for flag in record.flags)
    scale = next(q for q in record.quantities if q.name == "image.scale")
    assert scale.value == pytest.approx(0.965, abs=0.01)  # the metadata are 3.0 and 4.2 % off


def test_two_grains_of_graphene_are_found_without_any_pixel_size(real: RunSummary) -> None:
    record = answer(real, "uncalibrated", None)
    best = next(one for one in record.alternatives if one.chosen and not one.comparison)
    assert best.name.startswith("graphene + graphene")
    spacings = [q.value or 0.0 for q in record.quantities if q.name == "lattice.d_spacing"]
    assert min(abs(d - 0.2131) for d in spacings) < 0.003
    assert not any(flag.startswith("SCALE_OFF") for flag in record.flags)
    turned = [q for q in record.quantities if q.name == "lattice.rotation"]
    assert len(turned) == 2
    apart = abs((turned[0].value or 0.0) - (turned[1].value or 0.0)) % 60.0
    assert 29.0 < apart < 31.0


def test_a_companion_file_of_macos_fails_alone_and_is_named_so(real: RunSummary) -> None:
    (failed,) = real.failed
    assert failed.problem is not None
    assert "macOS" in failed.problem.message
    assert real.warnings == ()


def test_a_strip_without_any_region_is_drawn_and_leaves_the_figures_of_the_others(tmp_path: Path) -> None:
    strip = np.random.default_rng(3).poisson(80.0, (40, 400)).astype(np.uint8)
    recipe = write(tmp_path, 'phases = ["CoO"]\n[[series]]\npixel_nm = 1.0\nfiles = ["strip.png"]\n', strip=strip)
    summary = execute(recipe, tmp_path / "run")
    assert summary.warnings == ()
    assert [one.flags for one in summary.run.records if any("NOT_INDEXABLE" in flag for flag in one.flags)]
    assert list((tmp_path / "run" / "figures").glob("*.png"))
