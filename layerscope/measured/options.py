"""What every recipe may say of a series: its files, what they are called, and the state of the sample."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from layerscope.options import RecipeModel, RecipePath, listed, not_empty
from layerscope.records import SampleState

__all__ = ["SeriesTable"]


class SeriesTable(RecipeModel):
    """One series of a recipe; a technique adds what only it knows."""

    files: Annotated[tuple[RecipePath, ...], BeforeValidator(listed), AfterValidator(not_empty)] = Field(
        description="files, folders, archives or patterns ('level_*.txt'), of which each adds its levels in this order"
    )
    members: str | None = Field(default=None, description="which files of a folder or archive are meant, e.g. '*.txt'")
    name: Annotated[str, Field(description="tells the series of a recipe apart")] = ""
    sample: str | None = Field(default=None, description="sample's name, if other than the recipe's")
    format: str = Field(default="auto", description="found by the content if 'auto'; else the reader's name")
    cycle: float | None = Field(default=None, description="of the cell, for the records")
    step: str | None = Field(default=None, description="of the cell's program, for the records")
    voltage_V: float | None = Field(default=None, description="of the cell, for the records")

    @model_validator(mode="before")
    @classmethod
    def _of_files(cls, given: Any) -> Any:
        return {"files": given} if isinstance(given, str) else given

    def state(self, sample: str, **more: Any) -> SampleState:
        """Return the state that a record of this series is about.

        Parameters
        ----------
        sample : str
            Name of the sample where the series has none of its own.
        **more
            Further fields of the state; those that are None are left as they are.
        """
        known: dict[str, Any] = {
            "cycle": self.cycle,
            "step": self.step,
            "voltage_V": self.voltage_V,
            "series": self.name or None,
        }
        known |= {key: value for key, value in more.items() if value is not None}
        return SampleState(sample=self.sample or sample, **known)
