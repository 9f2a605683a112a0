"""A batch that is killed again and again against one that is not: what is in the records at the end.

``python benchmarks/batch_kills.py N KILLS [--corrupt C] [--jobs J] [--seed S]``: N (60) one-dimensional
files of XPS, XRD and sXAS mixed, C (N/300, at least 3) of them corrupt (empty, noise, or cut short), each a series of
its own; one study runs them once without a fault, and once more with KILLS (6) SIGKILLs at random times and a new start
after each, now to the main process alone, now to its whole group. Prints how the two run folders compare: records byte
by byte but for the time of writing, arrays byte by byte, the quarantine, what is missing or there twice, and what is
left of files that were being written. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from layerscope.runs.validate import validate_run

CREATED = re.compile(rb'"created"\s*:\s*"[^"]*"')
FINISHED = 2  # some are quarantined
BLAS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

HEADS = {
    "xps": """pipeline = "xps"
[[regions]]
region = "B 1s"
background = { kind = "polynomial", polynomial = 1 }
[[regions.components]]
species = "B-O-B"
""",
    "xrd": """pipeline = "xrd_peaks"
components = "none"
[[reflections]]
name = "(003)"
range_2theta = [18.0, 20.0]
axial = false
""",
    "sxas": """pipeline = "sxas"
edge = "F K"
mode = "tey"
""",
}
SERIES = {
    "xps": 'columns = { region = "B 1s", energy = 0, counts = 1, kind = "binding", unit = "counts" }\n',
    "xrd": "",
    "sxas": "",
}


def xps(rng: np.random.Generator) -> str:
    """Return a B 1s spectrum as columns."""
    x = np.arange(188.0, 197.0, 0.1)
    counts = rng.poisson(300 + 3000 * np.exp(-4 * np.log(2) * ((x - rng.uniform(191.8, 192.3)) / 1.4) ** 2))
    return "".join(f"{a:.2f}\t{b}\n" for a, b in zip(x, counts, strict=True))


def xrd(rng: np.random.Generator) -> str:
    """Return a (003) line in Bruker's UXD, which declares how many points it holds."""
    x = np.arange(17.5, 20.5, 0.02)
    counts = rng.poisson(200 + 4000 * np.exp(-(((x - rng.uniform(18.85, 18.95)) / 0.08) ** 2)))
    head = "_FILEVERSION=1\n_ANODE='Cu'\n_WL1=1.540593\n_WL2=1.544427\n_WLRATIO=0.5\n; Data for range 1\n"
    head += "_DRIVE='COUPLED'\n_STEPTIME=1.0\n_STEPSIZE=0.02\n_STEPMODE='C'\n"
    head += f"_STEPCOUNT={x.size}\n_START={x[0]:.2f}\n_2THETACOUNTS\n"
    return head + "".join(f"{a:.4f} {b}\n" for a, b in zip(x, counts, strict=True))


def sxas(rng: np.random.Generator) -> str:
    """Return an F K scan as a beamline's data acquisition writes it."""
    x = np.arange(670.0, 715.0, 0.5)
    i0 = 50000.0 + 20.0 * (x - 670.0)
    edge = 0.4 + 0.2 / (1 + np.exp(-(x - 690.0))) + 0.1 * np.exp(-((x - rng.uniform(685.3, 685.7)) ** 2))
    tey = rng.normal(i0 * edge, np.sqrt(i0 * edge))
    head = ["Date: 3/29/2024", "", "From File", "Mono Energy", "C:\\scans\\F.txt", ": 670.0", ": 715.0", ": 0.5"]
    head += ["Delay After Move (s): 0.0", "Count Time (s): 1.0", "Scan Number: 1", "Description Length: 0", ""]
    head += ["Time (s)\tMono Energy\tGap\tMono Energy\tCounter 0\tCounter 1\tCounter 2\tCounter 3"]
    rows = [
        f"{k}.5\t{e:.4f}\t0.0\t0.0\t{a:.2f}\t{b:.2f}\t0.0\t0.0"
        for k, (e, a, b) in enumerate(zip(x, i0, tey, strict=True))
    ]
    return "\n".join([*head, *rows]) + "\n"


MADE: dict[str, Callable[[np.random.Generator], str]] = {"xps": xps, "xrd": xrd, "sxas": sxas}


def corrupted(text: str, number: int, rng: np.random.Generator) -> bytes:
    """Return nothing, noise, or the first lines of a file."""
    return (b"", rng.bytes(len(text)), text[:120].encode())[number % 3]


def write_files(folder: Path, count: int, corrupt: int, seed: int) -> tuple[Path, set[str]]:
    """Write the files, their recipes and the study of these; return the study, and the samples that are corrupt."""
    rng = np.random.default_rng(seed)
    bad = {int(place): number for number, place in enumerate(rng.choice(count, corrupt, replace=False))}
    recipes: dict[str, list[str]] = {}
    for place in range(count):
        name, file = list(MADE)[place % len(MADE)], f"f{place:05d}.txt"
        # scans of one sXAS recipe are compared with each other, in one task: so each has a recipe of its own
        recipe = f"sxas/s{place:05d}.toml" if name == "sxas" else f"{name}/recipe.toml"
        (folder / name).mkdir(exist_ok=True)
        text = MADE[name](rng)
        (folder / name / file).write_bytes(corrupted(text, bad[place], rng) if place in bad else text.encode())
        parts = recipes.setdefault(recipe, [f'layerscope = 1\nsample = "{name}"\n{HEADS[name]}'])
        parts.append(f'[[series]]\nname = "s{place:05d}"\nsample = "s{place:05d}"\nfiles = ["{file}"]\n{SERIES[name]}')
    for recipe, parts in recipes.items():
        (folder / recipe).write_text("\n".join(parts))
    study = folder / "study.toml"
    study.write_text(f"layerscope = 1\nrecipes = {json.dumps(list(recipes))}\n")
    return study, {f"s{place:05d}" for place in bad}


def started(study: Path, run: Path, jobs: int) -> subprocess.Popen[bytes]:
    """Start the run in a group of its own."""
    command = [sys.executable, "-m", "layerscope", "run", str(study), "-o", str(run), "-j", str(jobs)]
    with (run.parent / f"{run.name}.txt").open("ab") as log:
        return subprocess.Popen(
            [*command, "--no-figures", "-q"], stdout=log, stderr=log, start_new_session=True, env={**os.environ, **BLAS}
        )


def records_of(run: Path) -> int:
    """Return how many records a run folder holds."""
    return len(list((run / "records").glob("[!.]*.json")))


def undisturbed(study: Path, run: Path, jobs: int) -> tuple[int, float, float]:
    """Run without a fault; return the exit code, and the times until the first record and until the end (s)."""
    begun, first = time.monotonic(), 0.0
    process = started(study, run, jobs)
    while process.poll() is None:
        if not first and records_of(run):
            first = time.monotonic() - begun
        time.sleep(0.1)
    return process.wait(), first, time.monotonic() - begun


def killed(study: Path, run: Path, kills: int, jobs: int, longest: float, rng: np.random.Generator) -> Counter[str]:
    """Run with kills at random times; return how often it was killed at what, and how often it ended before."""
    met: Counter[str] = Counter()
    while met.total() - met["ended before"] < kills:
        known = records_of(run)
        process = started(study, run, jobs)
        try:
            process.wait(rng.uniform(0.0, longest))
            met["ended before"] += 1
            longest *= 0.9
            continue
        except subprocess.TimeoutExpired:
            pass
        if rng.integers(2):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()  # its workers have to end by themselves
        process.wait()
        met["while it worked" if records_of(run) > known else "before the first new record, or after the last"] += 1
    return met


def written(run: Path) -> dict[str, bytes]:
    """Return what a run holds of records, arrays and tables, without the time of writing."""
    paths = [path for path in sorted(run.rglob("*")) if path.is_file()]
    kept = [path for path in paths if path.parts[len(run.parts)].startswith(("records", "arrays", "qua", "superseded"))]
    return {path.relative_to(run).as_posix(): CREATED.sub(b'"created":""', path.read_bytes()) for path in kept}


def faults(run: Path, other: Path, bad: set[str], samples: set[str]) -> list[str]:
    """Return in what a run differs from the other, and from what the files should give."""
    found, expected = written(run), written(other)
    told = [f"{name} differs" for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    told += [f"{path.relative_to(run)} is left over" for path in sorted(run.rglob(".*.tmp"))]
    told += [str(problem) for problem in validate_run(run)]
    records = [json.loads(text) for name, text in found.items() if name.startswith("records/")]
    about = Counter((r["state"]["sample"], r["method"], json.dumps(r["state"], sort_keys=True)) for r in records)
    told += [f"{what} is there {many} times" for what, many in about.items() if many > 1]
    done = {r["state"]["sample"] for r in records if r["status"] != "failed"}
    if done != samples - bad:
        told.append(f"done {len(done)}, to be done {len(samples - bad)}")
    entries = json.loads(found["quarantine.json"])["quarantined"]
    if sorted(e["sample"] for e in entries) != sorted(bad) or not all(e["problem"]["message"] for e in entries):
        told.append(f"quarantined {sorted(e['sample'] for e in entries)}, corrupt {sorted(bad)}")
    return told


def cpu_s() -> float:
    """Return the CPU time of this process and of its children that ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> int:
    """Print how a batch that was killed compares with one that was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="?", type=int, default=60)
    parser.add_argument("kills", nargs="?", type=int, default=6)
    parser.add_argument("--corrupt", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    corrupt = max(asked.files // 300, 3) if asked.corrupt is None else asked.corrupt
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, bad = write_files(folder, asked.files, corrupt, asked.seed)
        samples = {f"s{place:05d}" for place in range(asked.files)}
        code, start_s, whole_s = undisturbed(study, folder / "whole", asked.jobs)
        print(f"{asked.files} files, {corrupt} corrupt: {whole_s:.0f} s without a fault, exit code {code}", flush=True)
        rng = np.random.default_rng(asked.seed)
        longest = 1.5 * start_s + 2 * whole_s / asked.kills  # to start and look up, and a share of the work
        met = killed(study, folder / "killed", asked.kills, asked.jobs, longest, rng)
        print("kills: " + ", ".join(f"{many} {what}" for what, many in sorted(met.items())), flush=True)
        last = started(study, folder / "killed", asked.jobs).wait()
        told = [f"undisturbed: {fault}" for fault in faults(folder / "whole", folder / "whole", bad, samples)]
        told += faults(folder / "killed", folder / "whole", bad, samples)
        print(f"exit code of the last start {last}, {len(told)} faults; {cpu_s():.0f} CPU-s")
        print(f"{records_of(folder / 'killed')} records: {len(samples - bad)} done, {len(bad)} quarantined")
        print("\n".join(told[:20]))
        wrong = bool(told) or (code, last) != (FINISHED, FINISHED)
        if wrong:
            print((folder / "killed.txt").read_text(errors="replace")[-2000:])
        return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
