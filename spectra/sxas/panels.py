"""Panels of figures by specification: spectra of an edge, their differences, what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from layerscope.errors import DataError
from layerscope.figures import SAMPLE_COLOURS
from layerscope.figures.specified import PanelKind, PanelOptions, Place
from layerscope.records import ResultRecord
from layerscope.runs.load import Run

from .figures import Drawn, draw_differences, draw_parts, draw_shares, draw_spectra, drawn, order, part_colours
from .tables import BANDS, COORDINATION, METHOD

if TYPE_CHECKING:
    from matplotlib.artist import Artist

__all__ = ["PANELS"]


class EdgeOptions(PanelOptions):
    """Spectra of an edge, of samples over each other."""

    region: str | None = Field(default=None, description="the edge, e.g. 'O K'; not needed where there is one")
    samples: tuple[str, ...] = Field(
        default=(), description="samples in their order, or parts of names; all by default"
    )


class PartsOptions(EdgeOptions):
    """What spectra are made of, samples above each other: bands, or references of coordination."""

    parts: Literal["bands", "coordination"] = Field(default="bands", description="which analysis")


def _collect(run: Run) -> list[Drawn]:
    return sorted(drawn(run), key=order)


def _samples(place: Place, options: EdgeOptions, method: str) -> list[Drawn]:
    every = [one for one in place.source.collect("sxas", _collect) if one.record.method == method]
    edges = list(dict.fromkeys(one.record.state.region for one in every))
    edge = options.region or (edges[0] if len(edges) == 1 else None)
    found = [one for one in every if one.record.state.region == edge]
    if options.samples:
        found = [one for wanted in options.samples for one in found if wanted.casefold() in one.name.casefold()]
    if not found:
        listed = ", ".join(f"{one.name} ({one.record.state.region})" for one in every) or "none"
        raise DataError(f"no such spectra: {edge or 'which edge?'}", hint=f"there are {listed}")
    return found


def _over(
    draw: Callable[[Place, EdgeOptions, list[Drawn], Mapping[str, str]], None],
    method: str,
    place: Place,
    options: EdgeOptions,
) -> Sequence[ResultRecord]:
    """Draw with a colour a sample."""
    samples = _samples(place, options, method)
    draw(place, options, samples, place.colours.of((one.name for one in samples), SAMPLE_COLOURS))
    return [one.record for one in samples]


def _spectra(place: Place, options: EdgeOptions, samples: list[Drawn], colours: Mapping[str, str]) -> None:
    panel = place.panel(options.title or "")
    draw_spectra(panel, samples, samples[0].record.state.region or "", colours)
    _take_legend(place, loc="best")


def _differences(place: Place, options: EdgeOptions, samples: list[Drawn], colours: Mapping[str, str]) -> None:
    panel = place.panel(options.title or "")
    draw_differences(panel, samples, colours)
    place.legend([line for line in panel.axes.lines if not str(line.get_label()).startswith("_")])


def _shares(place: Place, options: EdgeOptions, samples: list[Drawn], colours: Mapping[str, str]) -> None:
    draw_shares(place.panel(options.title or ""), samples)
    _take_legend(place)


def _parts(place: Place, options: PartsOptions) -> Sequence[ResultRecord]:
    bands = options.parts == "bands"
    samples = _samples(place, options, BANDS if bands else COORDINATION)
    colours = part_colours(place.colours, samples)
    draw_parts(place.panel(options.title or ""), samples, colours, "1/eV" if bands else "1")
    _take_legend(place, ncols=3, fontsize=4.5)
    return [one.record for one in samples]


def _take_legend(place: Place, **look: Any) -> None:
    """Leave the legend that a panel made to the figure."""
    legend = place.axes[0].get_legend()
    if legend is None:
        return
    handles: list[Artist] = []
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if handle is not None:
            handle.set_label(text.get_text())  # that of error bars has none of its own
            handles.append(handle)
    place.legend(handles, **{"loc": "upper left", **look})
    legend.remove()


PANELS = (
    PanelKind("sxas.spectra", "sxas", EdgeOptions, partial(_over, _spectra, METHOD), usual=True),
    PanelKind("sxas.differences", "sxas", EdgeOptions, partial(_over, _differences, METHOD)),
    PanelKind("sxas.parts", "sxas", PartsOptions, _parts),
    PanelKind("sxas.shares", "sxas", EdgeOptions, partial(_over, _shares, COORDINATION)),
)
