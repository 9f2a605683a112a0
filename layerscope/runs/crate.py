"""A run as an RO-Crate 1.3: its files beside a description of what they are and what they were made from, in JSON-LD.

S. Soiland-Reyes et al., *Packaging research artefacts with RO-Crate*, Data Science 5 (2022) 97.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from layerscope.errors import StoreError
from layerscope.measured.files import write_atomic
from layerscope.records import file_sha256
from layerscope.records.identity import readable_json
from layerscope.version import __version__

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["export_crate"]

Entity: TypeAlias = "dict[str, Any]"

PROFILE = "https://w3id.org/ro/crate/1.3"
FORMATS: Mapping[str, tuple[str, str]] = {
    ".csv": ("text/csv", "points of a figure, with units"),
    ".html": ("text/html", "report for the browser"),
    ".json": ("application/json", "description"),
    ".nxs": ("application/x-hdf5", "arrays in NeXus"),
    ".parquet": ("application/vnd.apache.parquet", "table of every quantity with its error"),
    ".pdf": ("application/pdf", "figure"),
    ".png": ("image/png", "figure"),
    ".svg": ("image/svg+xml", "figure"),
}
NO_LICENSE = "No licence was stated when the run was exported: ask the people who measured."


def export_crate(run: Run, folder: Path) -> list[Path]:
    """Write ``ro-crate/``: a copy of the run's files, and ``ro-crate-metadata.json`` that says what each is.

    Parameters
    ----------
    run : Run
        Of a selection only the chosen records, with the arrays that they refer to.
    folder : Path
        Where to.

    Returns
    -------
    list of Path
        The description first.

    Raises
    ------
    StoreError
        If a file of the run cannot be read.
    """
    root = folder / "ro-crate"
    names = sorted(_files(run))
    for name in names:
        try:
            content = (run.folder / name).read_bytes()
        except OSError as error:
            raise StoreError(f"cannot be read: {error.strerror or error}", source=run.folder / name) from error
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(root / name, content)
    described = root / "ro-crate-metadata.json"
    graph = {"@context": f"{PROFILE}/context", "@graph": list(_graph(run, names, root))}
    write_atomic(described, readable_json(graph).encode())
    return [described, *(root / name for name in names)]


def _files(run: Run) -> Iterator[str]:
    """Yield the files of a run, relative to its folder."""
    yield from (f"records/{record.record_id}.json" for record in run.records)
    yield from dict.fromkeys(reference.file for record in run.records for reference in record.arrays)
    if len(run.records) == run.info.get("counts", {}).get("records"):  # these are of the whole run
        for kind in ("arrays", "tables", "figures", "report"):
            yield from run.info.get(kind, {})
        yield "run.json"


def _graph(run: Run, names: Iterable[str], root: Path) -> Iterator[Entity]:
    """Yield every entity: the description itself, the run, its files, what made it, and what it was made from."""
    names = tuple(dict.fromkeys(names))
    inputs = {item.sha256: item for record in run.records for item in record.inputs}
    made = str(run.info.get("created", ""))
    techniques = sorted({record.technique for record in run.records})
    samples = sorted({record.state.sample for record in run.records})
    yield {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": PROFILE},
        "about": {"@id": "./"},
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": run.title,
        "description": f"{len(run.records)} result records of {', '.join(samples)} by {', '.join(techniques)}.",
        "datePublished": made,
        "license": {"@id": "#license"},
        "keywords": ", ".join(techniques),
        "hasPart": _ids(names),
        "mentions": {"@id": "#run"},
    }
    yield {"@id": "#license", "@type": "CreativeWork", "name": "Licence", "description": NO_LICENSE}
    yield {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Analysis with layerscope {__version__}",
        "endTime": made,
        "instrument": {"@id": "#layerscope"},
        "object": _ids(f"#sha256-{sha256}" for sha256 in inputs),
        "result": _ids(names),
    }
    yield {
        "@id": "#layerscope",
        "@type": "SoftwareApplication",
        "name": "layerscope",
        "url": "https://github.com/layerscope/layerscope",
        "version": str(run.info.get("layerscope", __version__)),
    }
    for sha256, item in inputs.items():
        yield {
            "@id": f"#sha256-{sha256}",
            "@type": "CreativeWork",
            "name": item.path,
            "identifier": f"sha256:{sha256}",
            "description": f"measured file of {item.size} bytes, read by {item.reader}; not part of this crate",
        }
    for name in names:
        form, words = FORMATS.get(Path(name).suffix, ("application/octet-stream", "file of the run"))
        record = name.startswith("records/")
        yield {
            "@id": name,
            "@type": "File",
            "name": Path(name).name,
            "description": "result record: quantities with errors, inputs, recipe, versions" if record else words,
            "encodingFormat": form,
            "contentSize": str((root / name).stat().st_size),
            "sha256": file_sha256(root / name),
        }


def _ids(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": name} for name in names]
