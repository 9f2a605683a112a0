from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MODULES = [
    "layerscope",
    "layerscope.cli.app",
    "layerscope.cli.render",
    "layerscope.fitting",
    "layerscope.figures",
    "layerscope.records",
    "layerscope.runs.execute",
    "layerscope.runs.export",
    "layerscope.runs.nexus",
    "layerscope.spectra.eels.readers",
    "layerscope.spectra.eels.pipeline",
    "layerscope.spectra.xps",
    "layerscope.spectra.xps.readers",
    "layerscope.spectra.xps.pipeline",
]

# What the module brings along (numpy, matplotlib) is imported first: only layerscope's own doing counts.
PROBE = """
import importlib, json, logging, os, sys, warnings
import numpy, scipy, scipy.optimize, pandas, matplotlib, matplotlib.pyplot, lmfit, h5py, pyarrow, pydantic, rich, typer
def state():
    root = logging.getLogger()
    return {
        "filters": [repr(entry) for entry in warnings.filters],
        "showwarning": repr(warnings.showwarning),
        "level": root.level,
        "handlers": [repr(handler) for handler in root.handlers],
        "disabled": logging.root.manager.disable,
        "backend": matplotlib.rcParams["backend"],
        "style": {key: repr(value) for key, value in matplotlib.rcParams.items()},
        "errors": repr(numpy.geterr()),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "hook": repr(sys.excepthook),
    }
changed = {}
for module in sys.argv[1:]:
    before = state()
    importlib.import_module(module)
    after = state()
    changed[module] = [key for key in before if before[key] != after[key]]
print(json.dumps(changed))
"""


def test_importing_changes_no_warning_filter_no_logger_and_no_other_setting(tmp_path: Path) -> None:
    present = [module for module in MODULES if find_spec(module) is not None]
    command = [sys.executable, "-P", "-c", PROBE, *present]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {module: [] for module in present}
    assert done.stderr == ""


def test_importing_layerscope_costs_nothing_and_load_run_is_found_when_asked_for(tmp_path: Path) -> None:
    program = (
        "import sys, layerscope\n"
        "assert not {'numpy', 'pandas', 'pydantic', 'typer'} & set(sys.modules)\n"
        "assert callable(layerscope.load_run) and 'load_run' in dir(layerscope)\n"
        "try:\n    layerscope.nonsense\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "nonsense" in done.stdout
