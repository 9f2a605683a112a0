"""One series of a recipe while it is being worked on: its spectra, fits and energy scale, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from layerscope.records import InputFile, SampleState
from layerscope.runs.pipeline import RunContext

from .dataset import XpsDataset
from .energyscale import EnergyScale
from .options import SeriesTable
from .overlap import P2sPrediction
from .recipe import XpsRecipe
from .regionresult import RegionData, RegionFit
from .series import LevelKind, RegionSpectra, level_kind

__all__ = ["LevelRecord", "Profile"]


class LevelRecord(NamedTuple):
    """What is kept of the record of a level, for those that rest on it: whole, those of many levels fill the memory."""

    record_id: str
    region: str
    flags: tuple[str, ...]


@dataclass
class Profile:
    """What is known of one series while it is being worked on."""

    recipe: XpsRecipe
    series: SeriesTable
    datasets: tuple[XpsDataset, ...]
    context: RunContext
    spectra: dict[str, RegionSpectra] = field(default_factory=dict)
    fits: dict[str, RegionFit] = field(default_factory=dict)
    data: dict[str, RegionData] = field(default_factory=dict)
    gross: dict[str, frozenset[int]] = field(default_factory=dict)  # levels of a fit that it does not describe
    records: dict[tuple[str, int], LevelRecord] = field(default_factory=dict)
    scale: EnergyScale | None = None
    unscaled: bool = False  # the region that holds the charge reference could not be fitted
    refined: EnergyScale | None = None  # the shifts as all regions so far know them
    p2s: P2sPrediction | None = None

    @property
    def sample(self) -> str:
        """Name of the sample."""
        return self.series.sample or self.recipe.sample

    @cached_property
    def level_kind(self) -> LevelKind:
        """What the levels of the series differ in."""
        return level_kind(self.datasets, self.series)

    def state(self, region: str | None, value: float | None) -> SampleState:
        """Return the state that a record of this series is about, with the value of its level."""
        rate = self.recipe.depth.etch_rate_nm_s if self.recipe.depth else None
        known: dict[LevelKind, dict[str, float | None]] = {
            "time": {"elapsed_s": value},
            "angle": {"angle_deg": value},
            "etch_time": {
                "etch_time_s": value,
                "depth_nm": None if value is None or rate is None else rate * value,
            },
        }
        return self.series.state(self.recipe.sample, **known[self.level_kind], region=region)

    @cached_property
    def readable(self) -> list[int]:
        """The places of the files that hold spectra."""
        return [i for i, dataset in enumerate(self.datasets) if dataset.spectra]

    def inputs(self, selector: str, files: Sequence[int] | None = None) -> list[InputFile]:
        """Return the files behind a record: all that could be read, or some of them."""
        chosen = self.readable if files is None else sorted(set(files))
        return [self.datasets[i].input_file(str(self.series.files[i]), selector) for i in chosen]
