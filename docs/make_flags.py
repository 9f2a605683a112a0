"""Print ``docs/flags.md``: every flag of a record, from the list that decides on it.

Run ``python docs/make_flags.py > docs/flags.md`` after a change of ``layerscope/flag_lists``; a test compares the two.
"""

from __future__ import annotations

import sys

from layerscope.flags import FLAGS, Flag

HEAD = """# Every flag of a record

Made from `layerscope/flag_lists` by `python docs/make_flags.py`. A flag means the same whatever technique wrote it. The
detail after the colon names the parameter, phase, level or number it is about. A record with a flag that warns has the
status `warning`. What is set on a series and marked *levels* holds for every level or frame that was fitted with it;
a record that was derived from others, a composition or a comparison, inherits what warns in them, with their name.

A package that brings a technique of its own names its flags `X_...` and lists them in `flags` of its pipeline.

| flag | what it says | what to do about it | warns | inherited by |
|---|---|---|---|---|
"""


def row(flag: Flag) -> str:
    """Return a flag as a row of the table."""
    warns, heirs = "yes" if flag.severity == "suspicious" else "", "levels" if flag.of_series else ""
    cells = (f"`{flag.name}`", flag.meaning, "" if flag.do == "nothing" else flag.do, warns, heirs)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(row(flag) for flag in FLAGS.values())


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(page())
