"""Images and letters of figures are written quickly, and say the same as when they are written at leisure."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.backends import _backend_pdf_ps
from matplotlib.font_manager import FontPath, findfont, get_font
from PIL import Image

from layerscope.figures.pixels import packed, png, without_colour
from layerscope.figures.repeated import _small_fonts


@pytest.mark.parametrize(("values", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_png_reads_back_to_its_pixels_words_and_resolution(values: int, mode: str) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (7, 11, values), dtype=np.uint8)
    image = Image.open(BytesIO(png(pixels, {"Title": "O3′ against H1-3", "Software": "Å"}, 320.0)))
    assert image.mode == mode
    assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    assert image.info["Title"] == "O3′ against H1-3"
    assert image.info["Software"] == "Å"
    assert image.info["dpi"] == pytest.approx((320.0, 320.0), abs=0.02)


def test_an_image_without_a_row_or_with_one_is_written_too() -> None:
    assert len(packed(np.zeros((1, 3, 3), np.uint8))) < 30
    assert Image.open(BytesIO(png(np.full((1, 2, 3), 9, np.uint8)))).getpixel((1, 0)) == (9, 9, 9)


def test_grey_pixels_are_written_with_one_value_and_coloured_ones_with_three() -> None:
    grey = np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), 3, axis=2)
    assert without_colour(grey).shape == (2, 3, 1)
    grey[1, 2, 0] += 1
    assert without_colour(grey).shape == (2, 3, 3)


@pytest.mark.parametrize("text", ["Etch time / s, B–O–B ₂⁻′", "unusual: Жת"], ids=["usual letters", "unusual ones"])
@pytest.mark.skipif(not hasattr(_backend_pdf_ps, "SubsetResults"), reason="matplotlib before 3.11")
def test_an_embedded_letter_has_the_outline_that_it_has_in_the_whole_font(text: str) -> None:
    file = FontPath(findfont("DejaVu Sans"), 0)
    glyphs = {get_font(file).get_char_index(ord(letter)) for letter in text}
    with _small_fonts(), _backend_pdf_ps.get_glyphs_subset(file, glyphs) as small:
        content, places = _backend_pdf_ps.font_as_file(small.font), small.glyph_index_map
        embedded, whole = TTFont(content), TTFont(file)
        for glyph in glyphs:
            ours, theirs = embedded.getGlyphName(places[glyph]), whole.getGlyphName(glyph)
            outlines = [
                font["glyf"][name].getCoordinates(font["glyf"])[0] for font, name in ((embedded, ours), (whole, theirs))
            ]
            assert outlines[0] == outlines[1]
            assert embedded["hmtx"][ours] == whole["hmtx"][theirs]
