"""The one place where the tables of `layerscope.reference_data` are read: names in, parsed TOML out."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from layerscope.errors import DataError

__all__ = ["read_tables"]


def read_tables(folder: str) -> dict[str, dict[str, Any]]:
    """Read every TOML table of one folder of the reference data, in the order of their names.

    Parameters
    ----------
    folder : str
        For example ``"elements"``.

    Returns
    -------
    dict
        Name of the file without suffix -> its content.

    Raises
    ------
    DataError
        If the folder is missing or a file is not valid TOML (a broken installation).
    """
    root = files("layerscope.reference_data").joinpath(folder)
    if not root.is_dir():
        raise DataError(f"reference table {folder!r} is missing", hint="reinstall layerscope; its data are not there")
    tables: dict[str, dict[str, Any]] = {}
    for entry in sorted(root.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".toml"):
            try:
                tables[entry.name.removesuffix(".toml")] = tomllib.loads(entry.read_text(encoding="utf-8"))
            except tomllib.TOMLDecodeError as error:
                raise DataError(f"not valid TOML: {error}", source=f"{folder}/{entry.name}") from error
    return tables
