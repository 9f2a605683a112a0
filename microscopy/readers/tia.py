"""TIA (FEI): .ser, and the .emi that names those beside it."""

from __future__ import annotations

import glob

from layerscope.measured.files import RawFile

from .adapter import load_images
from .micrograph import Micrograph

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell by byte order and series; an .emi only where it is named itself: of a folder its .ser are read already."""
    is_emi = not raw.member and raw.data[:1] != b"<" and b"<ObjectInfo>" in raw.data
    return raw.data.startswith(b"II\x97\x01") or is_emi


def read(raw: RawFile) -> list[Micrograph]:
    """Read its images; those of an .emi lie beside it, and no link to one elsewhere is followed."""
    beside = raw.path.parent.glob(f"{glob.escape(raw.path.stem)}_[0-9].ser") if raw.path.suffix == ".emi" else ()
    if any(path.is_symlink() for path in beside):
        raise raw.error("a series beside it is a link", hint="copy the file")
    return load_images(raw, "tia")
