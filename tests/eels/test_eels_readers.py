from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.eels.readers import FORMATS

from layerscope.errors import DataError, ReaderError
from layerscope.measured import rosetta

from .simulated_xrays import write_hspy

pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")

HEAD = """#FORMAT : EMSA/MAS Spectral Data File
#VERSION : 1.0
#TITLE : {title}
#NPOINTS : {points}
#NCOLUMNS : 1
#XUNITS : eV
#YUNITS : Counts
#DATATYPE : {kind}
#XPERCHAN : {step}
#OFFSET : 500
#SIGNALTYPE : ELS
#BEAMKV : 300000.0
#SPECTRUM :
"""


def msa(folder: Path, rows: list[str], kind: str = "XY", points: int | None = None, step: str = "0.5") -> Path:
    head = HEAD.format(title="test", points=len(rows) if points is None else points, kind=kind, step=step)
    path = folder / "one.msa"
    path.write_text(head + "\n".join(rows) + "\n#ENDOFDATA :\n")
    return path


def pairs(count: int = 40) -> list[str]:
    return [
        f"{500 + 0.5 * k:.6e}, {1000 - k:.6e}".replace("e+02", "e+002").replace("e+03", "e+003") for k in range(count)
    ]


def test_pairs_with_exponents_of_three_digits_are_read(tmp_path: Path) -> None:
    (one,) = FORMATS.read(msa(tmp_path, pairs())).measurements
    assert np.allclose(one.axis, 500 + 0.5 * np.arange(40))
    assert np.allclose(one.intensity, 1000 - np.arange(40))
    assert (one.kind, one.beam_kV, one.title) == ("EELS", 300.0, "test")


def test_energies_that_were_written_point_by_point_count_more_than_the_header(tmp_path: Path) -> None:
    (one,) = FORMATS.read(msa(tmp_path, pairs(), step="0.7")).measurements
    assert np.allclose(one.axis, 500 + 0.5 * np.arange(40))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_spectrum_that_was_cut_short_is_an_error(tmp_path: Path, share: float) -> None:
    path = msa(tmp_path, pairs())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ReaderError, match=r"one\.msa"):
        FORMATS.read(path)


def test_fewer_points_than_declared_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="41 points are declared, 40 are there"):
        FORMATS.read(msa(tmp_path, pairs(), points=41))


def test_a_point_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ReaderError, DataError)):
        FORMATS.read(msa(tmp_path, [*pairs(39), "5.195000e+002, nan"]))


def test_every_real_file_opens_with_the_axis_that_it_states(shared_data: Path) -> None:
    shapes = {
        "Extracted_Spectrum_1.msa": (2048, 440.0, 0.3),
        "oxygen_edge.msa": (2036, 443.6, 0.3),
        "eelsdb_YAG_O_K.msa": (1340, 510.0, 0.1),
        "TM+O_EELS_Spectrum_Image.dm3": (2048, 440.0, 0.3),
    }
    for name, (points, start, step) in shapes.items():
        (one,) = FORMATS.read(shared_data / "eels" / name).measurements
        assert one.axis.size == points
        assert one.axis[0] == pytest.approx(start, abs=1e-4)
        assert one.axis[1] - one.axis[0] == pytest.approx(step, abs=1e-4)
        assert one.kind == "EELS"


def test_a_spectrum_image_has_its_places_and_their_distance(shared_data: Path) -> None:
    (one,) = FORMATS.read(shared_data / "eels" / "TM+O_EELS_Spectrum_Image.dm3").measurements
    assert one.image is not None
    assert one.image.shape == (2, 21, 2048)
    assert one.step_nm[1] == pytest.approx(2.0459, abs=1e-3)
    assert np.allclose(one.image.sum((0, 1), dtype=float), one.intensity)


@pytest.mark.parametrize(
    "name",
    ["ncem_nonsquare_diffpixel.dm4", "rsciio_fei_example_complex_fft.emd", "rsciio_example_object_dtype_data.emd"],
)
def test_what_holds_no_spectrum_is_refused_by_name(shared_data: Path, name: str) -> None:
    with pytest.raises(ReaderError, match=name):
        FORMATS.read(shared_data / "hrtem" / name)


def test_a_hyperspy_file_is_read_in_the_order_of_its_axes(tmp_path: Path) -> None:
    image = np.random.default_rng(1).poisson(5.0, (2, 3, 1000)).astype("uint16")
    write_hspy(tmp_path / "map.hspy", image)
    (one,) = FORMATS.read(tmp_path / "map.hspy").measurements
    assert one.kind == "EDS"
    assert one.image is not None
    assert np.array_equal(one.image, image)
    assert one.axis[0] == pytest.approx(5.0)
    assert one.step_nm == (2.0, 2.0)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_files_give_an_error_that_names_them(tmp_path: Path, shared_data: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    write_hspy(tmp_path / "map.hspy", rng.poisson(5.0, (2, 3, 1000)).astype("uint16"))
    (tmp_path / "scan.dm3").write_bytes((shared_data / "eels" / "TM+O_EELS_Spectrum_Image.dm3").read_bytes())
    for path in (tmp_path / "map.hspy", tmp_path / "scan.dm3"):
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
        cut = data[: int(data.size * rng.uniform(0.05, 0.95))]
        cut[rng.integers(0, min(3000, cut.size), 40)] = rng.integers(0, 256, 40)
        path.write_bytes(cut.tobytes())
        with pytest.raises((ReaderError, DataError), match=path.name):
            FORMATS.read(path)


def test_an_image_that_does_not_fit_into_memory_is_refused_before_it_is_loaded(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rosetta, "free_memory", lambda: 409_600)
    with pytest.raises(ReaderError, match=r"need 0\.0 GB"):
        FORMATS.read(shared_data / "eels" / "TM+O_EELS_Spectrum_Image.dm3")


def test_reading_leaves_warnings_and_loggers_as_they_were(tmp_path: Path) -> None:
    path = msa(tmp_path, pairs())
    FORMATS.read(path)
    root = logging.getLogger()
    before = (list(warnings.filters), root.level, list(root.handlers), logging.root.manager.disable)
    FORMATS.read(path)
    assert before == (list(warnings.filters), root.level, list(root.handlers), logging.root.manager.disable)


def test_nothing_heavy_is_imported_by_the_pipeline_and_nothing_of_hyperspy_by_reading(tmp_path: Path) -> None:
    path = msa(tmp_path, pairs())
    code = (
        "import sys, logging\n"
        "from layerscope.spectra.eels.pipeline import PIPELINE\n"
        "assert not {'rsciio', 'dask', 'hyperspy', 'exspy', 'matplotlib'} & set(sys.modules)\n"
        f"PIPELINE.formats.read({str(path)!r})\n"
        "assert not {'hyperspy', 'exspy', 'larch', 'matplotlib', 'requests'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
