"""Generate the XPS reference cases with known truth: ``python reference_data/generate_xps_cases.py [--out FOLDER]``.

Writes ``<case>/{data files, truth.json, SHA256SUMS}`` for each case below. The random streams are seeded and the dates
fixed, so a re-run gives the same bytes. Nothing of layerscope is used: the parts are in ``_generate/``.
"""

from __future__ import annotations

from pathlib import Path

from _generate import in3d_null, lco_cei, li_rich
from _generate.cases import write_cases

CASES = {case.NAME: case.build for case in (li_rich, lco_cei, in3d_null)}

if __name__ == "__main__":
    write_cases(CASES, __doc__, Path(__file__).resolve().parent)
