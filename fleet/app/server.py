"""The server: gunicorn with the gate in front and Flask behind it, in one process or several."""

import gc
import random
import secrets
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from flask import Flask
from gunicorn.app.base import BaseApplication

from fleet import audit_seals, clock, outbox, upgrading
from fleet.android import admin_password
from fleet.app import finishing, immediacy, logs, scraping, standing
from fleet.app.alerting import Postman
from fleet.app.exporting import Exporter
from fleet.app.flask_app import create_app
from fleet.app.health import Readiness, alive
from fleet.app.school_time import SchoolTime
from fleet.app.scraping import Scraping
from fleet.apps.files import PackageFiles
from fleet.channels.apple import licence_errand
from fleet.channels.apple.automated import Automated
from fleet.channels.apple.device_roots import DeviceRoots
from fleet.channels.apple.door import AppleChannel
from fleet.channels.apple.licences import AppsAndBooks
from fleet.channels.apple.listing import Listing
from fleet.channels.apple.proxied import ProxiedCertificates
from fleet.channels.apple.ringer import Ringer
from fleet.channels.apple.school_manager import SchoolManagerClient
from fleet.channels.apple.steward import Errand, Steward
from fleet.channels.apple.work import PREFIX
from fleet.channels.apple.work import Work as AppleWork
from fleet.channels.gate import Gate, Probe
from fleet.channels.headwind.door import HeadwindChannel
from fleet.channels.headwind.work import Work as HeadwindWork
from fleet.channels.native import authority
from fleet.channels.native.door import NativeChannel
from fleet.channels.native.pace import Pace
from fleet.channels.native.work import Work
from fleet.channels.presence import Presence
from fleet.channels.spooling import Spooling
from fleet.channels.staff import Staff
from fleet.config import Config, ConfigError, Metrics
from fleet.crypto import read_or_create, vault_key_of
from fleet.db import db, reading, transaction
from fleet.errors import DatabaseNewerError
from fleet.jobs import runner
from fleet.mdm import authority as device_authority
from fleet.mdm import automated
from fleet.mdm.licence_token import LicenceTokenKeeper
from fleet.mdm.push_keeper import PushKeeper
from fleet.mdm.token_keeper import TokenKeeper
from fleet.people import passwords
from fleet.web import app_uploads
from fleet.web.security import most_body_bytes

_STAFF_THREADS = 6
# The collector looks at what is new after so many objects, not after Python's 700: a page makes tens of thousands, and
# nearly all go by themselves.
_NEW_OBJECTS = 20_000
_KEEPALIVE_S = 5  # idle connections end by themselves within this, so a stop takes no longer


def create_gate(app: Flask, *, on_start: Callable[[], Callable[[], None]] | None = None) -> Gate:
    """Make the ASGI callable: channels for tablets, ``app`` for everything else."""
    config: Config = app.extensions["fleet_config"]
    school_time, presence = SchoolTime(app), Presence()
    native = _native(app, school_time, presence)
    vault = vault_key_of(config.secrets_dir, config.vault_key_file)
    keeper = PushKeeper(config.secrets_dir, vault)
    work = _apple_work(app, keeper, vault)
    secret = automated.secret(config.secrets_dir, vault)
    headwind = _headwind(app, presence)
    apple, ringer = _apple(app, work, secret, presence), Ringer(app, keeper, now=clock.now)
    steward = Steward(app, [_listing(app, work, vault, secret).errand, _licences(app, vault)], now=clock.now)
    postman, exporter = Postman(app, vault_key=vault, now=clock.now), Exporter(app, now=clock.now)
    channels: list[NativeChannel | AppleChannel | HeadwindChannel] = [native, apple, headwind]

    def start() -> Callable[[], None]:
        ringer.start()
        steward.start()
        postman.start()
        exporter.start()
        stops = [
            immediacy.start(app, [native.waiting, headwind.waiting], presence),
            outbox.add_ring(ringer.ring),
            ringer.stop,
            steward.stop,
            postman.stop,
            exporter.stop,
        ]
        if on_start is not None:
            stops.append(on_start())
        stops.append(scraping.start(app, channels, {one.name: one.waiting for one in (native, headwind)}))

        def end() -> None:
            for stop in stops:
                stop()
            school_time.finish()

        return end

    gate = Gate(
        channels,
        Staff(app, threads=_STAFF_THREADS),
        probes=_probes(app, is_full=lambda: any(one.is_full for one in channels), is_stopping=lambda: gate.is_draining),
        on_start=start,
        now=clock.now,
        most_staff_bytes=partial(most_body_bytes, app),
        spooling=Spooling(PackageFiles(config.packages_dir), partial(app_uploads.may_send, app)),
        drain_s=config.drain_s,
    )
    return gate


def _native(app: Flask, school_time: SchoolTime, presence: Presence) -> NativeChannel:
    """Make the channel of our own agents."""
    config: Config = app.extensions["fleet_config"]
    keys = authority.load(config.secrets_dir, now=clock.now())
    return NativeChannel(
        Work(app, keys, clock.now, report_s=config.report_s),
        keys,
        authority_name=config.authority,
        pace=Pace(config.poll_s, config.report_s, school_time, school_time.is_near, random.Random()),  # noqa: S311 (spreads tablets in time, guards nothing)
        presence=presence,
        nonce_key=read_or_create(config.secrets_dir / "nonce.key", secrets.token_bytes(32)),
        queue_limit=config.queue_limit,
        now=clock.now,
    )


def _probes(app: Flask, *, is_full: Callable[[], bool], is_stopping: Callable[[], bool]) -> dict[str, Probe]:
    """Return what answers questions about the server itself."""
    config: Config = app.extensions["fleet_config"]
    ready = Readiness(app, is_full=is_full, is_stopping=is_stopping)
    probes: dict[str, Probe] = {"/healthz": alive, "/readyz": ready}
    if config.metrics is not Metrics.OFF:
        probes["/metrics"] = Scraping(app)
    return probes


def _headwind(app: Flask, presence: Presence) -> HeadwindChannel:
    """Make the channel of Android tablets."""
    config: Config = app.extensions["fleet_config"]
    work = HeadwindWork(app, admin_password.secret(config.secrets_dir), now=clock.now)
    dice = random.Random()  # noqa: S311 (spreads tablets in time, guards nothing)
    return HeadwindChannel(work, presence=presence, now=clock.now, dice=dice, queue_limit=config.queue_limit)


def _apple_work(app: Flask, keeper: PushKeeper, vault: bytes) -> AppleWork:
    """Make the work of the channel of iPads. Without a push certificate it takes none in."""
    config: Config = app.extensions["fleet_config"]
    return AppleWork(
        app,
        device_authority.load(config.secrets_dir, vault, now=clock.now()),
        address=config.public_url,
        topic=keeper.topic,
        vault_key=vault,
        signs_profiles=config.signs_profiles,
        tls_root=_tls_root(config),
        now=clock.now,
    )


def _tls_root(config: Config) -> bytes | None:
    """Return the CA of our TLS certificate, DER, where iPads have to be told of it.

    Raises:
        ConfigError: the file is none.
    """
    path = config.tls_root_file
    if path is None:
        return None
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)
    except ValueError:
        raise ConfigError(variable="FLEET_TLS_ROOT", found=str(path), expected="a certificate, PEM") from None


def _apple(app: Flask, work: AppleWork, secret: str, presence: Presence) -> AppleChannel:
    """Make the channel of iPads.

    Raises:
        ConfigError: the file of certificates that iPads' lead to is none.
    """
    config: Config = app.extensions["fleet_config"]
    roots = None
    if config.device_root_file is not None:
        try:
            roots = DeviceRoots(config.device_root_file.read_bytes())
        except ValueError:
            name, found = "FLEET_APPLE_DEVICE_ROOT", str(config.device_root_file)
            raise ConfigError(variable=name, found=found, expected="a file of certificates, PEM") from None
    door = Automated(app, secret=secret, roots=roots, profile=work.expected_profile, now=clock.now)
    proxied = ProxiedCertificates(config.client_cert_header, config.proxies)
    return AppleChannel(
        work, presence=presence, proxied=proxied, automated=door, now=clock.now, queue_limit=config.queue_limit
    )


def _listing(app: Flask, work: AppleWork, vault: bytes, secret: str) -> Listing:
    """Make the errand with Apple School Manager. Without a server token it does nothing."""
    config: Config = app.extensions["fleet_config"]
    address = f"{config.public_url}{PREFIX}automated/{secret}"
    return Listing(
        app,
        TokenKeeper(config.secrets_dir, vault),
        reach=lambda token: SchoolManagerClient(token, base_url=config.school_manager_url, now=clock.now),
        profile=lambda: work.setup_profile(address),
        now=clock.now,
    )


def _licences(app: Flask, vault: bytes) -> Errand:
    """Make the errand with Apps and Books. Without a token it does nothing."""
    config: Config = app.extensions["fleet_config"]
    return licence_errand.errand(
        app,
        LicenceTokenKeeper(config.secrets_dir, vault),
        now=clock.now,
        connect=lambda token: AppsAndBooks(token, base_url=config.licences_url, now=clock.now),
    )


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, told everything here and nothing by files or the environment."""

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's settings."""
        settings: dict[str, Any] = {
            "bind": self._config.bind,
            "workers": self._config.workers,
            "worker_class": "fleet.app.worker.Worker",
            "keepalive": _KEEPALIVE_S,
            "forwarded_allow_ips": ",".join(self._config.proxies),
            "graceful_timeout": self._config.drain_s + 30,
            "timeout": 60,
            "loglevel": "warning",
            "logger_class": logs.ServerLog,
            "proc_name": "fleet",
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Gate:
        """Make the application in the worker, after the fork, so that no connection is shared."""
        logs.configure()
        app = create_app(self._config)
        gate = create_gate(app, on_start=lambda: _begin(app))
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be walked over again while tablets wait
        gc.set_threshold(_NEW_OBJECTS)
        return gate


def serve(config: Config) -> None:
    """Run the server until SIGTERM or SIGINT; brings the database up to date first.

    Raises:
        ConfigError: the address is taken, another server uses the embedded database, or the database belongs to the
            servers of another data directory.
        SystemExit: gunicorn's own end.
    """
    standing.require_free(config.bind)
    app = create_app(config, with_pages=False)  # the workers make their own, with pages
    lock = standing.hold(config)
    with app.app_context():
        with reading():
            standing.require_no_others(config)
        _upgrade()
        with transaction():
            standing.require_own(config)
        authority.load(config.secrets_dir, now=clock.now())
        # Before anybody copies the folder for another server: seals of two keys would not fit together.
        audit_seals.load_key(config.secrets_dir, may_create=True)
        with transaction():
            link = passwords.first_admin_link(now=clock.now())
        db.engine.dispose()
    _say(f"serving {config.public_url} (listening on {config.bind})")
    if link is not None:
        _say(f"no administrator yet; the first one chooses a password at {config.public_url}/password/{link}")
    standing.leave_word(config)
    counting, config = _counting(config)
    with lock, counting:
        _Server(config).run()


def _counting(config: Config) -> tuple[AbstractContextManager[object], Config]:
    """Return what metrics need while the server runs, and the settings: without metrics where there is no room.

    Raises:
        ConfigError: the word for whoever scrapes is none, or others may read it.
    """
    try:
        return scraping.prepare(config), config
    except OSError as error:  # tablets come before numbers
        _say(f"no metrics, as nothing can be counted in {config.metrics_dir}: {error.strerror or error}")
        return nullcontext(), replace(config, metrics=Metrics.OFF)


def _upgrade() -> None:
    """Bring the database up to date; what takes long is done beside the server's work.

    Raises:
        UpgradeHeldUpError: it would have held up other servers again and again.
    """
    try:
        upgrading.upgrade()
    except DatabaseNewerError:  # another server runs it; ours works with what it knows of
        _say("the database is of a newer program: serving until this one is upgraded, too")


def _begin(app: Flask) -> Callable[[], None]:
    """Begin what a worker does beside its answers; returns what ends it."""
    stops = [finishing.start(app), runner.start(app)]

    def end() -> None:
        for stop in stops:
            stop()

    return end


def _say(text: str) -> None:
    print(f"fleet: {text}", file=sys.stderr, flush=True)  # noqa: T201 (told to a person at a terminal)
