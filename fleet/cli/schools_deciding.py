"""``fleet schools networks`` and ``longest-lesson``: what a school has decided about lessons."""

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import application, json_option, show_json
from fleet.schools import deciding
from fleet.schools import queries as schools


@click.command()
@click.argument("school")
@click.option(
    "--set", "ranges", multiple=True,
    help="The address ranges, such as 10.20.0.0/16, with commas between them; may stand several times.",
)  # fmt: skip
@click.option("--none", "nobody_says", is_flag=True, help="Forget them: no tablet is said to be elsewhere then.")
@json_option
def networks(school: str, ranges: tuple[str, ...], *, nobody_says: bool, as_json: bool) -> None:
    """Show or decide which address ranges are a school's networks: lessons touch no tablet elsewhere."""
    if ranges and nobody_says:
        raise click.UsageError("--set or --none: one of them")
    told = [one for words in ranges for one in words.replace(",", " ").split()]
    with application(writes=bool(ranges) or nobody_says):
        found = schools.find_school(school)
        if ranges or nobody_says:
            wanted = None if nobody_says else told
            deciding.set_networks(found, wanted, by=Principal.command_line(), now=clock.now())
        name, known = found.name, found.networks
    if as_json:
        show_json({"school": name, "networks": known})
    elif known is None:
        click.echo(f"{name}: nobody has told its networks, so no tablet is said to be elsewhere")
    else:
        click.echo("\n".join(known))


@click.command("longest-lesson")
@click.argument("school")
@click.argument("minutes", type=int, required=False)
@json_option
def longest_lesson(school: str, minutes: int | None, *, as_json: bool) -> None:
    """Show or decide how many minutes a lesson of a school may last at most."""
    with application(writes=minutes is not None):
        found = schools.find_school(school)
        if minutes is not None:
            deciding.set_longest_lesson(found, minutes, by=Principal.command_line(), now=clock.now())
        name, longest = found.name, found.longest_lesson_min
    if as_json:
        show_json({"school": name, "longest_lesson_min": longest})
    else:
        click.echo(f"{name}: a lesson lasts at most {longest} minutes")
