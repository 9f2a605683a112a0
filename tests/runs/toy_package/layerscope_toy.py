"""A technique from outside: text files with one level a line, ``etch_time intensity intensity ...``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from layerscope.errors import DataError, ReaderError, WriteError
from layerscope.options import RecipeModel, RecipePath
from layerscope.records import InputFile, Quantity, ResultRecord, SampleState
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.levels import side_files
from layerscope.runs.pipeline import PipelineBase, PipelineOutput, RunContext
from layerscope.runs.recipe import PipelineRecipe
from layerscope.runs.summary import SummaryTable, table

SPECIES = ("A", "B")


class Region(RecipeModel):
    name: str = "T 1s"
    background: str = "none"


class ToyRecipe(PipelineRecipe):
    files: tuple[RecipePath, ...]
    regions: Annotated[tuple[Region, ...], Field(default=(Region(),))]
    scale: float = 1.0


class ToyPipeline(PipelineBase):
    name = "toy"
    version = "1"
    technique = "toy"
    recipe_model = ToyRecipe

    def split(self, recipe: ToyRecipe) -> Sequence[ToyRecipe]:
        return [recipe.model_copy(update={"files": (file,)}) for file in recipe.files]

    def run(self, recipe: ToyRecipe, context: RunContext) -> Iterator[PipelineOutput]:
        (path,) = recipe.files
        text = recipe.resolve(path).read_text()
        if not text.strip():
            raise ReaderError("is empty", source=path, hint="measure again")
        if "full" in text:
            raise WriteError("cannot be written: No space left on device", source=path)
        if "die" in text:
            os._exit(9)
        if "wait" in text:
            time.sleep(60)
        levels, counts = [], []
        records = []
        lines = text.splitlines()
        if lines[0].startswith("kill once "):  # the first time that it is worked on
            flag = Path(lines.pop(0).removeprefix("kill once "))
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        for number, line in enumerate(lines):
            context.progress(number + 1, len(lines), "level")
            (file,) = side_files(recipe, path)
            source = file.model_copy(update={"reader": "toy", "reader_version": "1", "selector": f"level={number}"})
            with context.guard(inputs=(source,)):
                etch_time, values = self.parse(line, path)
                records.append(self.record(context, source, etch_time, values * recipe.scale))
                levels.append(etch_time)
                counts.append(values)
        stack = np.array(counts)
        series = SeriesArrays(
            name=context.series_name(Path(path).stem),
            technique=self.technique,
            title=recipe.title,
            sample=recipe.sample,
            axis=np.arange(stack.shape[1], dtype=float),
            axis_name="channel",
            axis_unit="eV",
            levels=np.array(levels),
            level_name="etch_time",
            level_unit="s",
            counts=stack,
            variance=np.maximum(stack, 1.0),
            fit=stack,
            background=np.zeros_like(stack),
            residual=np.zeros_like(stack),
        )
        yield PipelineOutput(tuple(records), {series.name: series})

    @staticmethod
    def parse(line: str, path: str) -> tuple[float, np.ndarray]:
        words = line.split()
        if words[1:] == ["crash"]:
            raise ZeroDivisionError("division by zero")
        values = np.array([float(word) for word in words])
        if not np.all(np.isfinite(values)):
            raise DataError("holds NaN", source=path)
        return values[0], values[1:]

    @staticmethod
    def record(context: RunContext, source: InputFile, etch_time: float, values: np.ndarray) -> ResultRecord:
        total = float(values.sum())
        common: dict[str, Any] = {"name": "species.fraction", "unit": "1", "sigma_kind": "counting", "role": "derived"}
        quantities = [
            Quantity(value=float(value) / total, sigma=float(np.sqrt(value)) / total, component=name, **common)
            for name, value in zip(SPECIES, values, strict=False)
        ]
        total_quantity = Quantity(
            name="signal.total", value=total, sigma=total**0.5, sigma_kind="counting", unit="counts"
        )
        return context.record(
            state=SampleState(sample=context.recipe.sample, etch_time_s=etch_time, region="T 1s"),
            inputs=(source,),
            quantities=(*quantities, total_quantity),
        )

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        return [table(records, ("etch_time_s",), ("species.fraction",), title="Species", headline=True)]

    def figures(self, run: Any, folder: Path) -> list[Path]:
        if os.environ.get("TOY_FIGURES") == "fail":
            raise ValueError("no ink")
        path = folder / "toy.csv"
        path.write_text(run.table[["quantity", "value"]].to_csv(index=False))
        return [path]


PIPELINE = ToyPipeline()
