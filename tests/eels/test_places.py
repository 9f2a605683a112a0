from __future__ import annotations

import numpy as np
import pytest
from layerscope.spectra.eels.options import ScanTable
from layerscope.spectra.eels.places import scan_of
from layerscope.spectra.eels.spectrum import SpectrumImage

from layerscope.errors import DataError
from layerscope.measured.series import Level, MeasuredSeries
from layerscope.records import SampleState

ENERGY = np.arange(100.0, 200.0)
IMAGE = np.arange(2 * 6 * 100).reshape(2, 6, 100)


def image(scan: int, kind: str = "EDS") -> SpectrumImage:
    total = IMAGE.sum((0, 1)).astype(float)
    return SpectrumImage(ENERGY, total, image=IMAGE, step_nm=(3.0, 3.0), kind=kind, scan=scan, source="a.emd")


def single(scan: int, kind: str = "EDS") -> SpectrumImage:
    return SpectrumImage(ENERGY, np.ones(100), kind=kind, scan=scan, source="a.emd")


def series(*spectra: SpectrumImage) -> MeasuredSeries[SpectrumImage]:
    levels = tuple(Level(k, 0, one) for k, one in enumerate(spectra))
    return MeasuredSeries(whole=SampleState(sample="s"), levels=levels)


def table(**more: object) -> ScanTable:
    return ScanTable.model_validate({"files": ["a.emd"], **more})


def test_an_image_is_a_scan_along_its_longer_side_and_places_across_it_are_summed() -> None:
    scan = scan_of(series(image(0)), table(), "EDS")
    assert np.array_equal(scan.counts, IMAGE.sum(axis=0))
    assert scan.along[0].tolist() == [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]
    assert scan.along[1:] == ("depth", "nm")


def test_the_other_side_and_sums_of_neighbours_can_be_asked_for() -> None:
    assert np.array_equal(scan_of(series(image(0)), table(along="y"), "EDS").counts, IMAGE.sum(axis=1))
    scan = scan_of(series(image(0)), table(bin=2, start_nm=1.0), "EDS")
    assert np.array_equal(scan.counts[0], IMAGE.sum(axis=0)[:2].sum(axis=0))
    assert scan.along[0].tolist() == [1.0, 7.0, 13.0]


def test_spectra_of_single_detectors_and_of_another_kind_beside_an_image_are_left_out_and_named() -> None:
    scan = scan_of(series(single(0), single(1), image(2, "EELS"), image(3)), table(), "EDS")
    assert len(scan.places) == 6
    assert scan.places[0].level.measurement.scan == 3
    assert scan.notes == ("a.emd: 3 other spectra of the file are left out",)
    assert not scan.rejected


def test_of_several_images_one_has_to_be_named() -> None:
    found = series(image(0), image(1))
    with pytest.raises(DataError, match="it holds 2 images: 0, 1"):
        scan_of(found, table(), "EDS")
    assert scan_of(found, table(signal=1), "EDS").places[0].level.measurement.scan == 1


def test_a_file_of_another_kind_is_refused_alone() -> None:
    good, bad = series(single(0)), series(single(0, "EELS"))
    with pytest.raises(DataError, match="holds no EDS"):
        scan_of(bad, table(), "EDS")
    assert scan_of(good, table(), "EDS").along[1:] == ("place", "1")


def test_a_falling_axis_is_turned_round_with_its_image() -> None:
    one = SpectrumImage(ENERGY[::-1], IMAGE.sum((0, 1)).astype(float), image=IMAGE).placed(0, "a", 0)
    assert one.axis[0] == 100.0
    assert one.image is not None
    assert np.array_equal(one.image, IMAGE[..., ::-1])
