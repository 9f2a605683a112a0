"""Mutated files of every format that is read: none may crash, hang, take a gigabyte, or lose points without a word.

``python benchmarks/mutated_inputs.py [N] [SEED]``: N inputs (2 000), drawn from the writers of the tests, the cases of
``reference_data`` and, where they are, the real measurements (``LAYERSCOPE_TEST_DATA`` or ``../shared/data``). Each is
read in a forked process with 10 s and 1 GiB beyond what the process had. Prints every fault with the number that makes
it again (``--only NUMBER``), and a table by format and by kind of mutation.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from layerscope.diffraction.readers import read as read_patterns
from layerscope.microscopy.readers import FORMATS as IMAGES
from layerscope.spectra.eels.readers import FORMATS as LOSSES
from layerscope.spectra.sxas.readers import read as read_scans
from layerscope.spectra.xps.readers import read as read_spectra

from layerscope.crystals import load_phase
from layerscope.cycler import read_cycler
from layerscope.errors import LayerscopeError
from layerscope.runs.recipe import read_toml

ROOT = Path(__file__).resolve().parents[1]
REAL = Path(os.environ.get("LAYERSCOPE_TEST_DATA", ROOT.parent / "shared" / "data"))
SECONDS, MEMORY = 10, 1 << 30
LARGEST = 1_500_000
READERS: dict[str, Callable[[Path], Any]] = {
    "xps": lambda path: read_spectra(path, on_error="collect"),
    "sxas": lambda path: read_scans(path, on_error="collect"),
    "xrd": lambda path: read_patterns(path, on_error="collect"),
    "eels": lambda path: LOSSES.read(path, on_error="collect"),
    "hrtem": lambda path: IMAGES.read(path, on_error="collect"),
    "cycler": read_cycler,
    "phase": lambda path: load_phase(str(path)),
    "recipe": read_toml,
}
UNSTATED = {
    "columns",
    "casa_text",
    "result_vector",
    "table",
    "bcs",
    "ssrl",
    "srs",
    "xdi",
    "vectors",
    "picture",
    "mda_ascii",
}
"""Formats that do not say how many points they hold: one cut between two lines cannot be told from a shorter one."""


@dataclass(frozen=True)
class Seed:
    """A sound file: who reads it, its format, its name and its bytes."""

    reader: str
    format: str
    name: str
    data: bytes


def seeds(real: bool = True) -> list[Seed]:
    """Return sound files of every format, those that are read as they are."""
    found = [*_from_tests(), *_from_cases(), *(_from_real() if real and REAL.is_dir() else ())]
    return [seed for seed in (_known(*one) for one in found) if seed is not None]


def _known(reader: str, name: str, data: bytes) -> Seed | None:
    if len(data) > LARGEST:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            found = READERS[reader](path)
        except LayerscopeError:
            return None
    return Seed(reader, getattr(found, "format", path.suffix[1:]), name, data)


def _from_tests() -> Iterator[tuple[str, str, bytes]]:
    for folder in ("diffraction", "sxas", "microscopy"):
        sys.path.append(str(ROOT / "tests" / folder))
    import sxas_files
    import xrd_files
    from written import fringes, write_mrc

    names = "xye csv_with_decimal_comma xydata start_step_stop uxd raw_1 raw_2 raw_3 raw_4 brml xrdml ras rasx"
    more = "gsas_std gsas_esd gsas_fxye chi pdcif nexus_file stoe xrd_pan pyfai_file result_vector"
    for name in f"{names} {more}".split():
        yield "xrd", f"{name}.dat", getattr(xrd_files, name)()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("bcs", "ssrl_raw", "ssrl_processed", "srs", "mda", "mda_ascii", "athena", "xdi"):
            path = getattr(sxas_files, name)(Path(folder) / f"{name}.dat")
            yield "sxas", path.name, path.read_bytes()
        path = write_mrc(Path(folder) / "a.mrc", fringes(), (1.0, 1.0))
        yield "hrtem", path.name, path.read_bytes()


def _from_cases() -> Iterator[tuple[str, str, bytes]]:
    for reader, pattern in (
        ("xps", "xps_*/*.vms"),
        ("xps", "xps_*/*.pro"),
        ("eels", "eels_line_lco/place_00.msa"),
        ("hrtem", "hrtem_*/*.tif"),
        ("xrd", "insitu_lco_003/*4.55V.xye"),
        ("cycler", "insitu_lco_003/p_lco_cycler.csv"),
        ("phase", "phases/LiCoO2_O3.toml"),
        ("recipe", "xps_b1s_li_rich/recipe.toml"),
    ):
        for path in sorted((ROOT / "reference_data").glob(pattern))[:2]:
            yield reader, path.name, path.read_bytes()


def _from_real() -> Iterator[tuple[str, str, bytes]]:
    for folder in ("xps", "sxas", "eels", "hrtem", "xrd"):
        for path in sorted((REAL / folder).rglob("*")):
            if path.is_file() and path.stat().st_size < LARGEST and path.suffix not in (".md", ".json"):
                yield ("phase" if path.parent.name == "cif" else folder), path.name, path.read_bytes()
    for path in sorted((ROOT.parent / "shared" / "cases").rglob("*")) if REAL.is_dir() else ():
        if path.suffix in (".spe", ".pro", ".RAW", ".UXD", ".raw", ".h5", ".gsas", ".ndax"):
            kind = {".spe": "xps", ".pro": "xps", ".ndax": "cycler"}.get(path.suffix, "xrd")
            yield kind, path.name, path.read_bytes()


def cut_anywhere(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def cut_between(data: bytes, rng: random.Random) -> bytes:
    """Cut at the end of a line, or of a block of binary data."""
    ends = [m.end() for m in re.finditer(rb"\n", data)] or list(range(4, len(data), 4))
    return data[: rng.choice(ends[: max(len(ends) - 1, 1)])]


def flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    where = rng.choice((len(out), min(len(out), 2000)))
    for _ in range(rng.choice((1, 2, 8, 64))):
        out[rng.randrange(where)] ^= 1 << rng.randrange(8)
    return bytes(out)


def other_number(data: bytes, rng: random.Random) -> bytes:
    """Put another number in the place of one: a count that is wrong or huge, or no number at all."""
    words = (b"0", b"-1", b"1", b"999999999", b"99999999999999999999", b"1e308", b"nan", b"inf", b"-inf", b"1e999", b"")
    found = [m.span() for m in re.finditer(rb"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", data[:400_000])]
    if not found or b"\0" in data[:64]:
        at = 4 * rng.randrange(max(min(len(data), rng.choice((512, len(data)))) // 4, 1))
        new = struct.pack("<I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0x7F800000, 10**9)))
        return data[:at] + new + data[at + 4 :]
    for _ in range(rng.choice((1, 1, 5))):
        start, end = rng.choice(found[: rng.choice((60, len(found)))])
        data = data[:start] + rng.choice(words).ljust(end - start) + data[end:]
    return data


def not_a_number(data: bytes, rng: random.Random) -> bytes:
    found = [m.span() for m in re.finditer(rb"(?<![\w.])-?\d+\.\d+(?![\w.])", data[:400_000])]
    if not found:
        at = 8 * rng.randrange(max(len(data) // 8, 1))
        return data[:at] + struct.pack("<d", rng.choice((float("nan"), float("inf"), 1e300))) + data[at + 8 :]
    start, end = rng.choice(found)
    return data[:start] + rng.choice((b"nan", b"NaN", b"inf", b"-1.#IND", b"1e400", b"--", b"1,5")) + data[end:]


def other_encoding(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("latin-1")
    return rng.choice(
        (
            text.encode("utf-16"),
            text.encode("utf-16-be"),
            b"\xef\xbb\xbf" + data,
            text.encode("utf-32"),
            data.replace(b"\n", b"\r"),
            data.replace(b"\n", b"\r\n\r\n"),
            data.replace(b" ", b"\xa0"),
            data.replace(b".", b","),
        )
    )


def long_tail(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((b"\0", b"1\n", b"0 0\n", b"\xff", b" ")) * rng.choice((1, 100, 300_000))


def moved(data: bytes, rng: random.Random) -> bytes:
    """Take a piece out, say one twice, or exchange two."""
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return rng.choice((data[:a] + data[b:], data[:b] + data[a:], data[:a] + data[b:c] + data[a:b] + data[c:]))


def bomb(data: bytes, rng: random.Random) -> bytes:
    """Put what grows in the place of what was there, as the format allows: in an archive, XML, HDF5 or text."""
    if data[:2] == b"PK":
        stream, size = io.BytesIO(), rng.choice((1_000_000, 100_000_000, 290_000_000))
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
            for number, info in enumerate(old.infolist()[:20]):
                new.writestr(info.filename, rng.choice((b"1 2\n", b"0"))[:4] * (size // 4) if not number else b"1 2\n")
        return stream.getvalue()
    if data.lstrip()[:1] == b"<":
        entities = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
        text = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{entities}]><x>&e9;</x>'
        return text.encode(rng.choice(("utf-8", "utf-16")))
    if data[:4] == b"\x89HDF":
        return linked(data, rng)
    line = rng.choice([one for one in data[:20_000].split(b"\n") if one] or [b"1 2"])
    return data + line * rng.choice((10, 2_000)) + b"\n" + (line + b"\n") * rng.choice((0, 20_000))


def linked(data: bytes, rng: random.Random) -> bytes:
    """Replace a dataset of an HDF5 file by a link to another file, or by one that claims far more than there is."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
            for name in rng.sample(names, min(len(names), rng.choice((1, 3, 50)))):
                del file[name]
                if rng.random() < 0.5:
                    file[name] = h5py.ExternalLink("/etc/passwd", "/x")
                else:
                    file.create_dataset(name, (10 ** rng.choice((5, 8, 11)),), "f8", chunks=True, compression="gzip")
        return path.read_bytes()


MUTATIONS = (
    *(cut_anywhere, cut_between, flip, flip, other_number, other_number, not_a_number, other_encoding),
    *(long_tail, moved, bomb),
)
CUTS = ("cut_anywhere", "cut_between")


def shape_of(found: Any) -> dict[str, Any]:
    """Return what is compared of what was read: measurements, their points, whether they are numbers, what was told."""
    measurements = getattr(found, "measurements", ())
    told = [*getattr(found, "problems", ())]
    points, finite, masked = [], True, 0
    stated = all(getattr(one, "metadata", {}).get("points_declared") != "no" for one in measurements)
    for one in measurements:
        arrays = [v for v in vars(one).values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
        if getattr(one, "frames", None) is not None:
            arrays = []  # pixels that are no numbers are left out, and told, when an image is made ready
        arrays = [v for v in arrays if v is not getattr(one, "variance", None)]
        size = getattr(one, "axis", getattr(one, "time_s", np.empty(0))).size
        points.append(int(size))
        finite &= all(bool(np.isfinite(values).all()) for values in arrays)
        masked += getattr(one, "use", None) is not None
        masked += any(key in getattr(one, "metadata", {}) for key in ("cut", "zero_tail", "incomplete"))
        masked += bool(getattr(one, "flags", ()))
    return {"points": points, "finite": finite, "told": len(told) + masked, "stated": stated}


def read_apart(reader: str, path: Path) -> dict[str, Any]:
    """Read a file in a forked process; return what it held, or how that ended."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(receive)
            os.write(send, json.dumps(_read_here(reader, path)).encode()[:60_000])
            code = 0
        finally:
            os._exit(code)
    os.close(send)
    answer, deadline = b"", time.monotonic() + 3 * SECONDS
    while time.monotonic() < deadline:
        if select.select([receive], [], [], 0.1)[0]:
            piece = os.read(receive, 65_536)
            if not piece:
                break
            answer += piece
    else:
        os.kill(child, signal.SIGKILL)
    os.close(receive)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if answer:
        found: dict[str, Any] = json.loads(answer)
        return found
    return {"fault": "hang" if -status in (signal.SIGKILL, signal.SIGXCPU) else f"crash ({status})"}


def _read_here(reader: str, path: Path) -> dict[str, Any]:
    here = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (here + MEMORY, here + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    warnings.simplefilter("ignore")
    try:
        return shape_of(READERS[reader](path))
    except LayerscopeError as error:
        words = str(error)
        if "MemoryError" in words:
            return {"fault": f"memory: {words[:200]}"}
        return {"refused": words[:200]}
    except MemoryError:
        return {"fault": "memory"}
    except BaseException as error:  # noqa: BLE001
        return {"fault": f"foreign: {type(error).__name__}: {error}"[:300]}


def judged(seed: Seed, mutation: str, sound: dict[str, Any], found: dict[str, Any]) -> str:
    """Return the fault of a reading, or nothing."""
    if "fault" in found:
        return str(found["fault"])
    if "refused" in found:
        return ""
    if not found["finite"]:
        return "numbers that are none in an array"
    shorter = sum(found["points"]) < sum(sound["points"])
    if shorter and mutation in CUTS and found["stated"] and not found["told"] and seed.format not in UNSTATED:
        return f"silently shortened: {sum(found['points'])} of {sum(sound['points'])} points"
    return ""


def run(number: int, seed_value: int, chosen: list[Seed], only: int | None = None) -> tuple[list[str], Counter[str]]:
    """Read mutated inputs; return the faults and counts by format and mutation."""
    faults: list[str] = []
    counts: Counter[str] = Counter()
    sound: dict[str, dict[str, Any]] = {}
    order = sorted({seed.format for seed in chosen})
    with tempfile.TemporaryDirectory() as folder:
        for k in range(number) if only is None else (only,):
            rng = random.Random(f"{seed_value}:{k}")
            format_name = order[k % len(order)]
            seed = rng.choice([one for one in chosen if one.format == format_name])
            mutation = MUTATIONS[(k // len(order)) % len(MUTATIONS)]
            path = Path(folder) / seed.name
            if seed.name not in sound:
                path.write_bytes(seed.data)
                sound[seed.name] = read_apart(seed.reader, path)
            path.write_bytes(mutation(seed.data, rng) or b"\0")
            found = read_apart(seed.reader, path)
            fault = judged(seed, mutation.__name__, sound[seed.name], found)
            state = "fault" if fault else "refused" if "refused" in found else "read"
            counts.update((f"{seed.format}|{state}", f"{mutation.__name__}|{state}", f"all|{state}"))
            if fault:
                faults.append(f"{k} {seed.format} {seed.name} {mutation.__name__}: {fault}")
                print(faults[-1], flush=True)
            if only is not None:
                print(found)
            path.unlink()
    return faults, counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=2000)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--only", type=int)
    asked = parser.parse_args()
    chosen = seeds()
    print(f"{len(chosen)} sound files of {len({one.format for one in chosen})} formats, {asked.number} inputs")
    faults, counts = run(asked.number, asked.seed, chosen, asked.only)
    print(f"{'format or mutation':24}{'inputs':>8}{'read':>8}{'refused':>9}{'faults':>8}")
    for name in sorted({key.partition("|")[0] for key in counts}):
        row = [counts[f"{name}|{state}"] for state in ("read", "refused", "fault")]
        print(f"{name:24}{sum(row):8}{row[0]:8}{row[1]:9}{row[2]:8}")
    print(f"{asked.number} inputs, seed {asked.seed}: {len(faults)} faults")


if __name__ == "__main__":
    main()
