"""Panels of figures by specification: contour, voltage, fractions, and the deconvolution of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from layerscope.figures.courses import DASHES, event_guides, line_handles
from layerscope.figures.parts import component_handles, kind_handles
from layerscope.figures.specified import PanelKind, Place
from layerscope.records import ResultRecord

from ..figure_data import TWO_THETA, SeriesView
from ..figure_parts import AMOUNTS, draw_branches, draw_heat_map, draw_voltage, phase_handles
from ..figure_series import WEIGHT, upright_amounts
from ..panels import FrameOptions, SampleOptions, frame_of, phases_of, view_of
from ..phase_table import FRACTION
from .figures import draw_frame, limits_of

__all__ = ["PANELS"]

PIPELINE = "xrd_peaks"


class MapOptions(SampleOptions):
    """Intensity against angle and, upwards, time; the fitted positions on top."""

    tracks: bool = Field(default=True, description="the fitted positions of the phases")


class AmountOptions(SampleOptions):
    """Weight fractions of the phases: against the voltage, or upright beside a map."""

    upright: bool = Field(default=False, description="fractions to the right against time upwards")


class DeconvolutionOptions(FrameOptions):
    """One pattern with its fit, its phases and their fractions."""

    residuals: bool = Field(default=True, description="residuals below")


def _records(view: SeriesView) -> list[ResultRecord]:
    return [*(row.record for row in view.series.rows), *view.series.summaries]


def _title(place: Place, view: SeriesView, title: str | None) -> str:
    return place.word(view.series.sample if title is None else title)


def _voltage(place: Place, options: SampleOptions) -> Sequence[ResultRecord]:
    view = view_of(place, PIPELINE, options.sample)
    panel = place.panel(place.word(options.title or ""))
    draw_voltage(panel, view, upright=True)
    panel.axes.set_ylim(view.clock[0], view.clock[-1])
    event_guides(panel.axes, view.events("time"), phases_of(place, [view]), upright=True)
    return _records(view)


def _map(place: Place, options: MapOptions) -> Sequence[ResultRecord]:
    view = view_of(place, PIPELINE, options.sample)
    colours = phases_of(place, [view])
    panel = place.panel(_title(place, view, options.title))
    tracks = {phase: colours[phase] for phase in view.series.phases if phase in colours} if options.tracks else {}
    draw_heat_map(panel, view, tracks, options.x or limits_of(view))
    panel.axes.set_ylabel(view.time.label)
    event_guides(panel.axes, view.events("time"), colours, upright=True, above=True)
    return _records(view)


def _amounts(place: Place, options: AmountOptions) -> Sequence[ResultRecord]:
    view = view_of(place, PIPELINE, options.sample)
    colours = phases_of(place, [view])
    panel = place.panel(_title(place, view, options.title))
    if options.upright:
        upright_amounts(panel, view, colours)
        if (legend := panel.axes.get_legend()) is not None:
            legend.remove()
        panel.axes.set_ylim(view.clock[0], view.clock[-1])
        event_guides(panel.axes, view.events("time"), colours, upright=True)
    else:
        for phase in view.series.parts:
            look = replace(AMOUNTS, colour=colours[phase])
            draw_branches(panel, view, "voltage", view.points(FRACTION, phase), phase, WEIGHT, look)
        event_guides(panel.axes, view.events("voltage"), colours)
        panel.axes.set_ylim(-0.03, 1.06)
        panel.axes.set_ylabel(WEIGHT.label)
        panel.axes.set_xlabel(view.axis("voltage")[1].label)
    handles = phase_handles(view.series.phases, colours)
    if not options.upright and len(view.branches("voltage")) > 1:
        ways = line_handles({"charge": "#4D4D4D", "discharge": "#4D4D4D"}, linewidth=0.8)
        ways[1].set_linestyle(DASHES)
        handles += ways
    place.legend(handles)
    return _records(view)


def _frame(place: Place, options: DeconvolutionOptions) -> Sequence[ResultRecord]:
    view = view_of(place, PIPELINE, options.sample)
    row, colours = frame_of(view, options), phases_of(place, [view])
    title = f"{place.word(view.series.sample)}, {view.title_of(row)}" if options.title is None else options.title
    upper, *below = place.stacked([3.4, 1.0] if options.residuals else [1.0], title, pad=9.0)
    legend = draw_frame((upper, below[0] if below else None), view, row, colours, options.x or limits_of(view))
    upper.axes.set_ylabel(view.arrays.intensity_unit.capitalize())
    for panel in below:
        panel.axes.set_ylabel("Residual / σ", fontsize=6)
    (upper, *below)[-1].axes.set_xlabel(TWO_THETA.label)
    place.legend([*kind_handles(), *component_handles(legend)], loc="upper left")
    return [view.series.rows[row].record]


PANELS = (
    PanelKind("xrd.voltage", PIPELINE, SampleOptions, _voltage),
    PanelKind("xrd.map", PIPELINE, MapOptions, _map),
    PanelKind("xrd.amounts", PIPELINE, AmountOptions, _amounts),
    PanelKind("xrd.frame", PIPELINE, DeconvolutionOptions, _frame, usual=True),
)
