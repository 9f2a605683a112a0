from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError, LayerscopeError, ReaderError

HV = 1486.6


@dataclass
class Block:
    """What the tests want to say about a block; the rest is filled in."""

    label: str = "B 1s"
    sample: str = "film"
    variables: Sequence[float] = ()
    counts: Sequence[float] = (10, 20, 30, 25, 15, 12)
    extra: Sequence[float] | None = None  # transmission
    start: float = 1290.0
    step: float = 0.1
    comments: Sequence[str] = ("measured on a Monday",)
    dwell: float = 0.1
    scans: int = 4
    abscissa: tuple[str, str] = ("Kinetic Energy", "eV")
    ordinate: tuple[str, str] = ("Intensity", "d")
    species: tuple[str, str] = ("B", "1s")
    energies: Sequence[float] | None = None  # irregular scan
    hv: float = HV
    include: frozenset[int] = field(default_factory=lambda: frozenset(range(1, 41)))


def block_lines(block: Block, mode: str, scan: str) -> list[str]:
    """Write a block parameter by parameter, each under its number in the standard's list."""
    profile = mode in ("SDP", "MAPDP")
    pairs = [block.ordinate] + ([("Transmission", "d")] if block.extra is not None else [])
    if scan == "IRREGULAR":
        pairs.insert(0, block.abscissa)
    parameters: list[tuple[int, list[object]]] = [
        *((number, [value]) for number, value in zip(range(1, 8), (2024, 5, 6, 7, 8, 9, 0), strict=True)),
        (8, [len(block.comments), *block.comments]),
        (9, ["XPS"]),
        (10, [1, 1] if mode in ("MAP", "MAPDP") else []),
        (11, list(block.variables)),
        (12, ["Al"]),
        (13, [18, 1, 1] if profile else []),
        (14, [block.hv]),
        (15, [225]),
        (16, [700, 300]),
        (17, [0, 0] if mode.startswith("MAP") else []),
        (19, [54.7]),
        (20, [180]),
        (21, ["FAT"]),
        (22, [20]),
        (24, [1]),
        (25, [4.5]),
        (26, [0]),
        (27, [0, 0]),
        (28, [15, 0]),
        (29, [block.species[0]]),
        (30, [block.species[1], -1]),
        (31, [*block.abscissa, block.start, block.step] if scan == "REGULAR" else []),
        (32, [len(pairs), *(text for pair in pairs for text in pair)]),
        (33, ["pulse counting"]),
        (34, [block.dwell]),
        (35, [block.scans]),
        (36, [0]),
        (37, [500, 1000, 2, 2, 45, 0, "sputter"] if profile else []),
        (38, [0, 0]),
        (39, [0]),
        (40, [1, "ESCAPE DEPTH TYPE", "d", 1]),
    ]
    columns: list[Sequence[float]] = [block.counts] + ([block.extra] if block.extra is not None else [])
    if scan == "IRREGULAR":
        assert block.energies is not None
        columns.insert(0, block.energies)
    values = np.array(columns, dtype=float).T.ravel()
    lines = [block.label, block.sample]
    for number, entries in parameters:
        if number in block.include:
            lines += [str(entry) for entry in entries]
    lines.append(str(values.size))
    for column in columns:
        lines += [str(min(column)), str(max(column))]
    return lines + [repr(float(value)) for value in values]


def vamas(
    *blocks: Block,
    mode: str = "NORM",
    scan: str = "REGULAR",
    variables: Sequence[tuple[str, str]] = (),
    listed: Sequence[int] = (),
    exclude: bool = False,
    newline: str = "\r\n",
) -> bytes:
    lines = ["VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4", "lab", "XPS-1", "me", "B film"]
    lines += ["1", "a header comment", mode, scan]
    if mode in ("MAP", "MAPDP", "NORM", "SDP"):
        lines.append(str(len(blocks)))
    if mode in ("MAP", "MAPDP"):
        lines += ["0", "0", "0"]
    lines.append(str(len(variables)))
    lines += [text for pair in variables for text in pair]
    lines += [str(-len(listed) if exclude else len(listed)), *map(str, listed), "0", "0", "0", str(len(blocks))]
    for block in blocks:
        lines += block_lines(block, mode, scan)
    return (newline.join([*lines, "end of experiment"]) + newline).encode("cp1252")


def write(folder: Path, content: bytes, name: str = "file.vms") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# ---- what real files hold, counted by hand from their own declarations ----


@pytest.mark.parametrize(
    ("name", "regions"),
    [
        ("ARXPS.vms", {"O 1s": (5, 201), "C 1s": (5, 201), "Al 2p": (5, 201)}),
        ("FeO_analyzed.vms", {"Fe 2p": (1, 1121)}),
        ("irregular.vms", {"Survey": (1, 1351)}),
        (
            "cellulose_fitted_following_briggs.vms",
            {"Survey": (1, 1151), "C 1s": (1, 241), "O 1s": (1, 201), "Valence": (1, 801)},
        ),
    ],
)
def test_real_files_open_with_their_regions_levels_and_points(
    shared_data: Path, name: str, regions: dict[str, tuple[int, int]]
) -> None:
    data = read(shared_data / "xps" / name)
    assert data.format == "vamas"
    assert {
        region: (len(data.levels(region)), data.levels(region)[0].binding_energy.size) for region in data.regions()
    } == regions


@pytest.mark.parametrize(
    ("name", "samples", "points"),
    [
        ("Co_references.vms", {"Co metal": "Co 2p", "CoO": "Co 2p", "Co3O4": "Co 2p"}, 701),
        ("Mn_references.vms", {"MnO": "Mn 2p", "Mn2O3": "Mn 2p", "MnO2": "Mn 2p"}, 400),
        ("Ni_references.vms", {"Ni": "Ni 2p", "NiO": "Ni 2p"}, 501),
    ],
)
def test_real_reference_files_keep_their_samples_apart(
    shared_data: Path, name: str, samples: dict[str, str], points: int
) -> None:
    data = read(shared_data / "xps" / name)
    assert list(dict.fromkeys(s.sample for s in data.spectra)) == list(samples)
    for sample, region in samples.items():
        (spectrum,) = data.levels(region, sample=sample)
        assert spectrum.binding_energy.size == points
        assert spectrum.excitation_energy_eV == 1486.61


def test_a_real_angle_resolved_map_gives_the_angle_of_each_level(shared_data: Path) -> None:
    levels = read(shared_data / "xps" / "ARXPS.vms").levels("Al2p")
    assert [level.angle_deg for level in levels] == [0.0, 40.0, 55.0, 63.0, 70.0]
    # The first O 1s block begins at 943.69 eV kinetic energy with 1678 counts.
    oxygen = read(shared_data / "xps" / "ARXPS.vms").levels("O1s")[0]
    assert oxygen.counts[-1] == 1678.0
    assert oxygen.binding_energy[-1] == pytest.approx(1486.69 - 943.69)
    assert oxygen.transmission is not None
    assert oxygen.transmission[-1] == 0.694879764806946
    assert oxygen.dwell_time_s == 0.298507004976273


def test_binding_energy_of_a_real_irregular_file_is_that_of_the_program_that_exported_it(shared_data: Path) -> None:
    spectrum = read(shared_data / "xps" / "FeO_analyzed.vms").levels("Fe 2p")[0]
    rows = []
    for line in (shared_data / "xps" / "FeO_analyzed_lineshapes_cols.txt").read_text().splitlines():
        fields = line.split("\t")
        if len(fields) > 12 and fields[0][:1].isdigit():
            rows.append([float(fields[0]), float(fields[1]), float(next(f for f in fields[8:] if f.strip()))])
    table = np.array(rows)[::-1]
    assert (spectrum.excitation_energy_eV or 0.0) - spectrum.axis == pytest.approx(table[:, 0], abs=1e-6)
    assert spectrum.counts == pytest.approx(table[:, 1], abs=1e-9)
    assert spectrum.binding_energy == pytest.approx(table[:, 2], abs=1e-3)
    assert (spectrum.exposure_s, spectrum.intensity_unit) == (2.0, "counts")


# ---- the parts of the standard ----


def test_binding_energy_is_photon_energy_minus_kinetic_energy_without_the_work_function(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, vamas(Block()))).spectra
    assert spectrum.binding_energy == pytest.approx(HV - (1290.0 + 0.1 * np.arange(5, -1, -1)))
    assert spectrum.counts.tolist() == [12, 15, 25, 30, 20, 10]
    assert spectrum.work_function_eV == 4.5
    assert (spectrum.dwell_time_s, spectrum.scans, spectrum.pass_energy_eV) == (0.1, 4, 20.0)
    assert spectrum.exposure_s == pytest.approx(0.4)
    assert (spectrum.region, spectrum.sample, spectrum.angle_deg) == ("B 1s", "film", 15.0)


def test_a_falling_binding_energy_axis_is_turned_round_with_its_counts(tmp_path: Path) -> None:
    block = Block(abscissa=("Binding energy", "eV"), start=196.0, step=-0.5)
    (spectrum,) = read(write(tmp_path, vamas(block))).spectra
    assert spectrum.binding_energy.tolist() == [193.5, 194.0, 194.5, 195.0, 195.5, 196.0]
    assert spectrum.counts.tolist() == [12, 15, 25, 30, 20, 10]


def test_an_irregular_scan_takes_its_axis_from_the_first_column(tmp_path: Path) -> None:
    energies = [1290.0, 1290.1, 1290.3, 1290.6, 1291.0, 1291.5]
    block = Block(energies=energies, extra=[2.0, 2.1, 2.2, 2.3, 2.4, 2.5])
    (spectrum,) = read(write(tmp_path, vamas(block, scan="IRREGULAR"))).spectra
    assert spectrum.binding_energy == pytest.approx(HV - np.array(energies[::-1]))
    assert spectrum.counts.tolist() == [12, 15, 25, 30, 20, 10]
    assert spectrum.transmission is not None
    assert spectrum.transmission.tolist() == [2.5, 2.4, 2.3, 2.2, 2.1, 2.0]


def test_a_sputter_depth_profile_has_its_etch_times_in_seconds(tmp_path: Path) -> None:
    blocks = [Block(variables=[t, 15.0], counts=[10 + t] * 6) for t in (0.0, 0.5, 1.0)]
    blocks += [Block(label="C 1s", variables=[t, 15.0], start=1195.0, species=("C", "1s")) for t in (0.0, 0.5, 1.0)]
    data = read(write(tmp_path, vamas(*blocks, mode="SDP", variables=[("Etch Time", "min"), ("Angle", "degrees")])))
    assert [s.etch_time_s for s in data.levels("B 1s")] == [0.0, 30.0, 60.0]
    assert [s.level for s in data.levels("C 1s")] == [0, 1, 2]
    assert [s.counts[0] for s in data.levels("B 1s")] == [10.0, 10.5, 11.0]


def test_depth_in_a_unit_of_length_becomes_nanometres(tmp_path: Path) -> None:
    data = read(write(tmp_path, vamas(Block(variables=[25.0]), variables=[("Depth", "A")])))
    assert data.spectra[0].depth_nm == pytest.approx(2.5)
    assert data.spectra[0].etch_time_s is None


def test_an_inclusion_list_takes_everything_else_from_the_first_block(tmp_path: Path) -> None:
    listed = [11, 31]
    second = Block(variables=[20.0], start=1289.0, include=frozenset(listed), counts=[1, 2, 3, 4, 5, 6])
    content = vamas(Block(variables=[0.0]), second, second, variables=[("etch time", "s")], listed=listed)
    data = read(write(tmp_path, content))
    first, other, third = data.levels("B 1s")
    assert (first.etch_time_s, other.etch_time_s) == (0.0, 20.0)
    assert other.binding_energy[-1] == pytest.approx(HV - 1289.0)
    assert (other.dwell_time_s, other.scans, other.pass_energy_eV) == (0.1, 4, 20.0)
    assert third.counts.tolist() == [6, 5, 4, 3, 2, 1]


def test_an_exclusion_list_leaves_out_what_it_names(tmp_path: Path) -> None:
    excluded = [1, 2, 3, 8, 12, 14, 22, 28, 32, 35, 40]
    second = Block(include=frozenset(range(1, 41)) - frozenset(excluded), dwell=0.3)
    data = read(write(tmp_path, vamas(Block(), second, listed=excluded, exclude=True)))
    other = data.spectra[1]
    assert (other.dwell_time_s, other.scans, other.excitation_energy_eV) == (0.3, 4, HV)
    assert other.comments == ("measured on a Monday",)
    assert other.counts.tolist() == [12, 15, 25, 30, 20, 10]


def test_a_map_skips_its_coordinates(tmp_path: Path) -> None:
    data = read(write(tmp_path, vamas(Block(), Block(sample="other"), mode="MAP")))
    assert [s.sample for s in data.spectra] == ["film", "other"]
    assert data.spectra[1].counts.tolist() == [12, 15, 25, 30, 20, 10]


@pytest.mark.parametrize("name", ["file.vms", "file.npl", "FILE.TXT", "no_extension"])
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_any_extension_and_either_line_end_will_do(tmp_path: Path, name: str, newline: str) -> None:
    data = read(write(tmp_path, vamas(Block(), Block(label="C 1s"), newline=newline), name))
    assert len(data.spectra) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_any_encoding_will_do(tmp_path: Path, encoding: str) -> None:
    text = vamas(Block(sample="film 5 µm")).decode("cp1252")
    (spectrum,) = read(write(tmp_path, text.encode(encoding))).spectra
    assert spectrum.sample == "film 5 µm"
    assert spectrum.counts.tolist() == list(reversed(Block().counts))


@pytest.mark.parametrize("text", ["-1.#IND", "1.#QNAN", "nan(ind)", "inf", "-5.0"])
def test_a_point_that_is_no_count_does_not_refuse_the_file(tmp_path: Path, text: str) -> None:
    counts = list(range(100, 140))
    content = vamas(Block(), Block(label="C 1s", counts=counts)).replace(b"\r\n120.0\r\n", f"\r\n{text}\r\n".encode())
    first, second = read(write(tmp_path, content)).spectra
    assert first.use is None
    assert second.use is not None
    assert second.counts.size == 40
    assert np.flatnonzero(~second.use).tolist() == [40 - 1 - counts.index(120)]


def test_a_carriage_return_inside_a_comment_does_not_end_its_line(tmp_path: Path) -> None:
    block = Block(comments=["first half\rsecond half", "Temperature 25 \xb0C"])
    for newline in ("\r\n", "\n"):
        (spectrum,) = read(write(tmp_path, vamas(block, newline=newline))).spectra
        assert spectrum.comments == ("first half\rsecond half", "Temperature 25 \xb0C")
        assert spectrum.counts.tolist() == [12, 15, 25, 30, 20, 10]


def test_a_line_feed_inside_a_comment_of_a_crlf_file_does_not_end_its_line(tmp_path: Path) -> None:
    (spectrum,) = read(write(tmp_path, vamas(Block(comments=["first half\nsecond half"])))).spectra
    assert spectrum.counts.tolist() == [12, 15, 25, 30, 20, 10]


def test_lines_that_a_program_added_with_another_line_end_are_read(tmp_path: Path) -> None:
    content = vamas(Block(comments=["a", "b"])).replace(b"a\r\nb\r\n", b"a\nb\n")
    (spectrum,) = read(write(tmp_path, content)).spectra
    assert spectrum.comments == ("a", "b")


def test_a_rate_is_told_from_counts_by_its_label(tmp_path: Path) -> None:
    data = read(write(tmp_path, vamas(Block(ordinate=("Counts per second", "d")), Block(ordinate=("counts", "d")))))
    assert [s.intensity_unit for s in data.spectra] == ["counts/s", "counts"]


def test_unknown_values_are_none_and_not_1e37(tmp_path: Path) -> None:
    content = vamas(Block()).replace(b"FAT\r\n20\r\n1\r\n4.5\r\n", b"FAT\r\n1e+037\r\n1\r\n1E+37\r\n")
    (spectrum,) = read(write(tmp_path, content)).spectra
    assert spectrum.pass_energy_eV is None
    assert spectrum.work_function_eV is None


# ---- bad input ----

PROFILE = vamas(
    Block(variables=[0.0], extra=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5]),
    Block(variables=[10.0], extra=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5]),
    Block(label="C 1s", species=("C", "1s"), variables=[0.0], extra=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5]),
    variables=[("Etch time", "s")],
)
END = PROFILE.index(b"end of experiment")


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_a_file_cut_anywhere_before_its_end_is_refused(tmp_path: Path, newline: str) -> None:
    content = PROFILE.replace(b"\r\n", newline.encode())
    end = content.index(b"end of experiment")
    path = tmp_path / "cut.vms"
    # Every byte of the last 300 (last block's numbers), every seventh before: within each region and at its limits.
    for length in [*range(1, end - 300, 7), *range(end - 300, end - len(newline) + 1)]:
        path.write_bytes(content[:length])
        with pytest.raises(ReaderError) as caught:
            read(path)
        assert caught.value.source == str(path)


def test_a_file_cut_within_its_closing_line_is_whole(tmp_path: Path) -> None:
    for length in range(END, len(PROFILE)):
        assert len(read(write(tmp_path, PROFILE[:length])).spectra) == 3


def test_a_truncated_region_is_refused_with_its_number_and_name(tmp_path: Path) -> None:
    third = PROFILE.index(b"C 1s")
    with pytest.raises(ReaderError, match=r"block 2 of 3 \('B 1s'\)"):
        read(write(tmp_path, PROFILE[: third - 10]))
    with pytest.raises(ReaderError, match=r"block 3 of 3"):
        read(write(tmp_path, PROFILE[: third + 40]))


def test_more_blocks_than_declared_are_refused(tmp_path: Path) -> None:
    content = vamas(Block(), Block())
    lines = content.split(b"\r\n")
    position = lines.index(b"B 1s") - 1
    assert lines[position] == b"2"
    lines[position] = b"1"
    with pytest.raises(ReaderError, match="after the 1 declared blocks"):
        read(write(tmp_path, b"\r\n".join(lines)))


@pytest.mark.parametrize("claim", [b"2000000000", b"999999999999999999999", b"1e300", b"inf", b"nan", b"-5", b"7.5"])
@pytest.mark.parametrize("place", ["ordinates", "blocks", "comment", "columns"])
def test_claims_that_the_file_cannot_hold_are_refused_before_memory_is_allocated(
    tmp_path: Path, claim: bytes, place: str
) -> None:
    lines = vamas(Block()).split(b"\r\n")
    first = lines.index(b"B 1s")
    position = {
        "ordinates": lines.index(b"ESCAPE DEPTH TYPE") + 3,
        "blocks": first - 1,
        "comment": first + 9,
        "columns": lines.index(b"Intensity") - 1,
    }[place]
    lines[position] = claim
    with pytest.raises(ReaderError):
        read(write(tmp_path, b"\r\n".join(lines)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x00" * 500, "no known format"),
        (b"VAMAS but not really\r\n", "no known format"),
    ],
)
def test_what_is_no_vamas_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, content))


def test_a_wrong_magic_is_refused_even_when_the_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="first line"):
        read(write(tmp_path, b"SOFH\r\nPlatform: PC\r\n"), format="vamas")


def test_an_absent_file_and_an_unknown_format_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="does not exist"):
        read(tmp_path / "none.vms")
    with pytest.raises(ReaderError, match="unknown format"):
        read(write(tmp_path, PROFILE), format="vamsa")


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([10, 20, float("nan"), 25, 15, 12], "NaN"),
        ([10, 20, -30, 25, 15, 12], "negative"),
        ([10], "only 1 point"),
    ],
)
def test_counts_that_cannot_be_used_are_refused(tmp_path: Path, counts: list[float], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        read(write(tmp_path, vamas(Block(), Block(label="C 1s", counts=counts))))
    assert "C 1s" in caught.value.message


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (Block(hv=1e37), "energy of the source is not given"),
        (Block(abscissa=("Mass", "u")), "not in eV"),
        (Block(abscissa=("Time", "d")), "neither a kinetic nor a binding energy"),
        (Block(step=0.0), "steps of 0"),
        (Block(start=float("nan")), "starts at nan"),
    ],
)
def test_a_block_without_an_energy_axis_is_refused(tmp_path: Path, block: Block, reason: str) -> None:
    with pytest.raises(ReaderError, match=reason):
        read(write(tmp_path, vamas(block)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=400), keep=st.integers(0, 120))
def test_only_typed_errors_escape_from_noise(tmp_path: Path, noise: bytes, keep: int) -> None:
    path = write(tmp_path, PROFILE[:keep] + noise)
    for name in ("auto", "vamas"):
        with pytest.raises(LayerscopeError):
            read(path, format=name)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.integers(0, 10_000), text=st.sampled_from(["", "x", "-1", "1e9", "nan", "0", "3", "1e+037", "\x00", "é"])
)
def test_one_wrong_line_never_escapes_as_anything_but_a_typed_error(tmp_path: Path, line: int, text: str) -> None:
    lines = PROFILE.split(b"\r\n")
    lines[line % len(lines)] = text.encode()
    try:
        data = read(write(tmp_path, b"\r\n".join(lines)))
    except LayerscopeError:
        return
    assert len(data.spectra) == 3  # the line was a comment, a label or a value
    assert all(s.counts.size == 6 for s in data.spectra)
