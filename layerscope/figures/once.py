"""A page is drawn once, on pixels, and what was drawn is written down: vector formats are written from those notes.

Ticks, texts and curves are asked for what they look like a single time. What they answer is what the PNG shows, and
after division by the resolution what PDF and SVG show; so the three agree to the last label.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Bbox, TransformedPath

from .pixels import packed, png, without_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Notes", "NotingCanvas"]

POINTS_PER_INCH = 72.0
Renderer = Any  # of matplotlib, whose renderers have no common type for what they draw


@dataclass(frozen=True)
class _Clip:
    """Where a stroke is cut off: a rectangle, a path, both or neither, in pixels."""

    bounds: tuple[float, float, float, float] | None
    path: Path | None


@dataclass(frozen=True)
class _Stroke:
    """One call of a renderer, by a function that makes it anew on another one, in its units."""

    look: GraphicsContextBase | None
    clip: _Clip
    call: Callable[[Renderer, Any, float], None]


class Notes(RendererBase):
    """A renderer that draws on pixels and takes notes of every stroke.

    Parameters
    ----------
    width, height : float
        Of the page in pixels.
    dpi : float
        Pixels an inch.

    Attributes
    ----------
    page : RendererAgg
        The page in pixels.
    """

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__()
        self.width, self.height, self.dpi = width, height, dpi
        self.page = RendererAgg(width, height, dpi)  # type: ignore[no-untyped-call]
        self._layer: RendererAgg | None = None  # of what is saved as pixels in all formats
        self._strokes: list[_Stroke] = []

    def __getattr__(self, name: str) -> Any:
        """Leave sizes of texts and all that is not drawn to the page."""
        if name == "page":  # not made yet
            raise AttributeError(name)
        return getattr(self.page, name)

    # what RendererBase answers itself, and the page better; these methods are matplotlib's, which describes them
    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> Any:  # noqa: D102
        return self.page.get_text_width_height_descent(s, prop, ismath)  # type: ignore[no-untyped-call]

    def get_canvas_width_height(self) -> tuple[float, float]:  # noqa: D102
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:  # noqa: D102
        return points * self.dpi / POINTS_PER_INCH

    def option_image_nocomposite(self) -> bool:  # noqa: D102
        return True

    def replay(self, renderer: Renderer, height: float) -> None:
        """Draw everything on another renderer whose unit is a point, of a page of this height."""
        renderer._text2path = text_to_path  # which keeps formulas taken apart, from one renderer to the next
        for stroke in self._strokes:
            look = None
            if stroke.look is not None:
                look = renderer.new_gc()
                look.copy_properties(stroke.look)
                self._cut(look, stroke.clip)
            stroke.call(renderer, look, height)
            if look is not None:
                look.restore()

    @cached_property
    def _share(self) -> float:
        return POINTS_PER_INCH / self.dpi

    def _cut(self, look: GraphicsContextBase, clip: _Clip) -> None:
        known: dict[Any, Any] = self.__dict__.setdefault("_cuts", {})
        if clip.bounds is not None:
            if clip.bounds not in known:
                known[clip.bounds] = Bbox.from_bounds(*(self._share * value for value in clip.bounds))
            look._cliprect = known[clip.bounds]  # type: ignore[attr-defined]
        if clip.path is not None:
            if id(clip.path) not in known:
                known[id(clip.path)] = TransformedPath(clip.path, Affine2D().scale(self._share))
            look._clippath = known[id(clip.path)]  # type: ignore[attr-defined]

    def _note(self, look: GraphicsContextBase | None, call: Callable[[Renderer, Any, float], None]) -> None:
        if self._layer is not None:
            return
        kept, clip = None, _Clip(None, None)
        if look is not None:
            kept = GraphicsContextBase()
            kept.copy_properties(look)
            box, (path, transform) = look.get_clip_rectangle(), look.get_clip_path()
            whole = None if path is None else path.transformed(transform)  # type: ignore[attr-defined]
            clip = _Clip(None if box is None else tuple(box.bounds), whole)
        self._strokes.append(_Stroke(kept, clip, call))

    def _points(self, transform: Any) -> Affine2D:
        """Return a transformation to pixels as one to points, as it is now."""
        return Affine2D(np.asarray(transform.get_matrix()).copy()).scale(self._share)

    def _draw(self, name: str, *given: Any, **named: Any) -> None:
        getattr(self.page, name)(*given, **named)
        if self._layer is not None:
            getattr(self._layer, name)(*given, **named)

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:  # noqa: D102
        self._draw("draw_path", gc, path, transform, rgbFace)
        at = self._points(transform)
        self._note(gc, lambda on, look, _: on.draw_path(look, path, at, rgbFace))

    def draw_markers(  # noqa: D102
        self,
        gc: Any,
        marker_path: Any,
        marker_trans: Any,
        path: Any,
        trans: Any,
        rgbFace: Any = None,
    ) -> None:
        self._draw("draw_markers", gc, marker_path, marker_trans, path, trans, rgbFace)
        size, at = self._points(marker_trans), self._points(trans)
        self._note(gc, lambda on, look, _: on.draw_markers(look, marker_path, size, path, at, rgbFace))

    def draw_path_collection(  # noqa: D102
        self,
        gc: Any,
        master_transform: Any,
        paths: Any,
        all_transforms: Any,
        offsets: Any,
        offset_trans: Any,
        *styles: Any,
        **named: Any,
    ) -> None:
        self._draw(
            "draw_path_collection", gc, master_transform, paths, all_transforms, offsets, offset_trans, *styles, **named
        )
        size, at = self._points(master_transform), self._points(offset_trans)
        self._note(
            gc,
            lambda on, look, _: on.draw_path_collection(
                look, size, paths, all_transforms, offsets, at, *styles, **named
            ),
        )

    def draw_quad_mesh(  # noqa: D102
        self, gc: Any, master_transform: Any, width: int, height: int, corners: Any, offsets: Any, *more: Any
    ) -> None:
        offset_trans, *colours = more
        self._draw("draw_quad_mesh", gc, master_transform, width, height, corners, offsets, *more)
        size, at = self._points(master_transform), self._points(offset_trans)
        self._note(gc, lambda on, look, _: on.draw_quad_mesh(look, size, width, height, corners, offsets, at, *colours))

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:  # noqa: D102
        self._draw("draw_image", gc, x, y, im)
        left, bottom = self._share * x, self._share * y
        self._note(gc, lambda on, look, _: on.draw_image(look, left, bottom, im))

    def draw_text(  # noqa: D102
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        self._draw("draw_text", gc, x, y, s, prop, angle, ismath=ismath, mtext=mtext)
        left, down, anchor = self._share * x, self._share * y, self._anchor(mtext)

        def call(on: Renderer, look: Any, height: float) -> None:
            on.draw_text(look, left, down if on.flipy() else height - down, s, prop, angle, ismath, anchor)

        self._note(gc, call)

    def _anchor(self, text: Text | None) -> Text | None:
        """Return what a viewer with other fonts needs of a text: the point that it is aligned with, in points."""
        if text is None:
            return None
        x, y = text.get_transform().transform(text.get_unitless_position())
        anchor = copy(_blank())
        anchor.set_position((self._share * x, self._share * y))
        anchor.set_horizontalalignment(text.get_horizontalalignment())
        anchor.set_rotation_mode(text.get_rotation_mode())
        return anchor

    def open_group(self, s: str, gid: str | None = None) -> None:  # noqa: D102
        self._note(None, lambda on, _, __: on.open_group(s, gid))

    def close_group(self, s: str) -> None:  # noqa: D102
        self._note(None, lambda on, _, __: on.close_group(s))

    def start_rasterizing(self) -> None:
        """Draw what follows on the page, and for vector formats on a layer of pixels."""
        self._layer = RendererAgg(self.width, self.height, self.dpi)  # type: ignore[no-untyped-call]

    def stop_rasterizing(self) -> None:
        """Note the layer as an image, cut to what is on it."""
        assert self._layer is not None  # noqa: S101 - matplotlib starts before it stops
        pixels = np.asarray(self._layer.buffer_rgba())  # type: ignore[no-untyped-call]
        self._layer = None
        rows, columns = (np.flatnonzero(pixels[..., 3].any(axis=k)) for k in (1, 0))
        if not rows.size:
            return
        shown = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][::-1].copy()
        left, bottom = self._share * columns[0], self._share * (self.height - rows[-1] - 1)
        self._note(GraphicsContextBase(), lambda on, look, _: on.draw_image(look, left, bottom, shown))


@cache
def _blank() -> Text:
    """Return a text that says nothing; a copy of it is made far more quickly than another one."""
    return Text()


class NotingCanvas(FigureCanvasAgg):
    """A canvas whose renderer takes notes; it lays the figure out, draws it once, and writes it in every format."""

    notes: Notes

    @classmethod
    def of(cls, figure: Figure) -> NotingCanvas:
        """Return the canvas of a figure at the figure's resolution, which may not change afterwards."""
        canvas = cls(figure)
        width, height = figure.bbox.size
        canvas.notes = Notes(width, height, figure.dpi)
        return canvas

    def get_renderer(self) -> Any:
        """Return the renderer that takes notes: sizes of texts are those of the drawn ones."""
        return self.notes

    def draw(self) -> None:
        """Draw the figure."""
        self.figure.draw(self.notes)

    def png(self, metadata: Mapping[str, str]) -> bytes:
        """Return the drawn page as an opaque PNG."""
        import matplotlib

        page = np.asarray(self.notes.page.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        words = {"Software": f"Matplotlib version {matplotlib.__version__}", **metadata}
        return png(page, words, self.notes.dpi)

    def pdf(self, metadata: Mapping[str, Any]) -> bytes:
        """Return the drawn page as PDF."""
        from matplotlib.backends.backend_pdf import RendererPdf

        target = io.BytesIO()
        width, height = self.figure.get_size_inches()
        file = _pdf_file()(target, metadata=dict(metadata))
        try:
            file.newPage(width, height)
            renderer = RendererPdf(file, self.notes.dpi, height, width)  # type: ignore[no-untyped-call]
            self.notes.replay(renderer, POINTS_PER_INCH * height)
            renderer.finalize()  # type: ignore[no-untyped-call]
            file.finalize()
        finally:
            file.close()
        return target.getvalue()

    def svg(self, metadata: Mapping[str, Any]) -> bytes:
        """Return the drawn page as SVG."""
        target = io.StringIO()
        width, height = (POINTS_PER_INCH * side for side in self.figure.get_size_inches())
        renderer = _svg_renderer()(width, height, target, image_dpi=self.notes.dpi, metadata=dict(metadata))
        self.notes.replay(renderer, height)
        renderer.finalize()
        return target.getvalue().encode()


@cache
def _pdf_file() -> Any:
    """Return matplotlib's PDF file, with images packed as `pixels` does."""
    from matplotlib.backends.backend_pdf import Name, PdfFile

    class File(PdfFile):
        def _writeImg(self: Any, data: Any, id: Any, smask: Any = None) -> None:
            pixels = without_colour(data) if data.shape[2] == 3 else data
            rows, columns, values = pixels.shape
            shape = {"Width": columns, "Height": rows, "BitsPerComponent": 8}
            kind = {name: Name(word) for name, word in (("Type", "XObject"), ("Subtype", "Image"))}  # type: ignore[no-untyped-call]
            colours = Name("DeviceGray" if values == 1 else "DeviceRGB")  # type: ignore[no-untyped-call]
            mask = {"SMask": smask} if smask else {}
            self.beginStream(
                id,
                self.reserveObject("length of image stream"),
                {**kind, **shape, "ColorSpace": colours, **mask},
                png={"Predictor": 10, "Colors": values, "Columns": columns},
            )
            self.currentstream.write(packed(pixels))
            self.endStream()

    return File


@cache
def _svg_renderer() -> Any:
    """Return matplotlib's renderer of SVG, with images packed as `pixels` does."""
    from matplotlib.backends.backend_svg import RendererSVG

    class Renderer(RendererSVG):
        def draw_image(self: Any, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
            seen = im if (im[..., 3] < 255).any() else without_colour(im[..., :3])
            content = png(seen)
            link = "data:image/png;base64,\n" + base64.b64encode(content).decode("ascii")
            rows, columns = im.shape[:2]
            width, height = (POINTS_PER_INCH * side / self.image_dpi for side in (columns, rows))
            place = {"x": x, "y": y + height - self.height, "width": width, "height": height}
            around = self._get_clip_attrs(gc)
            if around:  # the image itself is turned over, and what it is cut to would be too
                self.writer.start("g", **around)
            self.writer.element(
                "image",
                attrib={"id": self._make_id("image", content), "xlink:href": link},
                transform=f"matrix(1 0 0 -1 0 {height:.6f})",
                **{key: f"{value:.6f}" for key, value in place.items()},
            )
            if around:
                self.writer.end("g")

    return Renderer
