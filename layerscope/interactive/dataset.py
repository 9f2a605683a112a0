"""A file as it was measured, whatever its technique: curves or images with their axes and units, listed and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

from layerscope.errors import LayerscopeError, ReaderError
from layerscope.measured.archive import is_zip
from layerscope.measured.files import RawFile, files_of, load
from layerscope.measured.formats import Formats
from layerscope.measured.measurement import Measurement, Recording
from layerscope.runs.pipeline import find_pipeline, installed_pipelines
from layerscope.runs.recipe import PipelineRecipe
from layerscope.runs.summary import Column, SummaryTable

from .run import Run, recipe_from, run
from .tables import html_of, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Dataset", "read"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Sequence[Measurement]):
    """What a file, a folder or an archive holds, in its order.

    Attributes
    ----------
    recording : Recording
        As the technique's reader gives it.
    pipeline : str
        Name of the pipeline whose reader it was, and that `run` asks unless told otherwise.
    how : mapping
        What `read` was told: the format, the meaning of columns, ...
    chosen : tuple of Measurement
        What of it is looked at; all unless it was selected by name.
    """

    recording: Recording[Any]
    pipeline: str
    how: Mapping[str, Any] = field(default_factory=dict)
    chosen: tuple[Measurement, ...] | None = None

    @property
    def source(self) -> Path:
        """The file or folder."""
        return self.recording.source

    @property
    def format(self) -> str:
        """Name of its format."""
        return self.recording.format

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The curves or images; each has axis, axis_unit, intensity and intensity_unit."""
        return self.recording.measurements if self.chosen is None else self.chosen

    @property
    def labels(self) -> tuple[str, ...]:
        """The lines, edges, ... that it holds, each once."""
        return tuple(dict.fromkeys(one.label for one in self.measurements))

    def __len__(self) -> int:
        return len(self.measurements)

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self.measurements)

    @overload
    def __getitem__(self, which: int) -> Measurement: ...

    @overload
    def __getitem__(self, which: slice | str) -> Dataset: ...

    def __getitem__(self, which: int | slice | str) -> Measurement | Dataset:
        """Return one by its number, or those of a line, an edge or a sample by name."""
        if isinstance(which, int):
            return self.measurements[which]
        if isinstance(which, slice):
            chosen = self.measurements[which]
        else:
            chosen = tuple(one for one in self if _plain(which) in (_plain(one.label), _plain(one.sample)))
        if not chosen:
            raise KeyError(f"{which}: it holds {', '.join(filter(None, self.labels)) or 'nothing that has a name'}")
        return Dataset(self.recording, self.pipeline, self.how, chosen)

    @property
    def overview(self) -> SummaryTable:
        """What it holds, a row for those that differ in nothing but their values."""
        groups: dict[tuple[Any, ...], int] = {}
        for one in self:
            low, high = float(one.axis[0]), float(one.axis[-1])
            head = (one.label or one.name, one.sample) if one.label else (one.name, one.sample)
            row = (*head, one.axis_name, low, high, one.axis_unit, int(one.axis.size), one.intensity_unit)
            groups[row] = groups.get(row, 0) + 1
        heads = ("what", "sample", "axis", "from", "to", "unit", "points", "intensity", "curves")
        fields = tuple(Column(head, kind="key" if head == "what" else "value") for head in heads)
        title = f"{self.source.name}: {find_pipeline(self.pipeline).technique}, {self.format}"
        left_out = [f"{one.source or one.index}: {one.message}" for one in self.recording.problems]
        note = f"left out: {'; '.join(left_out[:3])}" if left_out else ""
        return SummaryTable(title, fields, tuple((*row, count) for row, count in groups.items()), note)

    def plot(self) -> Figure:
        """Draw what was measured: curves on their axis, a panel a line or edge; an image with its scale.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``.savefig(...)`` keeps it.
        """
        from .drawing import draw_measurements

        return draw_measurements(self.measurements)

    def recipe(self, pipeline: str | None = None, **keys: Any) -> PipelineRecipe:
        """Return a recipe for this file.

        Parameters
        ----------
        pipeline : str, optional
            By default the one that read it.
        **keys
            Keys of its recipe, as in TOML. Left out, ``sample`` is that of the file and ``series`` this file.

        Raises
        ------
        RecipeError
            Naming each wrong or missing key.
        """
        name = pipeline or self.pipeline
        known = find_pipeline(name).recipe_model.model_fields
        own: dict[str, Any] = {"files": [self.source.name]}
        files = {"series": [{**own, **self.how}]} if "series" in known else own
        samples = [one.sample for one in self if one.sample]
        sample = samples[0] if samples else self.source.stem
        tables = {"pipeline": name, "sample": sample, **files, **keys}
        return recipe_from(tables).located(self.source.absolute().parent)

    def run(self, pipeline: str | None = None, *, out: str | Path | None = None, **keys: Any) -> Run:
        """Run a recipe for this file, see `recipe` and `layerscope.run`."""
        return run(self.recipe(pipeline, **keys), out=out)

    def __repr__(self) -> str:
        return text_of(self.overview)

    def _repr_html_(self) -> str:
        return html_of(self.overview)


def read(
    path: str | Path,
    *,
    technique: str | None = None,
    format: str = "auto",
    columns: Mapping[str, Any] | None = None,
    members: str | None = None,
) -> Dataset:
    """Read a file of any technique, known by what it holds; a folder, a zip archive, or all files that fit a pattern.

    Parameters
    ----------
    path : str or Path
    technique : str, optional
        Name of a technique or of a pipeline, such as ``"xps"`` or ``"xrd"``: needed for tables of text, which say
        nothing of what their numbers are, and for files that several techniques write.
    format : str, optional
        Name of the technique's reader, instead of the one that takes the file.
    columns : mapping, optional
        What the columns of a table of text mean: the keys of the technique's table ``columns``.
    members : str, optional
        Which files of a folder or archive are meant.

    Returns
    -------
    Dataset
        What cannot be used is left out, and named.

    Raises
    ------
    ReaderError
        If no technique, or more than one, reads it.
    DataError
        If nothing of it can be used.
    """
    where = Path(path)
    offered = _readers(technique)
    how: dict[str, Any] = {} if members is None else {"members": members}
    how |= {} if format == "auto" else {"format": format}
    how |= {} if columns is None else {"columns": dict(columns)}
    if technique is None and format == "auto" and columns is None:
        offered = _taking(where, offered)
    found: dict[str, Recording[Any]] = {}
    errors: list[LayerscopeError] = []
    for name, pipeline in offered.items():
        given = how if columns is None else {**how, "columns": _columns(pipeline, columns)}
        try:
            found[name] = pipeline.recording(where, on_error="collect", **given)
        except LayerscopeError as error:
            errors.append(error)
    if not found:
        raise errors[0] if errors else ReaderError("no technique reads it", source=where)
    if len(found) > 1:
        hint = f"technique={' or technique='.join(repr(name) for name in found)}"
        raise ReaderError("it may be of several techniques", source=where, hint=hint)
    ((name, recording),) = found.items()
    kind = str(getattr(recording.measurements[0], "kind", "")).casefold()  # of what two pipelines share readers for
    return Dataset(recording, kind if technique is None and kind in installed_pipelines() else name, how)


def _readers(technique: str | None) -> dict[str, Any]:
    """Return the pipelines that read files of a technique, one for all that share their readers."""
    readers: list[tuple[str, Any]] = []
    for name in installed_pipelines():
        with suppress(LayerscopeError):  # what is installed in half reads nothing
            pipeline = find_pipeline(name)
            formats = getattr(pipeline, "formats", None)
            if isinstance(formats, Formats) and technique in (None, name, pipeline.technique):
                readers.append((name, pipeline))
    found: dict[int, tuple[str, Any]] = {}
    for name, one in sorted(readers, key=lambda r: (r[0] != technique, r[0] != r[1].technique, r[0])):
        found.setdefault(id(one.formats), (name, one))
    if not found:
        known = ", ".join(installed_pipelines())
        raise ReaderError(f"no installed technique is called {technique!r}", hint=f"one of {known}")
    return dict(found.values())


def _taking(where: Path, offered: dict[str, Any]) -> dict[str, Any]:
    """Return the pipelines that take a file, or the first file of a folder that any takes, by its content."""
    many = files_of(where)
    names = [where] if many is None else [many[0] / name for name in many[1]]
    plain: dict[str, Any] = {}
    for file in names[:LOOKED_AT]:
        raw: RawFile = load(file)
        formats = {name: (pipeline, pipeline.formats.sniffed(raw)) for name, pipeline in offered.items()}
        taking = {name: one for name, (one, known) in formats.items() if known and known != ["columns"]}
        if taking:
            return taking
        plain |= {name: one for name, (one, known) in formats.items() if known}
        if many is None and is_zip(raw):
            return offered
    if plain:
        hint = "technique='xrd', or whichever it is, and columns={...} where the reader asks for them"
        raise ReaderError("a table of text does not say what was measured", source=where, hint=hint)
    hint = f"read for: {', '.join(offered)}; an unknown one may be exported as VAMAS, NeXus or columns of text"
    raise ReaderError("the content is of no format that an installed technique reads", source=where, hint=hint)


LOOKED_AT = 24
"""Files of a folder that are opened to see what they are."""


def _columns(pipeline: Any, columns: Mapping[str, Any]) -> Any:
    """Return a map of columns checked against the technique's table."""
    (series,) = (kind for kind in get_args(pipeline.recipe_model.model_fields["series"].annotation) if kind is not ...)
    return series.model_validate({"files": ["-"], "columns": dict(columns)}).columns


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()
