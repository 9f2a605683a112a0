"""What a flag is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Flag", "note"]


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes
    ----------
    name : str
        Capitals, digits and underscores.
    says, do : str
        What it says of the record, its detail included, and what to do about it; ``{threshold}`` stands for the value.
    severity : {"note", "suspicious"}
        Whether a record with it warns.
    threshold : float or None
        Value from which on it is set, for those that one number decides.
    of_series : bool
        Set on a series, it holds for every level that was fitted with it.
    """

    name: str
    says: str
    do: str
    severity: Literal["note", "suspicious"] = "suspicious"
    threshold: float | None = None
    of_series: bool = False

    @property
    def meaning(self) -> str:
        """What it says, with the value from which on it does."""
        return self.says if self.threshold is None else self.says.format(threshold=f"{self.threshold:g}")


def note(name: str, says: str, do: str, threshold: float | None = None, *, of_series: bool = False) -> Flag:
    """Return a flag that tells what a reader should know and does not warn."""
    return Flag(name, says, do, "note", threshold, of_series)
