"""Images of area detectors: what pyFAI makes of them, errors that counts have, and images that cannot be used."""

from __future__ import annotations

import importlib
import io
import struct
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyFAI", reason="pyFAI is not installed (pip install 'layerscope[area]')")
pytest.importorskip("fabio", reason="fabio is not installed (pip install 'layerscope[area]')")

import h5py
from layerscope.diffraction.area import image as area_image
from layerscope.diffraction.area.integration import IMAGES, Integration
from layerscope.diffraction.area.options import IntegrateTable
from layerscope.diffraction.pattern import Pattern
from layerscope.diffraction.peaks.recipe import PeaksRecipe
from layerscope.diffraction.rietveld.recipe import RietveldRecipe

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError
from layerscope.init import first_recipes
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.pipeline import find_pipeline
from layerscope.runs.plan import check_plan, make_plan


def benchmark(name: str) -> ModuleType:
    """Load a generator of the benchmarks: it shares no code with the package."""
    folder = str(Path(__file__).resolve().parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


sim = benchmark("area_simulation")
SHAPE = (120, 110)
SETUP = sim.Setup("small", SHAPE, 200e-6, 0.10, (0.007, 0.005), (0.05, -0.06, 0.4), polarization=0.95)
FWHM, LINE = 0.3, 2
LINES, HEIGHTS = sim.lab6_lines(SETUP, upto=30.0)
EXPECTED = SETUP.expected(LINES, [4.0 * h for h in HEIGHTS], FWHM, 30.0)


def counted(seed: int) -> Any:
    return np.random.default_rng(seed).poisson(EXPECTED).astype(np.int32)


def integration(folder: Path, **options: Any) -> Integration:
    (folder / "d.poni").write_text(SETUP.poni_text())
    table = IntegrateTable(poni="d.poni", **{"polarization": 0.95, **options})
    return Integration.of(table, lambda path: folder / path)


def pattern(folder: Path, image: Any, **options: Any) -> Pattern:
    (folder / "i.edf").write_bytes(sim.edf(image))
    return IMAGES.read(folder / "i.edf", prepare=integration(folder, **options).pattern).frames[0]


@pytest.fixture
def tifs() -> Any:
    return importlib.import_module("fabio.tifimage").TifImage


# --- patterns and their errors ----------------------------------------------------------------------------------------


def test_a_pattern_holds_the_mean_of_the_pixels_of_each_ring_and_the_error_of_their_counts(tmp_path: Path) -> None:
    image = counted(1)
    found = pattern(tmp_path, image, npt=150)
    y, x = (np.arange(n) + 0.5 for n in SHAPE)
    angle, worth = SETUP.seen(y[:, None], x[None, :])
    edges = np.linspace(angle.min(), angle.max(), 151)
    place = np.clip(np.digitize(angle.ravel(), edges) - 1, 0, 149)
    total, norm, number = (np.bincount(place, w, 150) for w in (image.ravel(), worth.ravel(), np.ones(image.size)))
    inside = (np.arange(6) + 0.5) / 6 - 0.5
    over = np.mean([SETUP.seen((y + a)[:, None], (x + b)[None, :])[0] for a in inside for b in inside], axis=0)
    centre = np.bincount(place, over.ravel(), 150) / number
    near = [int(np.argmin(np.abs(centre - one))) for one in found.axis]
    np.testing.assert_allclose(found.axis, centre[near], atol=2e-3)
    alike = np.abs(found.axis - centre[near]) < 2e-5  # a pixel at an edge may go to either bin
    assert alike.mean() > 0.85
    np.testing.assert_allclose(found.intensity[alike], (total / norm)[near][alike], rtol=2e-6)
    np.testing.assert_allclose(found.sigma()[alike], (np.sqrt(total) / norm)[near][alike], rtol=2e-6)
    assert found.radiation is not None
    assert found.radiation.alpha1 == pytest.approx(SETUP.wavelength)


def test_lines_lie_where_they_are_drawn_within_the_errors_that_counts_give(tmp_path: Path) -> None:
    use, pulls = integration(tmp_path), []
    for seed in range(40):
        (tmp_path / "i.edf").write_bytes(sim.edf(counted(seed)))
        one = IMAGES.read(tmp_path / "i.edf", prepare=use.pattern).frames[0].within((LINES[1] - 0.5, LINES[1] + 0.5))
        z = (one.axis - LINES[1]) / (1.07 * FWHM)  # a pixel smears a line a little
        line = 0.7 * np.exp(-4 * np.log(2) * z * z) + 0.3 / (1 + 4 * z * z)
        columns = np.stack([line, np.gradient(line, one.axis), np.ones_like(z), z], axis=1) / one.sigma()[:, None]
        covariance = np.linalg.inv(columns.T @ columns)
        value = covariance @ columns.T @ (one.intensity / one.sigma())
        shift = -value[1] / value[0]
        pulls.append(shift / (np.sqrt(covariance[1, 1]) / value[0]))
    assert abs(np.mean(pulls)) < 0.6
    assert 0.7 < np.std(pulls) < 1.35


@pytest.mark.parametrize("splitting", ["bbox", "full"])
def test_where_pixels_are_split_what_is_fitted_over_several_bins_has_no_smaller_error(
    splitting: str, tmp_path: Path
) -> None:
    image = counted(3)
    one, split = (pattern(tmp_path, image, npt=200, splitting=s) for s in ("no", splitting))
    low, high = LINES[1] - 1.0, LINES[1] + 1.0

    def weight(found: Pattern) -> float:
        return float((1 / found.within((low, high)).sigma() ** 2).sum())

    assert weight(split) == pytest.approx(weight(one), rel=0.1)


def test_every_format_gives_the_same_pattern(tmp_path: Path, tifs: Any) -> None:
    image = counted(4)
    cbf = importlib.import_module("fabio.cbfimage").CbfImage
    cbf(data=image).write(str(tmp_path / "i.cbf"))
    tifs(data=image.astype(np.uint16)).write(str(tmp_path / "i.tif"))
    with h5py.File(tmp_path / "i.h5", "w") as file:
        file["entry/data/data"] = image[None].astype(np.uint32)
    wanted = pattern(tmp_path, image)
    for name in ("i.cbf", "i.tif", "i.h5"):
        found = IMAGES.read(tmp_path / name, prepare=integration(tmp_path).pattern).frames[0]
        np.testing.assert_array_equal(found.intensity, wanted.intensity)
        np.testing.assert_array_equal(found.sigma(), wanted.sigma())


def test_a_file_of_several_images_is_as_many_frames(tmp_path: Path) -> None:
    images = [counted(seed) for seed in range(3)]
    (tmp_path / "m.edf").write_bytes(b"".join(sim.edf(one) for one in images))
    pages = [importlib.import_module("PIL.Image").fromarray(one.astype(np.uint16)) for one in images]
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=pages[1:])
    for name in ("m.edf", "m.tif"):
        found = IMAGES.read(tmp_path / name, prepare=integration(tmp_path).pattern)
        assert [one.scan for one in found.frames] == [0, 1, 2]
        np.testing.assert_array_equal(found.frames[2].intensity, pattern(tmp_path, images[2]).intensity)


def test_a_compressed_stack_is_as_many_frames_with_a_time_each(tmp_path: Path) -> None:
    plugin = importlib.import_module("hdf5plugin")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        stack = np.stack([counted(seed) for seed in range(3)]).astype(np.uint32)
        dead = np.zeros(SHAPE, np.uint32)
        dead[40, 50] = 1
        stack[:, 40, 50] = 2**32 - 1
        file.create_dataset("entry/data/data_000001", data=stack, chunks=(1, *SHAPE), **plugin.Bitshuffle())
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = dead
        file["entry/instrument/detector/detectorSpecific/data_collection_date"] = "2026-05-01T10:00:00"
        file["entry/instrument/detector/frame_time"] = 0.5
    found = IMAGES.read(tmp_path / "s.h5", prepare=integration(tmp_path).pattern)
    assert len(found) == 3
    start = found.frames[0].start_time
    assert start is not None
    assert [(f.start_time - start).total_seconds() for f in found.frames if f.start_time] == [0.0, 0.5, 1.0]
    assert [f.metadata["pixels_bad"] for f in found.frames] == ["1", "1", "1"]
    assert not any(key.startswith("flag") for key in found.frames[0].metadata)
    np.testing.assert_allclose(found.frames[1].intensity, pattern(tmp_path, counted(1)).intensity, rtol=0.05)


def test_bins_are_equal_in_the_unit_asked_for_and_the_axis_is_two_theta(tmp_path: Path) -> None:
    found = pattern(tmp_path, counted(5), unit="q_A^-1", npt=60)
    q = 4 * np.pi / SETUP.wavelength * np.sin(np.radians(found.axis / 2))
    assert found.axis_kind == "two_theta"
    assert np.ptp(np.diff(q)[5:-5]) < 0.3 * np.median(np.diff(q))


def test_azimuth_and_radial_range_cut_out_a_sector(tmp_path: Path) -> None:
    whole = pattern(tmp_path, counted(6))
    part = pattern(tmp_path, counted(6), azimuth=(-20.0, 30.0), radial_range=(8.0, 15.0))
    assert part.axis[0] >= 7.9
    assert part.axis[-1] <= 15.0
    inside = part.within((9.0, 14.0))
    assert np.median(inside.sigma()) > 1.2 * np.median(whole.within((9.0, 14.0)).sigma())


# --- pixels that are none, and counts that are none -------------------------------------------------------------------


def test_masked_and_dead_pixels_do_not_count(tmp_path: Path) -> None:
    image, mask = counted(7), np.zeros(SHAPE, np.int32)
    mask[:, 60:70] = 1
    np.save(tmp_path / "m.npy", mask.astype(bool))
    wanted = pattern(tmp_path, image, mask="m.npy")
    harmed = image.copy()
    harmed[:, 60:70] = 1_000_000
    np.testing.assert_array_equal(pattern(tmp_path, harmed, mask="m.npy").intensity, wanted.intensity)
    image[20, 20] = -2
    found = pattern(tmp_path, image)
    assert found.metadata["pixels_bad"] == "1"
    assert (found.intensity[found.intensity != found.intensity[0]] > 0).all()


def test_a_ring_with_saturated_pixels_is_left_out_and_said(tmp_path: Path) -> None:
    image = counted(8)
    limit = int(0.6 * image.max())
    found = pattern(tmp_path, np.minimum(image, limit), saturated_from=limit, errors="poisson")
    assert found.metadata["flag saturated"].startswith("PIXELS_SATURATED:")
    assert found.use is not None
    assert 0 < (~found.use).sum() < 0.5 * found.use.size
    assert np.isfinite(found.intensity).all()
    assert np.isinf(found.sigma()[~found.use]).all()


def test_errors_of_pixels_that_are_no_counts_come_from_their_scatter(tmp_path: Path, tifs: Any) -> None:
    image = counted(9)
    tifs(data=(image / 7).astype(np.float32)).write(str(tmp_path / "f.tif"))
    found = IMAGES.read(tmp_path / "f.tif", prepare=integration(tmp_path, npt=60).pattern).frames[0]
    counts = pattern(tmp_path, image, npt=60)
    assert found.metadata["flag errors"] == "ERRORS_AZIMUTHAL"
    background = (found.axis > 9.0) & (found.axis < 10.5)
    ratio = 7 * found.sigma()[background] / counts.sigma()[background]
    assert 0.8 < np.median(ratio) < 1.3
    with pytest.raises(DataError, match="not counts"):
        IMAGES.read(tmp_path / "f.tif", prepare=integration(tmp_path, errors="poisson").pattern)


def test_where_rings_are_spots_of_grains_errors_are_those_of_the_spots(tmp_path: Path) -> None:
    use, found = integration(tmp_path), []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        spots = np.where(1.5 * np.median(EXPECTED) < EXPECTED, rng.gamma(2.0, 0.5, SHAPE), 1.0)
        (tmp_path / "i.edf").write_bytes(sim.edf(rng.poisson(4 * EXPECTED * spots).astype(np.int32)))
        found.append(IMAGES.read(tmp_path / "i.edf", prepare=use.pattern).frames[0])
    assert all(one.metadata["flag grains"].startswith("RINGS_GRAINY:") for one in found)
    ring = (np.abs(found[0].axis - LINES[1]) < 0.15) & (found[0].axis > 0)
    truth = pattern(tmp_path, np.rint(4000 * EXPECTED).astype(np.int32)).intensity / 1000
    pulls = np.array([((one.intensity - truth) / one.sigma())[ring] for one in found])
    assert 0.75 < pulls.std() < 1.3
    assert "flag grains" not in pattern(tmp_path, counted(20)).metadata


def test_whole_numbers_that_scatter_otherwise_than_counts_are_told(tmp_path: Path) -> None:
    image = 3 * counted(10)
    found = pattern(tmp_path, image)
    name, ratio = found.metadata["flag errors"].split(":")
    assert name == "ERRORS_AZIMUTHAL"
    assert float(ratio) == pytest.approx(3.0, rel=0.1)
    assert pattern(tmp_path, image, errors="poisson").metadata["flag errors"].startswith("NOT_COUNTS:")
    assert "flag errors" not in pattern(tmp_path, counted(10)).metadata


def test_an_image_that_is_turned_against_its_geometry_is_told_and_orientation_turns_it(tmp_path: Path) -> None:
    image = counted(11)
    wanted, turned = pattern(tmp_path, image), pattern(tmp_path, image[::-1])
    assert "flag rings" not in wanted.metadata
    assert turned.metadata["flag rings"].startswith("RINGS_UNEVEN:")
    np.testing.assert_allclose(pattern(tmp_path, image[::-1], orientation=2).intensity, wanted.intensity, rtol=0.02)


def test_a_hot_pixel_does_not_make_counts_of_no_use(tmp_path: Path) -> None:
    image = counted(12)
    image[30, 40] = image[80, 20] = 100_000
    assert pattern(tmp_path, image).metadata["errors"] == "poisson"


# --- what cannot be used ----------------------------------------------------------------------------------------------


def harmed(folder: Path, tifs: Any) -> dict[str, tuple[bytes, str]]:
    image, stream = counted(11), io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["entry/data/data"] = image[None]
    whole = sim.edf(image)
    importlib.import_module("fabio.cbfimage").CbfImage(data=image).write(str(folder / "x.cbf"))
    tifs(data=image.astype(np.uint16)).write(str(folder / "x.tif"))
    cbf, tif = (folder / "x.cbf").read_bytes(), (folder / "x.tif").read_bytes()
    flipped = bytearray(cbf)
    flipped[-3000] ^= 64
    wide = tif.replace(struct.pack("<HHII", 256, 4, 1, SHAPE[1]), struct.pack("<HHII", 256, 4, 1, 10**6))
    assert wide != tif
    return {
        "cut.edf": (whole[:-500], "cut off"),
        "cut.cbf": (cbf[:-5000], "cut off"),
        "flipped.cbf": (bytes(flipped), "checksum"),
        "cut.tif": (tif[:-500], "cut off"),
        "cut.h5": (stream.getvalue()[:-2000], "cut short"),
        "wide.tif": (wide, "no detector is that large|cut off"),
        "huge.edf": (whole.replace(b"Dim_1 = 110", b"Dim_1 = 110000000"), "cut off|large"),
        "other.edf": (sim.edf(image[:100]), "100 x 110 pixels"),
        "text.edf": (b"these are no pixels", "no known format"),
    }


def test_damaged_images_are_refused_each_with_its_reason(tmp_path: Path, tifs: Any) -> None:
    use = integration(tmp_path)
    for name, (data, reason) in harmed(tmp_path, tifs).items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ReaderError, match=reason):
            IMAGES.read(tmp_path / name, prepare=use.pattern)


def test_a_cbf_whose_header_lacks_its_section_is_not_waited_for(tmp_path: Path) -> None:
    image = counted(13)
    importlib.import_module("fabio.cbfimage").CbfImage(data=image).write(str(tmp_path / "i.cbf"))
    data = (tmp_path / "i.cbf").read_bytes()
    (tmp_path / "i.cbf").write_bytes(data.replace(b"--CIF-BINARY-FORMAT-SECTION--", b"--CIF-BINARY-FORMAT-SECT#ON--"))
    found = IMAGES.read(tmp_path / "i.cbf", prepare=integration(tmp_path).pattern).frames[0]
    np.testing.assert_array_equal(found.intensity, pattern(tmp_path, image).intensity)


def test_a_stack_whose_frames_would_not_fit_into_memory_is_refused_by_its_header(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("entry/data/data", shape=(2, 9000, 9000), dtype="u4", chunks=(1, 100, 100))
    with pytest.raises(ReaderError, match="no detector is that large"):
        IMAGES.read(tmp_path / "s.h5", prepare=integration(tmp_path).pattern)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("entry/data/data", shape=(900, 1000, 1000), dtype="u4", chunks=(900, 1000, 1000))
    with pytest.raises(ReaderError, match=r"block of 3\.6 GB"):
        IMAGES.read(tmp_path / "b.h5", prepare=integration(tmp_path).pattern)


def test_images_that_lie_in_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["d"] = counted(1)[None]
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_group("entry/data")["data_000001"] = h5py.ExternalLink("data.h5", "/d")
    with pytest.raises(ReaderError, match="lie in other files"):
        IMAGES.read(tmp_path / "master.h5", prepare=integration(tmp_path).pattern)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Distance: 0.1", "Distance: nan", "not a number"),
        ("Distance: 0.1", "Place: 1", "does not say the distance"),
        ("Detector: Detector", "Detector: /etc/passwd", "not one of pyFAI's"),
        ('"orientation": 3', '"orientation": 3, "splineFile": "x.spline"', "further file"),
        ("Wavelength: 4.139e-11", "Wavelength: 0.4139", "lies outside"),
        ('"pixel1": 0.0002', '"pixel1": -0.0002', "pixels of the detector"),
    ],
)
def test_a_geometry_that_cannot_be_used_is_refused(old: str, new: str, reason: str, tmp_path: Path) -> None:
    text = SETUP.poni_text().replace(old, new)
    assert text != SETUP.poni_text()
    (tmp_path / "d.poni").write_text(text)
    with pytest.raises(LayerscopeError, match=reason):
        Integration.of(IntegrateTable(poni="d.poni"), lambda path: tmp_path / path)


def test_without_the_libraries_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(area_image, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"layerscope\[area\]"):
        integration(tmp_path)


# --- the pipelines ----------------------------------------------------------------------------------------------------

RECIPE = f"""layerscope = 1
pipeline = "xrd_peaks"
sample = "LaB6"
components = "none"
[[reflections]]
name = "(110)"
range_2theta = [{LINES[1] - 1.1:.2f}, {LINES[1] + 1.1:.2f}]
d_to_a = 1.41421356237
[[series]]
name = "images"
files = ["i_*.edf"]
[series.integrate]
poni = "d.poni"
polarization = 0.95
"""


def run_of(folder: Path, recipe: str) -> Run:
    (folder / "d.poni").write_text(SETUP.poni_text())
    (folder / "r.toml").write_text(recipe)
    return execute(folder / "r.toml", folder / "run", figures=False).run


def test_images_become_records_that_say_how_and_a_broken_one_fails_alone(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"i_{number}.edf").write_bytes(sim.edf(counted(number))[: -999 if number == 2 else None])
    (tmp_path / "m.edf").write_bytes(sim.edf(np.eye(*SHAPE, dtype=np.int32)))
    run = run_of(tmp_path, RECIPE + 'mask = "m.edf"\n')
    frames = run.select(method="xrd_peaks.shift").records
    assert [r.state.frame for r in frames if r.status != "failed"] == [0, 1, 3]
    failed = [r for r in run.records if r.status == "failed"]
    assert [(r.state.frame, r.problem and "cut off" in r.problem.message) for r in failed] == [(2, True)]
    for record in frames:
        a = record.get("lattice.a", "(110)")
        assert a.sigma is not None
        assert abs(a.value - sim.LAB6_A) < min(4 * a.sigma, 2e-4 * sim.LAB6_A)
        assert "pyFAI" in record.software
        told = " ".join(record.notes)
        assert "method no/csr/cython" in told
        assert "poni distance 0.1" in told
        assert "13090 of 120 x 110" in told
        known = {i.path: i.sha256 for i in record.inputs}
        assert {"d.poni", "m.edf"} < set(known)
        assert known["m.edf"] in told
    recipe = frames[0].recipe["series"][0]["integrate"]
    assert recipe["errors"] == "auto"
    assert recipe["polarization"] == 0.95


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('mask = "none.edf"\n', "no such file"),
        ('mask = "small.npy"\n', "10 x 10 pixels"),
        ("[radiation]\nwavelength = 0.4149\n", "calibrated with 0.4139"),
    ],
)
def test_a_series_whose_integration_cannot_be_set_up_is_one_failed_record(
    more: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "i_0.edf").write_bytes(sim.edf(counted(0)))
    np.save(tmp_path / "small.npy", np.zeros((10, 10), bool))
    (record,) = run_of(tmp_path, RECIPE + more).records
    assert record.status == "failed"
    assert record.problem is not None
    assert reason in record.problem.message


def test_a_first_recipe_of_images_takes_geometry_and_mask_that_lie_beside_them(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"i_{number}.edf").write_bytes(sim.edf(counted(number), Date=f"2026-05-01T10:0{number}:00"))
    (tmp_path / "mask.edf").write_bytes(sim.edf(np.eye(*SHAPE, dtype=np.int32)))
    (tmp_path / "d.poni").write_text(SETUP.poni_text())
    _, left, _ = first_recipes([tmp_path], tmp_path / "r.toml")
    made = tomllib.loads((tmp_path / "r.toml").read_text())
    assert not left
    (series,) = made["series"]
    assert made["pipeline"] == "xrd_peaks"
    assert series["integrate"] == {"poni": "d.poni", "mask": "mask.edf"}
    assert series["files"] == ["i_0.edf", "i_1.edf", "i_2.edf"]
    assert check_plan(make_plan(tmp_path / "r.toml")) == []


def test_a_first_recipe_does_not_guess_between_geometries(tmp_path: Path) -> None:
    (tmp_path / "i.edf").write_bytes(sim.edf(counted(0)))
    for name in ("a.poni", "b.poni"):
        (tmp_path / name).write_text(SETUP.poni_text())
    with pytest.raises(ReaderError, match=r"a\.poni, b\.poni"):
        first_recipes([tmp_path], tmp_path / "r.toml")


@pytest.mark.parametrize("pipeline", ["xrd_peaks", "rietveld"])
def test_rings_are_taken_as_free_of_what_only_a_goniometer_has(pipeline: str) -> None:
    series = {"files": ["i.edf"], "integrate": {"poni": "d.poni", "polarization": 0.95}}
    if pipeline == "xrd_peaks":
        line = {"name": "(110)", "range_2theta": [7.0, 9.0]}
        made = PeaksRecipe.model_validate({"sample": "x", "series": [series], "reflections": [line]})
        assert made.axial is False
        assert made.reflections[0].axial is False
        return
    pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")
    phases = [{"name": "LaB6", "library": "LaB6"}]
    given = {"sample": "x", "series": [series], "phases": phases, "instrument": {"polarisation": 1.0}}
    recipe = RietveldRecipe.model_validate(given)
    assert recipe.instrument.sh_l == 0.0
    freed = recipe.refinement_plan(recipe.plan).tokens()
    assert "cell" in freed
    assert not {"displacement", "sh_l"} & set(freed)
    with pytest.raises(ValueError, match="polarisation"):
        RietveldRecipe.model_validate({**given, "instrument": {}})


def test_an_image_is_told_from_one_that_is_still_written(tmp_path: Path) -> None:
    pipeline = find_pipeline("xrd_peaks")
    whole = sim.edf(counted(0))
    (tmp_path / "i.edf").write_bytes(whole)
    with pytest.raises(DataError, match=r"\[series.integrate\]"):
        pipeline.recording(tmp_path / "i.edf")  # type: ignore[attr-defined]
    (tmp_path / "i.edf").write_bytes(whole[:-4000])
    with pytest.raises(ReaderError, match="cut off"):
        pipeline.recording(tmp_path / "i.edf")  # type: ignore[attr-defined]
