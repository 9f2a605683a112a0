"""Panels of figures by specification: micrographs, their transforms with what answers predict, maps and layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from layerscope.errors import DataError
from layerscope.figures import PALETTE, Panel
from layerscope.figures.specified import PanelKind, PanelOptions, Place
from layerscope.figures.specified.place import one_of
from layerscope.records import ResultRecord

from .arrays import BOXES, MAP, PROFILES, STRAIN, TRANSFORM
from .figures import collect_images, draw_image, draw_transform
from .figures_layers import View, draw_map, draw_profiles, draw_strain

__all__ = ["PANELS"]


class ImageOptions(PanelOptions):
    """An image with the boxes of its regions and the boundaries of its layers."""

    sample: str | None = Field(default=None, description="name of the image's arrays or of its sample, or part of it")
    boxes: bool = Field(default=True, description="the boxes of its regions")


class TransformOptions(PanelOptions):
    """The transform of a region, its spots, and the reflections of the first answers."""

    sample: str | None = Field(default=None, description="name of the image's arrays or of its sample, or part of it")
    region: str | None = Field(default=None, description="the region; not needed where there is one")


class LayerOptions(PanelOptions):
    """The map of phases, or amplitudes along the normal with the boundaries."""

    sample: str | None = Field(default=None, description="name of the image's arrays or of its sample, or part of it")


class StrainOptions(LayerOptions):
    """A part of the strain."""

    part: Literal["across", "along"] = Field(default="across", description="across or along the surface")


def _view(place: Place, sample: str | None) -> View:
    found = place.source.collect("hrtem", collect_images)
    return one_of({f"{name} ({view.grids.sample})": view for name, view in found.items()}, sample, "images")


def _boxes(view: View) -> list[str]:
    return [str(name) for name in view.grids[BOXES].axes[0].values if f"{TRANSFORM} {name}" in view.grids]


def _box_colours(view: View) -> dict[str, str]:
    names = _boxes(view)
    return {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(names)} if len(names) > 1 else {}


def _image(place: Place, options: ImageOptions) -> Sequence[ResultRecord]:
    view = _view(place, options.sample)
    title = view.grids.sample if options.title is None else options.title
    draw_image(place.panel(place.word(title)), view, _box_colours(view) if options.boxes else {})
    place.arrays |= view.shown
    return [view.whole, *view.regions]


def _transform(place: Place, options: TransformOptions) -> Sequence[ResultRecord]:
    view = _view(place, options.sample)
    by_name = {str(record.state.region): record for record in view.regions}
    record = one_of({name: by_name[name] for name in _boxes(view)}, options.region, "regions")
    name = str(record.state.region)
    colour = _box_colours(view).get(name, "black")
    draw_transform(place.panel(place.word(name if options.title is None else options.title)), view, record, colour)
    place.arrays |= view.shown
    return [record]


def _of_layers(
    draw: Callable[[Panel, View], None], needs: str, place: Place, options: LayerOptions
) -> Sequence[ResultRecord]:
    view = _view(place, options.sample)
    if needs not in view.grids:
        raise DataError(f"this image has no {needs}", source=view.grids.sample)
    draw(place.panel("" if options.title is None else place.word(options.title)), view)
    place.arrays |= view.shown
    return [view.whole, *view.layers]


def _strain(place: Place, options: StrainOptions) -> Sequence[ResultRecord]:
    return _of_layers(partial(draw_strain, part=options.part), STRAIN, place, options)


PANELS = (
    PanelKind("hrtem.image", "hrtem", ImageOptions, _image, usual=True),
    PanelKind("hrtem.transform", "hrtem", TransformOptions, _transform),
    PanelKind("hrtem.map", "hrtem", LayerOptions, partial(_of_layers, draw_map, MAP)),
    PanelKind("hrtem.layers", "hrtem", LayerOptions, partial(_of_layers, draw_profiles, PROFILES)),
    PanelKind("hrtem.strain", "hrtem", StrainOptions, _strain),
)
