"""The commands. Each imports what it needs when it runs, so that ``layerscope --help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layerscope.cli.knowledge import KnowledgeGroup
from layerscope.errors import printable
from layerscope.version import __version__

__all__ = ["app"]

app = typer.Typer(
    name="layerscope",
    cls=KnowledgeGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=(
        "From raw files of battery cathodes (XPS, X-ray absorption, XRD, EELS, micrographs) to result records"
        " with honest errors.\n\n"
        "A recipe (TOML) says what to analyse; a run folder holds records, arrays, the table of quantities and"
        " figures.\n\n"
        "Exit codes: 0 all ok, 1 usage or recipe error, 2 finished with quarantined files, 3 nothing could be"
        " processed."
    ),
)

RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="Recipe, or study that lists recipes.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Run folder.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the input files, when it is not the recipe's own."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"layerscope {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of the first error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = debug


@app.command()
def run(
    context: typer.Context,
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Run folder: new, or of an earlier run.")],
    data: DataOption = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Number of processes; one a core if left out."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Dask cluster that does the tasks; local starts one here."),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try again what failed before, although nothing changed.")
    ] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no tables and no progress.")] = False,
) -> None:
    """Run a recipe or a study into a folder.

    What an earlier run has done is looked up, not repeated. A file that fails is quarantined, and the rest is done;
    what failed before is tried again with --retry-quarantined, or when the file, the recipe or layerscope changed.
    """
    from layerscope.cli.progress import reporter
    from layerscope.cli.render import print_run
    from layerscope.runs.execute import execute
    from layerscope.runs.pool import usable_cores

    with reporter(quiet=quiet) as progress:
        summary = execute(
            recipe,
            out,
            data=data,
            jobs=jobs or usable_cores(),
            figures=figures,
            progress=progress,
            debug=bool(context.obj),
            retry_quarantined=retry,
            log=True,
            scheduler=scheduler,
        )
    print_run(summary, quiet=quiet)
    raise typer.Exit(summary.exit_code)


@app.command()
def check(recipe: RecipeArgument, data: DataOption = None) -> None:
    """Check a recipe and its files without running it."""
    from layerscope.runs.plan import check_plan, make_plan

    plan = make_plan(recipe, data=data)
    problems = check_plan(plan)
    for label, problem in problems:
        source = label if problem.source in (None, label) else f"{label}: {problem.source}"
        hint = f" ({problem.hint})" if problem.hint else ""
        typer.echo(printable(f"error: {source}: {problem.message}{hint}", keep=""), err=True)
    if problems:
        raise typer.Exit(1)
    for planned in plan.recipes:
        files = len(planned.recipe.input_paths())
        typer.echo(f"ok: {planned.label}: pipeline {planned.pipeline.name}, {files} input file{'s' * (files != 1)}")


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Files, folders, archives or patterns.")],
    technique: Annotated[
        str | None,
        typer.Option("--technique", "-t", metavar="NAME", help="Pipeline; that which suits if left out."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RECIPE.toml", help="Where to.")] = Path("recipe.toml"),
    study: Annotated[bool, typer.Option("--study", help="Write a study: a recipe for every kind of file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a first recipe for files, commented, that runs as it is.

    What was assumed stands in its comments.
    """
    from layerscope.cli.render import warn
    from layerscope.init import first_recipes
    from layerscope.runs.plan import check_plan, make_plan

    written, left, folder = first_recipes(files, out, technique=technique, study=study, force=force)
    for one in written:
        count = len(one.files)
        typer.echo(f"{one.path}: pipeline {one.pipeline}, {count} file{'s' * (count != 1)}")
    warn([f"left out: {path.name}: {error.message}" for path, error in left.items()])
    elsewhere = folder != out.absolute().parent
    problems = check_plan(make_plan(out, data=folder if elsewhere else None))
    warn([f"to be mended by hand: {label}: {problem.message}" for label, problem in problems])
    typer.echo(f"next: layerscope run {out}{f' --data {folder}' if elsewhere else ''} --out FOLDER")
    raise typer.Exit(2 if problems else 0)


@app.command()
def show(
    folder: FolderArgument,
    sample: Annotated[str | None, typer.Option("--sample", "-s", help="Only this sample, or part of its name.")] = None,
    region: Annotated[str | None, typer.Option("--region", "-r", help="Only this region, e.g. 'B 1s'.")] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--technique", "-t", "--status", help="Only this technique, pipeline, method, or ok, warning, failed."
        ),
    ] = None,
    component: Annotated[
        str | None, typer.Option("--component", "-c", help="A row a quantity, of this species, phase or layer.")
    ] = None,
    quantity: Annotated[
        str | None,
        typer.Option("--quantity", "-q", help="A row a quantity, of this name, e.g. peak.position, or peak for all."),
    ] = None,
    element: Annotated[
        str | None, typer.Option("--element", "-e", help="One table of an element's species by all techniques, e.g. B.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Every quantity, every row.")] = False,
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="NAME", help="text (default), tsv, csv, markdown, latex or html.")
    ] = "text",
) -> None:
    """Print the results of a run as tables, values as 1.234(5)."""
    from layerscope.cli.render import print_failures, print_tables
    from layerscope.runs.load import load_run
    from layerscope.runs.present import element_table, narrowed, quantity_tables, summary_tables

    loaded = narrowed(load_run(folder), sample=sample, region=region, kinds=kinds or ())
    single = everything or any(asked is not None for asked in (component, quantity, element))
    if element is not None:
        tables = element_table(loaded.records, element)
    else:
        tables = quantity_tables(loaded, component=component, quantity=quantity) if single else summary_tables(loaded)
    print_tables(tables, whole=single or any((sample, region, kinds)), form=form)
    if not tables:
        typer.echo("no quantity matches" if single else "no record matches", err=True)
        raise typer.Exit(1)
    if single and form == "text":
        print_failures(loaded)


@app.command()
def figure(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Run folders.")],
    spec: Annotated[
        Path | None, typer.Option("--spec", metavar="FIGURE.toml", help="Specification of one figure.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FIG", help="Its files, without ending; by default its name.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", "-r", help="A figure of this region, sample beside sample, e.g. 'B 1s'.")
    ] = None,
    sample: Annotated[str | None, typer.Option("--sample", "-s", help="A figure of samples with this word.")] = None,
    level: Annotated[int | None, typer.Option("--level", min=0, help="One level of each series, from 0.")] = None,
    width: Annotated[str | None, typer.Option("--width", metavar="MM", help="Width of the figure, e.g. 85mm.")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", "-f", help="pdf, svg or png; may be repeated. All by default.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Number of processes.")] = 1,
) -> None:
    """Draw the figures of a run again, or one as a file says.

    One figure is drawn where a specification, or options that choose from the run, say what it shows.
    """
    from layerscope.cli.render import print_figures, warn

    asked = (spec, out, region, sample, level, width, *(formats or ()))
    if all(one is None for one in asked) and len(folders) == 1:
        from layerscope.runs.drawing import redraw

        run, warnings = redraw(folders[0], jobs=jobs, debug=bool(context.obj))
        print_figures(run)
        warn(warnings)
        raise typer.Exit(1 if warnings else 0)
    from layerscope.figures.specified import Source, draw_chosen
    from layerscope.runs.load import load_run

    sources = [Source(load_run(folder)) for folder in folders]
    choice = {"region": region, "sample": sample, "level": level}
    for path in draw_chosen(sources, spec, out, choice, {"width": width, "formats": formats}):
        typer.echo(path)


@app.command()
def report(
    folder: FolderArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to; FOLDER/report.html by default.")
    ] = None,
) -> None:
    """Write all results of a run as one page for the browser.

    The page needs no network.
    """
    from layerscope.report import renew_report, write_report
    from layerscope.runs.load import load_run

    typer.echo(renew_report(folder) if out is None else write_report(load_run(folder), out))


@app.command()
def export(
    folder: FolderArgument,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="csv (default), xlsx, nexus, markdown, latex, html, ro-crate, or one of the technique (an unknown"
            " name lists all); may be repeated.",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="Where to; FOLDER/export by default.")] = None,
) -> None:
    """Write the results for other programs and papers."""
    from layerscope.runs.export import export_run
    from layerscope.runs.load import load_run

    loaded = load_run(folder)
    for chosen in dict.fromkeys(formats or ["csv"]):
        for path in export_run(loaded, chosen, to or folder / "export"):
            typer.echo(printable(str(path)))


@app.command()
def validate(folder: FolderArgument) -> None:
    """Check every record and every file of a run."""
    from layerscope.runs.store import RunStore
    from layerscope.runs.validate import validate_run

    problems = validate_run(folder)
    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        typer.echo(printable(f"error: {problem.source}: {problem.message}{hint}", keep=""), err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"ok: {folder}: {len(RunStore.open(folder).record_ids())} records, all files as they were written")


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that the instrument writes into.")],
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Run folder.")],
    quiet_s: Annotated[float, typer.Option("--quiet", min=0.1, help="Seconds until a file is settled.")] = 1.0,
    poll_s: Annotated[float, typer.Option("--poll", min=0.1, help="Longest time between two looks, s.")] = 1.0,
    network: Annotated[bool, typer.Option("--network", help="Only look: a network drive tells of no change.")] = False,
    serve_at: Annotated[
        int | None, typer.Option("--serve", metavar="PORT", min=0, help="Show the run in a browser; 0: any free port.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Serve at this address, to those who have the token.")
    ] = "127.0.0.1",
) -> None:
    """Run a recipe while its files are being written, until Ctrl-C.

    A file is read once it is settled and whole; the series that grew is fitted again, and its records are replaced.
    """
    import signal
    import threading
    from contextlib import nullcontext

    from layerscope.live import serve
    from layerscope.runs.watch import Watch

    stop = threading.Event()
    watching = Watch(folder, recipe, out, quiet_s=quiet_s, told=lambda line: typer.echo(printable(line, keep="")))
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stop.set())
    with nullcontext() if serve_at is None else serve(out, lambda: watching.seen, port=serve_at, host=host) as served:
        if served is not None:
            typer.echo(f"serving {served.address}")
        summary = watching.follow(stop, poll_s=poll_s, events=not network)
    typer.echo("stopped; layerscope run goes on in the same folder")
    raise typer.Exit(0 if summary is None else summary.exit_code)


@app.command()
def rebuild(folder: FolderArgument) -> None:
    """Make the summary files of a run anew from its records.

    These are run.json, the table and the quarantine. A ledger that cannot be read is put aside. No record is changed.
    """
    from layerscope.runs.rebuild import rebuild_run

    rebuilt = rebuild_run(folder)
    for line in rebuilt.remarks:
        typer.echo(printable(f"warning: {line}", keep=""), err=True)
    typer.echo(f"{folder}: {rebuilt.records} records; next: run the recipe again, what is done is kept")
    raise typer.Exit(2 if rebuilt.remarks else 0)


@app.command()
def doctor() -> None:
    """Show what is installed, what is not, and how to get it."""
    from layerscope.cli.render import print_findings
    from layerscope.runs.doctor import examine

    findings = examine()
    print_findings(findings)
    needed = ("required", "pipeline")
    raise typer.Exit(1 if any(found.state != "ok" and found.group in needed for found in findings) else 0)
