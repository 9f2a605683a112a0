"""How large the report of a long run is, and how long a browser takes to open it.

``python benchmarks/report_size.py [RECORDS]``: invented records of in-situ frames, 10 000 of them by default.
"""

from __future__ import annotations

import hashlib
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from layerscope.records import FitQuality, InputFile, Quantity, ResultRecord, SampleState
from layerscope.report import write_report
from layerscope.runs.load import Run

PHASES = ("O3", "O3'", "O3'/H1-3", "H1-3")
FRAMES = 100


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


def quantities(rng: np.random.Generator, share: float) -> list[Quantity]:
    amounts = np.array([1.0 - share, 0.5 * share, 0.3 * share, 0.2 * share])
    found = []
    for k, (phase, amount) in enumerate(zip(PHASES, amounts, strict=True)):
        sigma = 0.002 + 0.01 * amount

        def of(name: str, value: float, error: float, unit: str, phase: str = phase) -> Quantity:
            parts = {"counting": error, "shapes": 0.3 * error}
            kind = "covariance"
            return Quantity(
                name=name, component=phase, value=value, sigma=error, sigma_kind=kind, unit=unit, budget=parts
            )

        if amount < 3.0 * sigma:
            limit = {"upper_limit": 3.0 * sigma, "limit_confidence": 0.95, "role": "derived"}
            found.append(Quantity(name="phase.fraction", component=phase, unit="1", **limit))
            continue
        found.append(of("phase.fraction", amount + sigma * rng.normal(), sigma, "1"))
        found.append(of("peak.position", 18.5 + 0.2 * k + 1e-3 * rng.normal(), 6e-4, "deg"))
        found.append(of("lattice.d_spacing", 4.78 - 0.05 * k + 2e-4 * rng.normal(), 1.5e-4, "angstrom"))
        found.append(of("peak.area", 536.0 * amount, 4.0, "counts*deg"))
    return found


def frame(sample: str, number: int, rng: np.random.Generator) -> ResultRecord:
    voltage = 3.9 + 0.7 * number / FRAMES
    share = 1.0 / (1.0 + math.exp(-(voltage - 4.5) / 0.03))
    raw = InputFile(
        path=f"{sample}.zip", sha256=digest(sample), size=319240, reader="columns", reader_version="1",
        selector=f"frame={number};003",
    )  # fmt: skip
    flags = ("OVERDISPERSED:2.1",) if number % 40 == 7 else ()
    quality = FitQuality(
        chi2=341.0 + rng.normal(), redchi=0.97, n_data=351, n_free=12, rwp=0.0527, rexp=0.0535, gof=0.986, flags=flags
    )
    return ResultRecord(
        record_id=digest(sample, number), technique="xrd", method="xrd_peaks.frame", method_version="1",
        state=SampleState(
            sample=sample, frame=number, voltage_V=voltage, elapsed_s=460.0 * number, capacity_mAh_g=1.9 * number,
            step="3", region="003",
        ),
        inputs=(raw,), quantities=tuple(quantities(rng, share)), quality=quality, recipe={"pipeline": "xrd_peaks"},
        status="warning" if flags else "ok",
    )  # fmt: skip


def invented_run(folder: Path, records: int, names: str = "sample {:03d}") -> Run:
    """Return a run of so many frames, a sample every hundred."""
    rng = np.random.default_rng(1)
    made = [frame(names.format(n // FRAMES), n % FRAMES, rng) for n in range(records)]
    return Run(folder, tuple(made), {"title": "Invented frames", "recipe": "invented/recipe.toml"})


def opened(path: Path) -> float:
    """Return how many seconds a browser takes until the page is ready, its first tables and plots drawn."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    quiet = ("quic", "background-networking", "component-update", "sync")
    for word in ("headless", "no-sandbox", "disable-gpu", "no-first-run", *(f"disable-{name}" for name in quiet)):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={tempfile.mkdtemp()}")
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.get("about:blank")
        begun = time.perf_counter()
        browser.get(path.resolve().as_uri())
        while not browser.execute_script("return document.querySelector('.plot svg') !== null"):
            time.sleep(0.02)
        return time.perf_counter() - begun
    finally:
        browser.quit()


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        run = invented_run(Path(name), number)
        begun = time.process_time()
        page = write_report(run)
        print(f"{len(run.records)} records: {page.stat().st_size / 1e6:.2f} MB", end="")
        print(f", written in {time.process_time() - begun:.1f} CPU-s", flush=True)
        print(f"opened in {min(opened(page) for _ in range(2)):.2f} s")


if __name__ == "__main__":
    main()
