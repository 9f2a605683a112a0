"""Commands for what installed techniques know: species, sensitivity factors, structures, each with its source.

A technique names what it can look up by entry points of the group ``layerscope.knowledge``: functions of the words that
were asked for, each of which returns a table. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from layerscope.installed import installed

__all__ = ["KnowledgeGroup"]

GROUP = "layerscope.knowledge"


class KnowledgeGroup(TyperGroup):
    """The commands of the core, and one for each topic that an installed technique knows something of."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*super().list_commands(ctx), *sorted(_topics())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name, or None."""
        found = super().get_command(ctx, cmd_name)
        return found if found is not None or cmd_name not in (topics := _topics()) else _command(topics[cmd_name])


def _topics() -> dict[str, EntryPoint]:
    return installed(GROUP)


def _command(point: EntryPoint) -> Any:
    """Return the command of a topic."""
    words_type = Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="What to look for; all there is when nothing is given."),
    ]
    form_type = Annotated[
        str, typer.Option("--format", "-f", metavar="NAME", help="text (default), tsv, csv, markdown, latex or html.")
    ]

    def look_up(words: Any = None, form: Any = "text") -> None:
        from layerscope.cli.render import print_tables

        table = point.load()(tuple(words or ()))
        if not table.rows:
            typer.echo(f"nothing is known of {' '.join(words)!r} (see: layerscope {point.name})", err=True)
            raise typer.Exit(1)
        print_tables([table], whole=True, form=form)

    look_up.__annotations__ = {"words": words_type, "form": form_type, "return": None}
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    holder.command(point.name, help=f"Show what the library knows of {point.name}, with sources.")(look_up)
    return typer.main.get_command(holder)
