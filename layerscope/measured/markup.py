"""XML of instruments, parsed without entities that could grow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.parsers import expat

if TYPE_CHECKING:
    from layerscope.measured.files import RawFile

__all__ = ["local_name", "parse_xml"]


def parse_xml(raw: RawFile, *, document_type: bool = False) -> ElementTree.Element:
    """Parse XML that declares no entities.

    Parameters
    ----------
    raw : RawFile
    document_type : bool, default False
        Whether the format declares its elements, as few do.

    Raises
    ------
    ReaderError
        If it is not well-formed (for instance cut off), or has a document type, whose entities could grow.
    """

    def refuse(*_: object) -> None:
        raise raw.error("the XML declares a document type or entities, which no such instrument writes")

    parser = expat.ParserCreate()  # knows the encoding, so that none hides a declaration
    parser.EntityDeclHandler = refuse
    if not document_type:
        parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(raw.data, True)
        return ElementTree.fromstring(raw.data)  # noqa: S314  (entities are refused above)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise raw.error(f"the XML is cut off or damaged: {error}") from error


def local_name(element: ElementTree.Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]
