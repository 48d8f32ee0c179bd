"""``fl-chain data``: the catalogue of data sets, and dividing one between participants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from fl_chain.cli.partition import partition
from fl_chain.config import data_places

if TYPE_CHECKING:
    from fl_chain.data.known import DatasetFile

data_app = typer.Typer(help="Data sets that are known by name, and dividing them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A data set; see `fl-chain data list`.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    data_app.command("partition")(partition)
    app.add_typer(data_app, name="data")


@data_app.command("list")
def list_datasets() -> None:
    """Show every known data set, and whether it is on this machine."""
    from fl_chain.data.catalogue import DATASETS
    from fl_chain.data.places import is_located

    places = data_places()
    table = Table("name", "rows", "licence", "owners", "here", box=None)
    for one in DATASETS.values():
        here = "yes" if is_located(one, places) else "no"
        table.add_row(one.name, one.rows, one.licence, ", ".join(one.owners), here)
    Console(soft_wrap=True, highlight=False).print(table)


@data_app.command("describe")
def describe(name: NameArgument) -> None:
    """Show what a data set holds, whose it is, and where it comes from."""
    from fl_chain.data.catalogue import dataset
    from fl_chain.data.places import is_located

    found = dataset(name)
    lines = [
        ("title", found.title),
        ("rows", found.rows),
        ("licence", found.licence),
        ("page", found.page),
        ("cite", found.citation),
        ("prepared", found.prepared or "as published"),
        ("columns", ", ".join(found.columns)),
        ("owners", ", ".join(found.owners)),
        ("label", found.label or ""),
        ("here", "yes" if is_located(found, data_places()) else "no"),
    ]
    for file in found.files:
        lines.append(("file", file.path))
        lines.append(("  sha256", file.sha256.hex()))
        lines += [("  origin", origin.url) for origin in file.origins]
    for key, value in lines:
        if value:
            typer.echo(f"{key:<10} {value}")


@data_app.command("fetch")
def fetch(
    name: NameArgument,
    mirror: Annotated[
        str | None,
        typer.Option("--from", help="Download from here: an address with the files under their names."),
    ] = None,
) -> None:
    """Find a data set on this machine, or download it; its checksum decides either way."""
    from rich.progress import DownloadColumn, Progress, TextColumn

    from fl_chain.data.catalogue import dataset
    from fl_chain.data.download import Progress as Told
    from fl_chain.data.places import fetched

    found = dataset(name)
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description}"), DownloadColumn(), console=console) as bars:

        def told(file: DatasetFile) -> Told:
            bar = bars.add_task(file.path, total=None)
            return lambda n_bytes: bars.update(bar, completed=n_bytes)

        paths = fetched(found, data_places(), mirror=mirror, progress=told)
    for path in paths:
        typer.echo(str(path))
