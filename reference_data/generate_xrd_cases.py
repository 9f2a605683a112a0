"""Generate the XRD reference cases with known truth: ``python reference_data/generate_xrd_cases.py [--out FOLDER]``.

Writes ``<case>/{data files, truth.json, SHA256SUMS}``. The random streams are seeded and the dates fixed, so a re-run
gives the same bytes. Nothing of layerscope is used: the parts are in ``_generate/xrd_*.py``.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from _generate import xrd_lco

CASES = {case.NAME: case.build for case in (xrd_lco,)}


def checksums(files: dict[str, bytes]) -> bytes:
    """Return the text of SHA256SUMS in the form that ``sha256sum --check`` reads."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    return "".join(lines).encode("ascii")


def main() -> None:
    """Write every case below the folder given by ``--out`` (default: beside this script)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    out = parser.parse_args().out
    for name, build in CASES.items():
        files = build()
        files["SHA256SUMS"] = checksums(files)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for filename, data in files.items():
            (folder / filename).write_bytes(data)
        print(f"{name}: {len(files)} files, {sum(map(len, files.values())) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
