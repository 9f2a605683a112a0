"""A small diffraction run of either pipeline, made by hand: its numbers are what every test expects."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from layerscope.records import FitQuality, InputFile, Quantity, ResultRecord, SampleState
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.load import Run, load_run
from layerscope.runs.nexus import write_series
from layerscope.runs.store import RunStore

FRAMES = 8
LOST = 3  # the frame that failed: it has neither a record of numbers nor a row in the arrays
USED = tuple(f for f in range(FRAMES) if f != LOST)
PHASES = ("O3'", "O3'/H1-3", "H1-3")
TOTAL = "O3'/H1-3 + H1-3"
SIGMA = {"O3'": 0.004, "O3'/H1-3": 0.003, "H1-3": 0.002}
TOTAL_SIGMA = 0.0015  # smaller than the root of the sum of squares: the two are anticorrelated
LIMIT = 0.0073
VOLTAGE = (4.40, 4.45, 4.50, 4.55, 4.60, 4.56, 4.52, 4.48)
PERIOD_S = 1800.0
AXIS = np.arange(18.0, 20.2, 0.04)
META = {"wavelength_A": 1.5405929, "wavelength2_A": 1.5444274, "ratio": 0.5, "anode": "Cu"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def number(name, value, sigma, unit, component=None, **more):
    """Return a quantity; without sigma it was held."""
    if sigma is None:
        return Quantity(name=name, value=value, unit=unit, component=component, role="fixed")
    given = {"role": "refined", **more}
    return Quantity(
        name=name, value=value, sigma=sigma, sigma_kind="covariance", unit=unit, component=component, **given
    )


def shares(sample: str, frame: int) -> dict[str, float | None]:
    """Weight fractions: the intergrowth is there from frame 2 to 6, H1-3 in frames 4 and 5; None: not detected."""
    scale = 1.0 if sample == "P" else 0.5
    mixed = {2: 0.10, 3: 0.2, 4: 0.40, 5: 0.30, 6: 0.12}.get(frame)
    last = {4: 0.25, 5: 0.15}.get(frame)
    mixed, last = (None if v is None else scale * v for v in (mixed, last))
    return {"O3'": 1.0 - (mixed or 0.0) - (last or 0.0), "O3'/H1-3": mixed, "H1-3": last}


def position(phase: str, frame: int) -> float:
    return {"O3'": 18.5, "O3'/H1-3": 19.1, "H1-3": 19.5}[phase] + 0.02 * frame


def fraction_quantities(sample: str, frame: int) -> list[Quantity]:
    found = []
    parts = shares(sample, frame)
    alone = sum(v is not None for v in parts.values()) == 1
    for phase, value in parts.items():
        if value is None:
            limit = {"upper_limit": LIMIT, "limit_confidence": 0.95, "role": "derived"}
            found.append(number("phase.fraction", 0.001, 0.003, "1", phase, **limit))
        else:
            found.append(number("phase.fraction", value, None if alone else SIGMA[phase], "1", phase))
    rest = sum(v or 0.0 for p, v in parts.items() if p != "O3'")
    found.append(number("phase.total_fraction", rest, TOTAL_SIGMA if rest else None, "1", TOTAL, role="derived"))
    return found


def _state(sample: str, frame: int | None) -> SampleState:
    if frame is None:
        return SampleState(sample=f"{sample}-LCO")
    return SampleState(
        sample=f"{sample}-LCO", frame=frame, voltage_V=VOLTAGE[frame % FRAMES], elapsed_s=PERIOD_S * frame
    )


def _inputs(sample: str) -> tuple[InputFile, ...]:
    return (InputFile(path=f"{sample}.zip", sha256=digest(sample), size=1, reader="xy", reader_version="1"),)


def _curves(sample: str, frames: tuple[int, ...], axis: np.ndarray) -> dict[str, np.ndarray]:
    shape = (len(frames), axis.size)
    return {
        phase: np.array(
            [
                900.0 * (shares(sample, f)[phase] or 0.0) * np.exp(-(((axis - position(phase, f)) / 0.06) ** 2))
                for f in frames
            ]
        ).reshape(shape)
        for phase in PHASES
    }


def arrays(sample: str, name: str, **more) -> SeriesArrays:
    """Return the arrays of the used frames; counts are whole."""
    components = _curves(sample, USED, AXIS)
    background = np.full((len(USED), AXIS.size), 60.0)
    fit = background + sum(components.values())
    counts = np.random.default_rng(5).poisson(fit).astype(float)
    given = {
        "name": name, "technique": "xrd", "title": f"{sample}-LCO", "sample": f"{sample}-LCO", "axis": AXIS,
        "axis_name": "two_theta", "axis_unit": "deg", "levels": PERIOD_S * np.array(USED, float), "level_name": "time",
        "level_unit": "s", "counts": counts, "variance": fit.copy(), "fit": fit, "background": background,
        "residual": (counts - fit) / np.sqrt(fit), "components": components, "intensity_unit": "counts",
        "area_unit": "counts*deg", "metadata": META, "frames": np.array(USED),
    }  # fmt: skip
    return SeriesArrays(**{**given, **more})


def events(sample: str) -> list[Quantity]:
    shift = 0.0 if sample == "P" else 0.02
    found = []
    for kind, scale, value, half, unit in (
        ("onset", "voltage", 4.485 + shift, 0.002, "V"),
        ("end", "voltage", 4.505 + shift, 0.004, "V"),
        ("onset", "time", 3060.0, 60.0, "s"),
        ("end", "time", 11600.0, 90.0, "s"),
    ):
        found.append(
            number(
                f"phase.{kind}_{scale}",
                value,
                half,
                unit,
                "O3'/H1-3",
                role="derived",
                low=value - half,
                high=value + half,
                confidence=0.6827,
            )
        )
    found.append(
        Quantity(name="phase.onset_voltage", unit="V", component="H1-3", role="derived", high=4.56, confidence=0.6827)
    )
    return found


class Folder:
    """A run folder that is being filled."""

    def __init__(self, folder: Path, pipeline: str) -> None:
        with RunStore.writing(folder, "recipe.toml") as self.store:
            self.pipeline, self.records = pipeline, 0

    def add(self, key: str, method: str, sample: str, frame: int | None, refs, quantities, **more) -> str:
        recipe = {"pipeline": self.pipeline, **more.pop("recipe", {})}
        record = ResultRecord(
            record_id=digest(f"{self.pipeline} {key}"), technique="xrd", method=method, method_version="1",
            state=_state(sample, frame), inputs=_inputs(sample), quantities=tuple(quantities), arrays=tuple(refs),
            recipe=recipe, **more,
        )  # fmt: skip
        self.store.write_record(record)
        self.records += 1
        return record.record_id

    def series(self, one: SeriesArrays):
        return tuple(write_series(self.store.arrays_folder / f"{one.name}.nxs", one).values())

    def finish(self) -> Run:
        info = {"format": "layerscope-run", "format_version": 1, "title": "case", "status": "finished"}
        self.store.write_info({**info, "counts": {"records": self.records}, "pipelines": {}})
        return load_run(self.store.folder)


def peaks_run(folder: Path, samples: tuple[str, ...] = ("P", "B")) -> Run:
    """Return a run of the (003) pipeline; the recipe names the samples in the order given."""
    run = Folder(folder, "xrd_peaks")
    recipe = {"series": [{"sample": f"{s}-LCO"} for s in samples]}
    for sample in samples:
        refs = run.series(arrays(sample, f"case_{sample}_LCO_003"))
        ids = []
        for frame in USED:
            quantities = fraction_quantities(sample, frame)
            for phase, value in shares(sample, frame).items():
                if value is not None:
                    quantities.append(number("peak.position", position(phase, frame), 0.003, "deg", phase))
                    quantities.append(number("lattice.d_spacing", 4.7 - 0.01 * frame, 0.0004, "angstrom", phase))
            flags = ("GHOST:H1-3",) if frame == 6 else ()
            quality = FitQuality(chi2=50.0, n_data=55, rwp=0.05 + 0.001 * frame, rexp=0.049, flags=flags)
            ids.append(
                run.add(
                    f"{sample}{frame}",
                    "xrd_peaks.frame",
                    sample,
                    frame,
                    refs,
                    quantities,
                    quality=quality,
                    recipe=recipe,
                )
            )
        shared = [number("peak.fwhm", 0.1 + 0.02 * k, 0.001, "deg", p) for k, p in enumerate(PHASES)]
        run.add(
            f"{sample} series", "xrd_peaks.series", sample, None, refs, [*shared, *events(sample)], parents=tuple(ids),
            recipe=recipe,
        )  # fmt: skip
    return run.finish()


CELLS = {"O3": (2.815, 14.05), "H1-3": (2.823, 27.07)}
WIDE = np.arange(15.0, 60.0, 0.05)
LIBRARY = {"phases": [{"name": "O3", "library": "LiCoO2_O3"}, {"name": "H1-3", "library": "LiCoO2_H1-3"}]}


def refined_share(frame: int) -> float | None:
    """Weight fraction of H1-3: there from frame 2 on."""
    return None if frame < 2 else min(0.1 * (frame - 1), 0.9)


def cell(phase: str, frame: int) -> tuple[float, float]:
    a, c = CELLS[phase]
    return a - 0.001 * frame, c + 0.01 * frame


def rietveld_run(folder: Path, frames: int = 5, ticks: bool = False) -> Run:
    """Return a run of refinements of O3 and H1-3."""
    run = Folder(folder, "rietveld")
    shape = (frames, WIDE.size)
    fit = 100.0 + 4000.0 * np.exp(-(((WIDE - 18.95) / 0.1) ** 2)) * np.ones(shape)
    counts = np.random.default_rng(7).poisson(fit).astype(float)
    later = (None,) * (frames - 1)
    marks = {"O3": (np.array([18.9, 38.5]), *later), "H1-3": (np.empty(0), *later)} if ticks else {}
    one = SeriesArrays(
        name="case_rietx", technique="rietveld", title="LCO", sample="P-LCO", axis=WIDE, axis_name="two_theta",
        axis_unit="deg", levels=PERIOD_S * np.arange(frames), level_name="time", level_unit="s", counts=counts,
        variance=fit, fit=fit, background=np.full(shape, 100.0), residual=(counts - fit) / np.sqrt(fit),
        intensity_unit="counts", area_unit="counts*deg",
        metadata=META, frames=np.arange(frames), marks=marks,
    )  # fmt: skip
    refs = run.series(one)
    for frame in range(frames):
        share = refined_share(frame)
        quantities = [number("phase.fraction", 1.0 - (share or 0.0), 0.004 if share else None, "1", "O3")]
        if share is None:
            limit = {"upper_limit": LIMIT, "limit_confidence": 0.95, "role": "derived"}
            quantities.append(number("phase.fraction", 0.0, 0.003, "1", "H1-3", **limit))
        else:
            quantities.append(number("phase.fraction", share, 0.004, "1", "H1-3"))
        for phase in ("O3",) if share is None else ("O3", "H1-3"):
            a, c = cell(phase, frame)
            quantities += [
                number("lattice.a", a, 1e-4, "angstrom", phase),
                number("lattice.b", a, 1e-4, "angstrom", phase, role="constrained"),
                number("lattice.c", c, 1e-3, "angstrom", phase),
                number("lattice.gamma", 120.0, None, "deg", phase),
                number("atom.coordinate", 0.2602, 0.0004, "1", f"{phase}/O/z"),
            ]
        quality = FitQuality(chi2=900.0, n_data=WIDE.size, rwp=0.0692, rexp=0.0414, gof=1.67, converged=True)
        run.add(f"r{frame}", "rietveld.rietx", "P", frame, refs, quantities, quality=quality, recipe=LIBRARY)
    return run.finish()
