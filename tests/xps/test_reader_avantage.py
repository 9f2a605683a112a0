from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import FORMATS, read

from layerscope.errors import DataError, LayerscopeError, ReaderError

HV = 1486.68
START, STEP = 1290.0, 0.5
COUNTS = np.array([10.0, 12.0, 30.0, 28.0, 11.0, 9.0])
BINDING = np.sort(HV - (START + STEP * np.arange(6)))


def dump(
    blocks: Sequence[tuple[Sequence[str], Sequence[float] | np.ndarray]] = (((), COUNTS),),
    *,
    axes: Sequence[str] = (),
    title: str = "B1s Scan",
    more: str = "",
) -> str:
    """Write a data space as Avantage dumps it: four values a line."""
    text = f""";================
;Dump of DataSpace 'C:\\data\\{title}.VGD'
;================
$FORMAT=4
$PROPERTIES=SUM
DS_EXT_SUPROPID_TITLE       : VT_BSTR = '{title}'
DS_EXT_SUPROPID_SUBJECT     : VT_BSTR = 'film'
$PROPERTIES=STD
DS_SOPROPID_ENERGY                          : VT_R4   = {HV:.6f}
DS_ACPROPID_ACQ_TIME                        : VT_R4   = 0.050000
DS_ACPROPID_PERIODS                         : VT_I4   = 10
DS_ANPROPID_PASS                            : VT_R4   = 50.000000
{more}$DATAAXES={1 + bool(axes)},#empty#
    0=  0, 5, 1
$SPACEAXES={1 + len(axes)}
    0= {START:f}, {STEP:f}, 6, ENERGY, LINEAR, 'E', 'eV', 'Energy'
"""
    text += "".join(f"    {i}= {axis}\n" for i, axis in enumerate(axes, start=1))
    for number, (places, values) in enumerate(blocks):
        text += "".join(f"$AXISVALUE= DATAXIS=1 SPACEAXIS={place} POINT={number} VALUE={{}};\n".format(at)
                        for place, at in (p.rsplit("=", 1) for p in places))  # fmt: skip
        text += f"$DATA=*{f',{number}' if axes else ''}\n"
        for k in range(0, len(values), 4):
            text += f"LIST@ {k:3d}= " + ", ".join(f"{v:.6f}" for v in values[k : k + 4]) + "\n"
    return text


ETCHED = ("0.0, 5.0, 3, ETCHTIME, NON-LINEAR, 'EtchTime', 's', 'Etch Time'",
          "0.0, 1.0, 3, ETCHLEVEL, LINEAR, 'EtchLevel', '', 'Etch Level'")  # fmt: skip
TIMES = (0.0, 5.0, 12.5)
PROFILE = dump(
    [((f"1 LABEL='Etch Time'={t}", f"2 LABEL='Etch Level'={k}"), COUNTS + k) for k, t in enumerate(TIMES)], axes=ETCHED
)


def write(folder: Path, text: str | bytes, name: str = "film.avg") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_spectrum_opens_with_binding_energies_counts_and_settings(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, dump())).spectra
    np.testing.assert_allclose(spectrum.axis, BINDING)
    np.testing.assert_array_equal(spectrum.counts, COUNTS[::-1])
    assert (spectrum.region, spectrum.sample, spectrum.intensity_unit) == ("B 1s", "film", "counts")
    assert (spectrum.exposure_s, spectrum.pass_energy_eV) == (pytest.approx(0.5), 50.0)
    assert spectrum.excitation_energy_eV == pytest.approx(HV)


def test_a_depth_profile_takes_its_times_from_the_axis_of_etching(tmp_path: Path) -> None:
    levels = read(write(tmp_path, PROFILE)).levels("B 1s")
    assert [s.etch_time_s for s in levels] == list(TIMES)
    assert [s.counts[0] for s in levels] == [9.0, 10.0, 11.0]


def test_points_are_samples_of_their_own(tmp_path: Path) -> None:
    axes = ("1.0, 1.0, 2, POSITION, LINEAR, 'Pos', '', 'Position'", "0.0, 0.0, 2, X, NON-LINEAR, 'X', 'um', 'X'")
    blocks = [((f"1 LABEL='Position'='P{k}'",), COUNTS) for k in range(2)]
    assert [s.sample for s in read(write(tmp_path, dump(blocks, axes=axes))).spectra] == ["P0", "P1"]


def test_a_binding_axis_is_taken_as_it_is(tmp_path: Path) -> None:
    more = "DS_ACPROPID_EV_SCALE                        : VT_I2   = 2\n"
    (spectrum,) = read(write(tmp_path, dump(more=more))).spectra
    np.testing.assert_allclose(spectrum.axis, START + STEP * np.arange(6))


def test_the_old_mark_of_a_file_in_utf_16_is_known(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, dump().encode("utf-16"))).spectra
    np.testing.assert_array_equal(spectrum.counts, COUNTS[::-1])


def test_a_file_cut_within_its_values_is_refused(tmp_path: Path) -> None:
    start = PROFILE.index("$DATA")
    last = PROFILE.rindex(",")
    for keep in (*range(40, start, 61), *range(start, last, 17)):
        with pytest.raises((ReaderError, DataError)):
            read(write(tmp_path, PROFILE[:keep]), format="avantage")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (dump().replace("ENERGY, LINEAR", "X, LINEAR"), "not ENERGY"),
        (dump([((), COUNTS)] * 4, axes=["0, 1, 2, X, LINEAR, '', '', ''", "0, 1, 2, Y, LINEAR, '', '', ''"]), "a map"),
        (PROFILE.replace("3, ETCH", "4, ETCH"), "3 of 4 spectra"),
        (dump().replace("LIST@   4", "LIST@   5"), "begins with value 5, 4 came before"),
        (dump().replace("30.000000", "thirty"), "value 3 is 'thirty'"),
        (dump([((), COUNTS[:5])]), "5 of 6 values"),
        (dump().replace(f"{STEP:f}", "0.0"), "6 steps of 0.0"),
        (dump().replace("DS_SOPROPID_ENERGY ", "DS_SOPROPID_OTHER "), "excitation energy is not given"),
        (dump().replace(";Dump of", ";Copy of"), "known format"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=300), keep=st.integers(0, 700))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, keep: int) -> None:
    with pytest.raises(LayerscopeError):
        read(write(tmp_path, dump().encode()[:keep] + b"\n" + noise), format="avantage")


def test_no_other_reader_takes_it(tmp_path: Path) -> None:
    assert FORMATS.sniffed(write(tmp_path, dump())) == ["avantage"]
