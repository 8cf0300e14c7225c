"""``fleet apps``: the catalogue of apps, and packages of our own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.apps import catalogue, packages
from fleet.apps.catalogue import Told
from fleet.apps.files import PackageFiles
from fleet.apps.models import App, AppPackage
from fleet.assignments import named
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table, text
from fleet.devices.models import Platform

_LICENSED = "Whether a licence is assigned to the tablets, so that no account is needed to get it."
_STORE = "Its number in the App Store, or the address of its page there."


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Say what the apps are that profiles name, and where tablets get them."""


def _platform_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--platform`` to a command: iPads where it is not said."""
    names = click.Choice([one.value for one in Platform])
    return click.option(
        "--platform", type=names, default=Platform.IPADOS.value, show_default=True, help="Whose app it is."
    )(command)


def _package(found: AppPackage) -> dict[str, Any]:
    names = (
        "version", "build", "kind", "cpu", "minimum_os", "certificate", "file_name", "size_bytes", "digest",
        "uploaded_at",
    )  # fmt: skip
    return {name: getattr(found, name) for name in names}


def _shown(app: App, required_by: dict[str, list[str]]) -> dict[str, Any]:
    kept = [_package(one) for one in app.packages]
    return {
        "id": app.app_id,
        "name": app.name,
        "platform": app.platform.value,
        "store_id": app.store_id,
        "licensed": app.is_licensed,
        "package": kept[0] if kept else None,
        "packages": kept,
        "required_by": required_by.get(app.app_id, []),
        "changed_at": app.changed_at,
    }


def _source(shown: dict[str, Any]) -> str | None:
    """Say in a few words where tablets get an app."""
    if shown["packages"]:
        told = [f"{one['version']} ({one['cpu']})" if one["cpu"] else one["version"] for one in shown["packages"]]
        return f"own package {', '.join(told)}"
    return f"store {shown['store_id']}" if shown["store_id"] is not None else None


@group.command("list")
@click.option("--platform", type=click.Choice([one.value for one in Platform]), help="Only apps of these tablets.")
@json_option
def list_apps(platform: str | None, *, as_json: bool) -> None:
    """List the apps, where tablets get them, and which profiles require them."""
    now = clock.now()
    with application(writes=False):
        required_by = named.naming(named.apps_of, now=now)
        listed = catalogue.listed()
        known = {one.app_id for one in listed}
        rows = [_shown(one, required_by) for one in listed if platform in {None, one.platform.value}]
    if as_json:
        show_json(rows)
        return
    told = [{**row, "source": _source(row), "required by": row["required_by"]} for row in rows]
    show_table(told, ["name", "id", "platform", "source", "licensed", "required by"], as_json=False)
    for app_id in sorted(required_by.keys() - known):
        profiles = ", ".join(required_by[app_id])
        bring = "add it with `scripts/fleet apps add`, or bring its package with `scripts/fleet apps upload`"
        click.echo(f"{app_id}: required by {profiles}, but not here: {bring}")


@group.command()
@click.argument("app_id", metavar="ID")
@_platform_option
@json_option
def show(app_id: str, platform: str, *, as_json: bool) -> None:
    """Show all there is to know of an app."""
    now = clock.now()
    with application(writes=False):
        shown = _shown(catalogue.find(app_id, Platform(platform)), named.naming(named.apps_of, now=now))
    if as_json:
        show_json(shown)
        return
    kept = shown.pop("packages")
    del shown["package"]
    for name, value in shown.items():
        click.echo(_line(name, value))
    for package in kept:
        click.echo()
        for name, value in package.items():
            click.echo(_line(f"package {name}", value))


def _line(name: str, value: Any) -> str:
    return f"{name.replace('_', ' '):20}  {text(value) or '-'}"


@group.command()
@click.option("--id", "app_id", required=True, help="Its bundle id or package name, as profiles name it.")
@click.option("--name", required=True, help="What people call it.")
@click.option("--store-id", "store", default="", help=_STORE)
@click.option("--licensed/--not-licensed", default=False, help=_LICENSED)
@_platform_option
def add(app_id: str, name: str, store: str, platform: str, *, licensed: bool) -> None:
    """Take an app into the catalogue."""
    told = Told(name, store, is_licensed=licensed)
    with application(writes=True):
        made = catalogue.add(app_id, Platform(platform), told, by=Principal.command_line(), now=clock.now())
        line = f"{made.app_id}: {made.name}"
    click.echo(line)


@group.command()
@click.argument("app_id", metavar="ID")
@click.option("--name", help="What people call it.")
@click.option("--store-id", "store", help=f"{_STORE} Empty: it is not there.")
@click.option("--licensed/--not-licensed", default=None, help=_LICENSED)
@click.option("--no-package", is_flag=True, help="Do without the package of our own: tablets get it from the store.")
@click.option("--cpu", help="Do without the package for this kind of processor only, such as arm64-v8a.")
@_platform_option
def change(
    app_id: str,
    name: str | None,
    store: str | None,
    platform: str,
    *,
    licensed: bool | None,
    no_package: bool,
    cpu: str | None,
) -> None:
    """Tell otherwise of an app; what is not said stays."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True):
        app = catalogue.find(app_id, Platform(platform))
        number = "" if app.store_id is None else str(app.store_id)
        told = Told(
            app.name if name is None else name,
            number if store is None else store,
            is_licensed=app.is_licensed if licensed is None else licensed,
        )
        catalogue.change(app, told, by=by, now=now)
        if no_package or cpu is not None:
            packages.withdraw(app, by=by, now=now, cpu=cpu)
        line = f"{app.app_id}: {app.name}"
    click.echo(line)


@group.command()
@click.argument("app_id", metavar="ID")
@_platform_option
def remove(app_id: str, platform: str) -> None:
    """Take an app out of the catalogue; one that a profile requires stays."""
    with application(writes=True):
        app = catalogue.find(app_id, Platform(platform))
        named.remove_app(app, by=Principal.command_line(), now=clock.now())
    click.echo(f"{app_id}: taken out of the catalogue")


@group.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def upload(file: Path, *, as_json: bool) -> None:
    """Have tablets get an app from a package of our own; takes the app up where it is not known.

    A package is an .ipa for iPads, an .apk or .xapk for Android. Packages for several kinds of processor stand side by
    side: each tablet gets the one that suits it.
    """
    by = Principal.command_line()
    with application(writes=False) as config:  # copying takes a while, and shall hold nobody up
        received = packages.receive(file, PackageFiles(config.packages_dir), by=by)
    with application(writes=True):
        app = packages.take(received, by=by, now=clock.now())
        shown = _shown(app, {})
    if as_json:
        show_json(shown)
        return
    facts = received.facts
    suits = f", for {facts.cpu}" if facts.cpu else ""
    click.echo(f"{shown['id']}: {shown['name']} {facts.version} ({facts.build}){suits}")
