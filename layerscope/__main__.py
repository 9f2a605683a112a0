"""Let ``python -m layerscope`` do what ``layerscope`` does."""

from __future__ import annotations

import sys

from layerscope.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
