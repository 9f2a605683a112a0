"""The file formats of the technique."""

from layerscope.measured.formats import Formats
from layerscope.measured.measurement import Recording

FORMATS: Formats[Recording] = Formats(__name__, ("toyline",), Recording)
