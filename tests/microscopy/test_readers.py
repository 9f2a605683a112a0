"""Images out of the files of microscopes: the right signal, the right size of a pixel, or why not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from layerscope.microscopy.readers import FORMATS, read_image
from layerscope.microscopy.readers.scale_bar import find_scale_bar

from layerscope.errors import DataError, LayerscopeError, ReaderError
from layerscope.measured import rosetta

from .written import fringes, write_mrc

pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")


@pytest.fixture
def files(shared_data: Path) -> Path:
    return shared_data / "hrtem"


RIGHT = {
    "lco_100_r17.tif": ((512, 512), 0.02),
    "coo_110_r41.tif": ((512, 512), 0.0187),
    "composite_vac_am3_rs3_layered.tif": ((320, 1024), 0.02),
    "ncem_16_STOimage_1.ser": ((1024, 1024), 0.0100127),
    "rsciio_multi_signal.dm3": ((512, 512), 0.0177516),
    "rsciio_FFTComplexEven.emd": ((128, 128), 27.1153),
    "rsciio_test_STEM_image.dm3": ((68, 68), 0.248538),
    "rsciio_test_loading_image_saved_with_imageJ.tif": ((68, 68), 168.675),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_real_file_opens_with_the_pixel_size_that_it_states(files: Path, name: str) -> None:
    image = read_image(files / name)
    shape, pixel = RIGHT[name]
    assert image.shape == shape
    assert image.pixel() == pytest.approx((pixel, pixel), rel=1e-4)
    assert image.intensity.dtype == np.float32
    assert image.scale.sd == 0.03


WHY_NOT = {
    "._image.dm4": "companion file that macOS leaves",
    "atomap_ADF_cropped.hdf5": "0.00932627 without a unit.*give pixel_nm",
    "hambach_graphene_defect_raw.tif": "size of a pixel .* not known.*give pixel_nm",
    "rsciio_test_loading_image_saved_with_imageJ_no_scale.tif": "size of a pixel .* not known",
    "ucam_soot_HRTEM.tif": "scale_bar_nm.*it has one of 89 pixels",
    "ncem_08_carbon.dm3": "no image of places.*an axis is an energy",
    "rsciio_fei_example_complex_fft.emd": "no image of places.*1 / µm",
    "rsciio_test_diffraction_pattern.dm3": "no image of places.*1/nm",
    "rsciio_example_object_dtype_data.emd": "no numbers",
    "rsciio_fei_example_tem_stack.emd": "3 x 3 pixels",
    "rsciio_test-23.dm4": "2 x 2 pixels",
    "truncated_STEM_image.dm3": "cut short",
    "rsciio_olympus_SIS.tif": "imagecodecs",
}


@pytest.mark.parametrize("name", WHY_NOT)
def test_a_real_file_that_is_no_image_says_why_and_is_named(files: Path, name: str) -> None:
    if name == "rsciio_olympus_SIS.tif":
        try:
            import imagecodecs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("imagecodecs is installed: the file can be read")
    with pytest.raises(LayerscopeError, match=WHY_NOT[name]) as caught:
        read_image(files / name)
    assert name in str(caught.value)


def test_every_file_of_the_folder_is_read_or_refused_with_a_typed_error(files: Path) -> None:
    known = {*RIGHT, *WHY_NOT}
    others = [f for f in sorted(files.iterdir()) if f.suffix != ".json" and f.name not in known]
    for file in others:
        said = ""
        try:
            assert min(read_image(file).pixel()) > 0
        except LayerscopeError as error:
            said = str(error)
        assert "pixel" in said or not said


def test_a_folder_leaves_the_companion_files_of_macos_out_and_goes_on(tmp_path: Path) -> None:
    write_mrc(tmp_path / "a.mrc", fringes(), (16.0, 12.8))
    (tmp_path / "._a.mrc").write_bytes(b"\x00\x05\x16\x07" + bytes(180))
    found = FORMATS.read(tmp_path, on_error="collect")
    assert [one.source for one in found.measurements] == ["a.mrc"]


def test_axes_in_angstrom_and_nanometres_in_one_file_come_out_right(files: Path) -> None:
    image = read_image(files / "ncem_nonsquare_diffpixel.dm4")
    assert image.pixel() == pytest.approx((0.2, 1.0))
    assert any(flag.startswith("PIXELS_OBLONG") for flag in image.flags)


@pytest.mark.parametrize(("apart", "oblong"), [(0.0002, False), (0.01, True)])
def test_pixel_sizes_that_only_rounding_sets_apart_are_one(tmp_path: Path, apart: float, oblong: bool) -> None:
    ny, nx = 64, 80
    path = write_mrc(tmp_path / "frame.mrc", fringes((ny, nx)), (nx * 0.2, ny * 0.2 * (1 + apart)))
    image = read_image(path)
    assert (image.pixel()[0] != image.pixel()[1]) is oblong
    assert any(flag.startswith("PIXELS_OBLONG") for flag in image.flags) is oblong


def test_a_pixel_size_of_zero_is_asked_for(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "zero.mrc", fringes(), (0.0, 0.0))
    with pytest.raises(DataError, match=r"the file gives 0 .*give pixel_nm"):
        read_image(path)
    assert read_image(path, pixel_nm=0.02).pixel() == (0.02, 0.02)


def test_a_stack_gives_its_mean_or_the_frame_that_is_named(tmp_path: Path) -> None:
    stack = fringes((3, 64, 80))
    path = write_mrc(tmp_path / "stack.mrc", stack, (16.0, 12.8))
    mean = read_image(path)
    assert np.allclose(mean.intensity, stack.mean(axis=0))
    (said,) = mean.flags
    assert said.startswith("STACK_ALIGNED:3 frames, drift 0.")
    assert np.array_equal(read_image(path, frame=2).intensity, stack[2])
    with pytest.raises(DataError, match="no frame 3"):
        read_image(path, frame=3)


def test_several_images_in_a_file_are_asked_for_by_number(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(fringes(), photometric="minisblack")
        file.write(fringes((40, 50)), photometric="minisblack")
    with pytest.raises(DataError, match=r"holds 2 images: 0 \(64 x 80\), 1 \(40 x 50\).*signal"):
        read_image(path, pixel_nm=0.02)
    assert read_image(path, pixel_nm=0.02, signal=1).shape == (40, 50)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["lco_100_r17.tif", "ncem_16_STOimage_1.ser", "rsciio_multi_signal.dm3"])
def test_a_real_file_that_was_cut_short_is_an_error_that_names_it(
    files: Path, tmp_path: Path, name: str, share: float
) -> None:
    path = tmp_path / name
    data = (files / name).read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ReaderError, match=name):
        read_image(path)


def test_an_mrc_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="bytes are declared"):
        read_image(write_mrc(tmp_path / "cut.mrc", fringes(), (16.0, 12.8), cut=100))


def test_what_does_not_fit_into_memory_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mrc(tmp_path / "large.mrc", fringes((512, 512)), (10.0, 10.0))
    monkeypatch.setattr(rosetta, "free_memory", lambda: 1_000_000)
    with pytest.raises(ReaderError, match=r"512 x 512 values need .* GB.*large|large.*512 x 512 values need"):
        read_image(path)


def test_an_image_larger_than_any_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.mrc"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1024 + 16384)
    with pytest.raises(ReaderError, match="no measurement is that large"):
        read_image(path)


BAD = {
    "constant": (np.full((64, 64), 7, np.uint16), "same value at every pixel"),
    "strip": (fringes((1, 4096)), "4096: a curve"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_image_that_shows_nothing_is_refused(tmp_path: Path, name: str) -> None:
    image, why = BAD[name]
    with pytest.raises(LayerscopeError, match=why):
        read_image(write_mrc(tmp_path / f"{name}.mrc", image, (10.0, 10.0)))


def write_tif(path: Path, image: np.ndarray, **how: object) -> Path:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(path, image, **how)
    return path


def test_pixels_that_are_no_numbers_are_left_out_and_told(tmp_path: Path) -> None:
    image = fringes().astype(np.float32)
    image[3:6, 10:14] = np.nan
    found = read_image(write_tif(tmp_path / "dead.tif", image), pixel_nm=0.02)
    assert found.valid is not None
    assert int((~found.valid).sum()) == 12
    assert np.isfinite(found.intensity).all()
    assert found.flags == ("PIXELS_LEFT_OUT:12 that are no numbers",)
    with pytest.raises(DataError, match="NaN or infinite"):
        read_image(write_tif(tmp_path / "nan.tif", np.full((64, 64), np.nan, np.float32)), pixel_nm=0.02)


def test_a_unit_that_the_program_did_not_keep_is_asked_for(tmp_path: Path) -> None:
    kept = {"imagej": True, "resolution": (50.0, 50.0), "metadata": {"unit": "nm"}}
    with pytest.raises(DataError, match=r"the file .*give pixel_nm"):
        read_image(write_tif(tmp_path / "fiji.tif", fringes(), **kept))


def test_a_picture_in_colours_is_turned_into_grey_and_told(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    colours = np.stack([fringes((64, 80), seed).astype(np.uint8) for seed in (1, 2, 3)], axis=-1)
    pillow.fromarray(colours).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match="give pixel_nm"):
        read_image(tmp_path / "photo.png")
    image = read_image(tmp_path / "photo.png", pixel_nm=0.02)
    assert np.allclose(image.intensity, colours.mean(axis=-1), atol=1e-3)
    assert image.flags == ("COLOURS_AVERAGED",)


def test_a_burned_in_scale_bar_is_masked_and_gives_the_pixel_size(files: Path) -> None:
    image = read_image(files / "ucam_soot_HRTEM.tif", scale_bar_nm=5.0)
    assert image.pixel()[0] == pytest.approx(5.0 / 89)
    assert image.valid is not None
    assert not image.valid[490:496, 16:105].any()
    assert 0.002 < (~image.valid).mean() < 0.01
    with pytest.raises(DataError, match="shows no scale bar"):
        read_image(files / "lco_100_r17.tif", scale_bar_nm=5.0)


@pytest.mark.parametrize("value", [0, 255])
def test_a_bar_is_found_by_its_rectangle_and_saturated_noise_is_none(value: int) -> None:
    noise = np.clip(np.random.default_rng(3).normal(128, 70, (256, 256)), 0, 255).astype(np.float32)
    assert find_scale_bar(noise) is None
    noise[230:236, 20:81] = value
    bar = find_scale_bar(noise)
    assert bar is not None
    assert 59 <= bar.window.nx <= 66  # neighbours of the same value may lengthen it
    assert bar.mask[230:236, 20:81].all()


def test_two_statements_of_the_pixel_size_that_differ_are_told(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", fringes(), (16.0, 12.8))  # 0.02 nm
    assert not read_image(path, pixel_nm=0.0201).flags
    (flag,) = read_image(path, pixel_nm=0.022).flags
    assert flag.startswith("SCALE_DISAGREES:the file's pixel size")


def test_images_are_read_out_of_an_archive_too(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", fringes(), (16.0, 12.8))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(path, "a.mrc")
        archive.write(path, "b.mrc")
    assert len(FORMATS.read(tmp_path / "all.zip").measurements) == 2


def test_what_is_no_image_at_all_is_of_no_known_format(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("1 2\n3 4\n")
    with pytest.raises(ReaderError, match="no known format"):
        read_image(path)


HEADS = {
    "gx gy\n2.0 0.5\n0 4\n": (2.0, 0.01),
    "# gx (1/A); gy (1/A); sigma (1/A)\n0.2;0.05;0.001\n0;0.4;0.001\n": (2.0, 0.01),
}


@pytest.mark.parametrize("text", HEADS)
def test_a_list_of_vectors_is_read_with_its_units(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spots.txt"
    path.write_text(text)
    (one,) = FORMATS.read(path).measurements
    assert one.vectors is not None
    assert one.vectors[0, 0] == pytest.approx(2.0)
    assert one.vectors[1, 1] == pytest.approx(4.0)
    assert one.vectors[0, 2] == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gx gy\n", "no vector"),
        ("gx gy\n1 2 3\n", "line 2 has not 2 numbers"),
        ("gx gy\n1 two\n", "line 2"),
        ("gx (nm) gy (nm)\n1 2\n", "no unit of reciprocal vectors"),
        ("gx gy sigma\n1 2 0\n", "not above zero"),
    ],
)
def test_a_list_of_vectors_that_is_none_says_why(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "spots.txt"
    path.write_text(text)
    with pytest.raises(ReaderError, match=why):
        FORMATS.read(path)
