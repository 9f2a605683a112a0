"""Draw the figures that ``docs/figures/`` specifies, and write ``docs/gallery.md`` that shows them.

    python docs/make_gallery.py RUN [--page docs/gallery.md] [--images docs/images/gallery]

RUN is a run of ``reference_data/study.toml``. The comment at the top of a specification says from which case it is.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from layerscope.figures.specified import Source, draw_specified, read_spec
from layerscope.runs.load import load_run

HERE = Path(__file__).parent
PIXELS = 1100
"""Width of a small image of two columns; one of one column has its share."""
HEAD = """# Gallery

Figures in the layouts that papers on coated cathodes use, each from the [specification](figures.md) linked below it and
from the reference cases alone: simulated data with a known truth. Made by `python docs/make_gallery.py RUN` from a run
of `reference_data/study.toml`; `layerscope figure RUN --spec docs/figures/NAME.toml` gives one at full size, with its
numbers.
"""


def comment(path: Path) -> str:
    """Return the comment at the top of a specification."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def small(drawn: Path, target: Path, width_mm: float) -> None:
    """Write a small image of a drawn page, in few colours; an octree keeps the rare ones, which tell species apart."""
    with Image.open(drawn) as image:
        width = round(PIXELS * width_mm / 180.0)
        height = round(image.height * width / image.width)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        resized.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> None:
    """Draw all specifications and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--page", type=Path, default=HERE / "gallery.md")
    parser.add_argument("--images", type=Path, default=HERE / "images" / "gallery")
    options = parser.parse_args()
    options.images.mkdir(parents=True, exist_ok=True)
    source, parts = Source(load_run(options.run)), [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((HERE / "figures").glob("*.toml")):
            spec = read_spec(path, formats=["png"])
            drawn = next(f for f in draw_specified(spec, [source], Path(folder) / path.stem) if f.suffix == ".png")
            small(drawn, options.images / f"{path.stem}.png", spec.width)
            image = (options.images / f"{path.stem}.png").relative_to(options.page.parent).as_posix()
            parts.append(
                f"## {spec.title}\n\n![{spec.title}]({image})\n\n{spec.caption}\n\n{comment(path)} "
                f"[{path.name}](figures/{path.name})\n"
            )
    options.page.write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
