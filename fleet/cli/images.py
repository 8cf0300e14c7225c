"""``fleet images``: the images that profiles name."""

from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.apps import images, picture
from fleet.assignments import named
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Keep the wallpapers and the signs of web shortcuts that profiles name."""


@group.command("list")
@json_option
def list_images(*, as_json: bool) -> None:
    """List the images, and which profiles show them."""
    now = clock.now()
    with application(writes=False):
        shown_by = named.naming(named.images_of, now=now)
        rows: list[dict[str, Any]] = [
            {
                "name": one.name, "media_type": one.media_type, "width": one.width, "height": one.height,
                "size_bytes": one.size_bytes, "digest": one.digest, "shown_by": shown_by.get(one.name, []),
                "changed_at": one.changed_at,
            }
            for one in images.listed()
        ]  # fmt: skip
    if as_json:
        show_json(rows)
        return
    told = [{**row, "size": f"{row['width']} x {row['height']}", "shown by": row["shown_by"]} for row in rows]
    show_table(told, ["name", "media_type", "size", "shown by"], as_json=False)


@group.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="How profiles name it; the file's name where it is not said.")
@click.option("--replace", is_flag=True, help="Take the place of the image of this name.")
def upload(file: Path, name: str | None, *, replace: bool) -> None:
    """Keep a PNG or JPEG of at most 4 MB."""
    with file.open("rb") as opened:
        content = opened.read(picture.MAX_BYTES + 1)
    by, now, called = Principal.command_line(), clock.now(), name or file.name
    with application(writes=True):
        present = images.known(called) if replace else None
        if present is not None:
            images.replace(present, content, by=by, now=now)
        else:
            present = images.add(called, content, by=by, now=now)
        line = f"{present.name}: {present.width} x {present.height}, {present.media_type}"
    click.echo(line)


@group.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take an image out; one that a profile shows stays."""
    with application(writes=True):
        named.remove_image(images.find(name), by=Principal.command_line(), now=clock.now())
    click.echo(f"{name}: removed")
