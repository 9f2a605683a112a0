"""Write cases into folders, each with the hashes of its files; nothing of layerscope."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path


def checksums(files: Mapping[str, bytes]) -> bytes:
    """Return the text of SHA256SUMS in the form that ``sha256sum --check`` reads."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    return "".join(lines).encode("ascii")


def write_cases(cases: Mapping[str, Callable[[], dict[str, bytes]]], description: str | None, default: Path) -> None:
    """Write every case below the folder that the command line gives by ``--out``.

    Parameters
    ----------
    cases : mapping of str to callable
        Name of a case to the function that returns its files.
    description : str, optional
        Of the script; its first line is the help.
    default : Path
        Folder without ``--out``.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0] if description else None)
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    for name, build in cases.items():
        files = build()
        files["SHA256SUMS"] = checksums(files)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for filename, data in files.items():
            (folder / filename).write_bytes(data)
        print(f"{name}: {len(files)} files, {sum(map(len, files.values())) / 1000:.0f} kB")
