"""The long table of a run: one row a quantity, always made from the records, never edited."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.runs.store import write_atomic
from layerscope.runs.summary import sorted_records

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["COLUMNS", "arrow_table", "table_frame", "table_rows", "write_table"]

ROWS_AT_ONCE = 10_000  # that are in memory one by one, beside the table

#: Columns of the table and what each holds; numbers are float64, an absent one is null.
COLUMNS: dict[str, type] = {
    "record_id": str,
    "technique": str,
    "method": str,
    "sample": str,
    "series": str,
    "region": str,
    "cycle": float,
    "step": str,
    "frame": float,
    "voltage_V": float,
    "capacity_mAh_g": float,
    "elapsed_s": float,
    "etch_time_s": float,
    "depth_nm": float,
    "angle_deg": float,
    "temperature_K": float,
    "time": str,
    "component": str,
    "quantity": str,
    "value": float,
    "sigma": float,
    "sigma_kind": str,
    "unit": str,
    "role": str,
    "initial": float,
    "min": float,
    "max": float,
    "expr": str,
    "low": float,
    "high": float,
    "confidence": float,
    "low_95": float,
    "high_95": float,
    "upper_limit": float,
    "limit_confidence": float,
    "status": str,
    "flags": str,
    "problem": str,
}

_STATE = tuple(name for name in COLUMNS if name in SampleState.model_fields)
_QUANTITY = tuple(name for name in COLUMNS if name in Quantity.model_fields)


def _row(record: ResultRecord, quantity: Quantity | None) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"record_id": record.record_id, "technique": record.technique, "method": record.method}
    row |= {key: getattr(record.state, key) for key in _STATE}
    row["status"] = record.status
    row["flags"] = " ".join(record.flags) or None
    row["problem"] = record.problem.message if record.problem else None
    if quantity is not None:
        row |= {key: getattr(quantity, key) for key in _QUANTITY}
        row["quantity"] = quantity.name
    return row


def table_rows(records: Iterable[ResultRecord]) -> Iterator[dict[str, Any]]:
    """Yield one row a quantity in the order of the experiment.

    Parameters
    ----------
    records : iterable of ResultRecord
        A record without quantities, such as a failed one, gives one row without a quantity: nothing disappears.
    """
    return (_row(record, quantity) for record in sorted_records(records) for quantity in (record.quantities or (None,)))


def arrow_table(records: Iterable[ResultRecord]) -> pa.Table:
    """Return the rows as an Arrow table with the types of `COLUMNS`."""
    import pyarrow as pa

    schema = pa.schema(
        [(name, pa.float64() if kind is float else pa.string()) for name, kind in COLUMNS.items()],
    )
    rows = table_rows(records)
    parts = iter(lambda: list(itertools.islice(rows, ROWS_AT_ONCE)), [])
    tables = [_arrow_part(part, schema) for part in parts]
    return pa.concat_tables(tables).combine_chunks() if tables else _arrow_part([], schema)


def _arrow_part(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    # from bytes: Arrow's own way from Python objects loads pandas, which takes longer than the rest, and 80 MB
    columns = [_arrow_column([row[field.name] for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _arrow_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    known = np.array([value is not None for value in values], bool)
    valid = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little").tobytes())
    if kind == pa.float64():
        numbers = np.array([0.0 if value is None else value for value in values], np.float64)
        return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(numbers)])
    texts = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))])


def table_frame(records: Iterable[ResultRecord]) -> pd.DataFrame:
    """Return the rows as a DataFrame; absent numbers are NaN, absent text is missing."""
    frame: pd.DataFrame = arrow_table(records).to_pandas()
    return frame


def write_table(records: Iterable[ResultRecord], path: Path) -> bool:
    """Write ``quantities.parquet``.

    Parameters
    ----------
    records : iterable of ResultRecord
        The records of the run.
    path : Path
        The file.

    Returns
    -------
    bool
        Whether the file changed; the same records give the same bytes.
    """
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(arrow_table(records), buffer, compression="zstd")
    return write_atomic(path, buffer.getvalue())
