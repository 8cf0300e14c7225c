"""The configuration: one frozen object, read once from the environment at start.

Invariants: no secret has a default, secrets live in files of the data directory with owner-only rights; a wrong
value stops the start and the error names the variable. The domain never reads this module: doors hand it values.
"""

import enum
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from fleet import reaching_postgresql
from fleet.errors import InvalidError

_POSTGRESQL = reaching_postgresql.SCHEME
_SHORTEST_TOKEN = 16


class ConfigError(InvalidError):
    """A setting is missing or wrong. Data: ``variable``, ``found``, ``expected``."""

    code = "config"


class Metrics(enum.StrEnum):
    """Whether there are metrics, and for whom."""

    OFF = "off"
    LOOPBACK = "loopback"  # who asks from this machine itself
    TOKEN = "token"  # noqa: S105 (who knows the word in ``Config.metrics_token_file``)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the server can be told.

    Args:
        data_dir: where the embedded database, secrets and uploads live (``FLEET_DATA_DIR``).
        database_url: SQLAlchemy URL, ``sqlite:///…`` or ``postgresql+psycopg://…`` (``FLEET_DATABASE_URL``).
        database_connections: how many connections to PostgreSQL one process has at most
            (``FLEET_DATABASE_CONNECTIONS``).
        direct_database_url: of PostgreSQL itself, where ``database_url`` leads to a pooler that changes sessions
            between transactions, such as PgBouncer; None: there is no pooler (``FLEET_DATABASE_DIRECT_URL``).
        bind: ``host:port`` the server listens on (``FLEET_BIND``).
        public_url: the address tablets and people use, no trailing slash (``FLEET_PUBLIC_URL``).
        workers: server processes; more than one needs PostgreSQL (``FLEET_WORKERS``).
        timezone: the schools' local time (``FLEET_TIMEZONE``).
        poll_s: seconds between a tablet's polls in school hours (``FLEET_POLL_S``).
        report_s: seconds between a tablet's full reports in school hours (``FLEET_REPORT_S``).
        queue_limit: check-ins that may wait in one process before more are turned away (``FLEET_QUEUE_LIMIT``).
        proxies: addresses or networks of proxies whose word on the caller's address counts (``FLEET_PROXIES``).
        drain_s: seconds for which a server that is told to stop serves on, no longer ready (``FLEET_DRAIN_S``).
        run_jobs: whether this server also runs the timetable of jobs (``FLEET_JOBS``, on or off).
        vault_key_file: where the key is that seals secrets; None: with the other secrets (``FLEET_VAULT_KEY``).
        signs_profiles: whether the enrolment profile of iPads is signed (``FLEET_SIGN_PROFILES``, on or off).
        client_cert_header: in which header these proxies tell the certificate an iPad showed them, lower case; empty:
            in none (``FLEET_CLIENT_CERT_HEADER``).
        device_root_file: certificates that an iPad's own leads to, PEM, None: not asked (``FLEET_APPLE_DEVICE_ROOT``).
        tls_root_file: the CA of our TLS certificate, PEM; None: iPads trust it by themselves (``FLEET_TLS_ROOT``).
        school_manager_url: where Apple's service for automated enrolment is (``FLEET_ASM_URL``).
        licences_url: where Apple's service for licences of apps is (``FLEET_LICENCES_URL``).
        metrics: whether ``/metrics`` is there, and for whom (``FLEET_METRICS``).
        metrics_root: where a folder ``metrics`` is made in which is counted, on a disk of this machine
            (``FLEET_METRICS_DIR``).
        slow_statement_ms: statements of the database that take longer are logged; 0: none is
            (``FLEET_SLOW_STATEMENT_MS``).
    """

    data_dir: Path
    database_url: str
    database_connections: int
    direct_database_url: str | None
    bind: str
    public_url: str
    workers: int
    timezone: ZoneInfo
    poll_s: int
    report_s: int
    queue_limit: int
    proxies: tuple[str, ...]
    drain_s: int
    run_jobs: bool
    vault_key_file: Path | None
    signs_profiles: bool
    client_cert_header: str
    device_root_file: Path | None
    tls_root_file: Path | None
    school_manager_url: str
    licences_url: str
    metrics: Metrics
    metrics_root: Path
    slow_statement_ms: int

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded database is used."""
        return self.database_url.startswith("sqlite")

    @property
    def session_database_url(self) -> str:
        """The database's own address, past a pooler: for what needs one session, or the database's own programs."""
        return self.direct_database_url or self.database_url

    @property
    def authority(self) -> str:
        """Host and port as tablets sign them, lower case, default port left out (RFC 9421 section 2.2.3)."""
        parts = urlsplit(self.public_url)
        default = {"http": 80, "https": 443}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
        return host if parts.port in (None, default) else f"{host}:{parts.port}"

    @property
    def is_local_only(self) -> bool:
        """Whether the address people and tablets are told leads nowhere but to this machine."""
        host = urlsplit(self.public_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def secrets_dir(self) -> Path:
        """Where keys and secrets live, owner-only."""
        return self.data_dir / "secrets"

    @property
    def server_lock(self) -> Path:
        """The file that a server on the embedded database keeps locked while it runs."""
        return self.data_dir / "server.lock"

    @property
    def packages_dir(self) -> Path:
        """Where packages of apps live, which tablets fetch."""
        return self.data_dir / "packages"

    @property
    def exports_dir(self) -> Path:
        """Where long reports lie for a day, owner-only."""
        return self.data_dir / "exports"

    @property
    def metrics_dir(self) -> Path:
        """Where this server's processes count; servers that share a folder have one each."""
        return self.metrics_root / "metrics" / re.sub(r"[^\w.-]", "_", f"{socket.gethostname()}-{self.bind}")

    @property
    def metrics_token_file(self) -> Path:
        """Where the word is that whoever scrapes must know."""
        return self.secrets_dir / "metrics.token"

    @staticmethod
    def is_metrics_token(told: bytes) -> bool:
        """Whether what stands in that file is a word that nobody guesses."""
        return len(told.strip()) >= _SHORTEST_TOKEN


def _whole(environ: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = environ.get(name, str(default))
    expected = f"a whole number from {lowest} to {highest}"
    if not re.fullmatch(r"\d{1,9}", text) or not lowest <= int(text) <= highest:
        raise ConfigError(variable=name, found=text, expected=expected)
    return int(text)


def _bind(environ: Mapping[str, str]) -> str:
    text = environ.get("FLEET_BIND", "127.0.0.1:8000")
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", host) or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ConfigError(variable="FLEET_BIND", found=text, expected="host:port, such as 127.0.0.1:8000")
    return text


def _public_url(environ: Mapping[str, str], bind: str) -> str:
    text = environ.get("FLEET_PUBLIC_URL", "").rstrip("/")
    if not text:
        host = bind.rpartition(":")[0].strip("[]")
        try:
            anywhere = ipaddress.ip_address(host).is_unspecified
        except ValueError:
            anywhere = False
        if anywhere:
            raise ConfigError(
                variable="FLEET_PUBLIC_URL",
                found="",
                expected="the address tablets use, as FLEET_BIND listens everywhere",
            )
        return f"http://{bind}"
    expected = "an address such as https://nettbrett.kommune.no, without a path"
    try:
        parts = urlsplit(text)
        bad = parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0
        bad = bad or not re.fullmatch(r"[\w.:\[\]-]+", parts.netloc)
        bad = bad or text.lower() != f"{parts.scheme}://{parts.netloc}".lower()  # no path, query or fragment
    except ValueError:
        bad = True
    if bad:
        raise ConfigError(variable="FLEET_PUBLIC_URL", found=text, expected=expected)
    return text


def _proxies(environ: Mapping[str, str]) -> tuple[str, ...]:
    told = [one.strip() for one in environ.get("FLEET_PROXIES", "").split(",") if one.strip()]
    try:
        return tuple(str(ipaddress.ip_network(one)).removesuffix("/32").removesuffix("/128") for one in told)
    except ValueError:
        expected = "addresses or networks with a comma between, such as 10.0.0.5,10.1.0.0/24"
        raise ConfigError(variable="FLEET_PROXIES", found=",".join(told), expected=expected) from None


def database_url(
    told: str, *, variable: str = "FLEET_DATABASE_URL", kinds: tuple[str, ...] = ("sqlite:///", _POSTGRESQL)
) -> str:
    """Return a database's address as SQLAlchemy takes it; a file is named from the folder one stands in.

    Args:
        told: ``sqlite:///…``, ``postgresql://…``, ``postgres://…`` or ``postgresql+psycopg://…``; of PostgreSQL with
            one host or several.
        variable: what told it, for the refusal.
        kinds: what it may begin with.

    Raises:
        ConfigError: it is none of these.
    """
    text = reaching_postgresql.address(re.sub(r"^postgres(ql)?://", _POSTGRESQL, told))
    try:  # a port that is no number is not said to be one, and a database in memory would forget everything
        url = make_url(text)
        name = url.database
    except (ArgumentError, ValueError):
        name = None
    if name in {None, "", ":memory:"} or not text.startswith(kinds):  # the password is not repeated
        on_a_server = "postgresql://USER@HOST/DATABASE"
        expected = f"sqlite:///FILE or {on_a_server}" if len(kinds) > 1 else on_a_server
        raise ConfigError(variable=variable, found=text.partition(":")[0], expected=expected)
    if text.startswith("sqlite") and not name.startswith("file:"):
        return url.set(database=str(Path(name).absolute())).render_as_string(hide_password=False)
    return text


def _direct_database_url(environ: Mapping[str, str]) -> str | None:
    """Return where PostgreSQL is behind a pooler: only there one hears of changes (LISTEN)."""
    variable = "FLEET_DATABASE_DIRECT_URL"
    text = environ.get(variable, "")
    return database_url(text, variable=variable, kinds=(_POSTGRESQL,)) if text else None


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    told = environ.get(name, "on")
    if told not in {"on", "off"}:
        raise ConfigError(variable=name, found=told, expected="on or off")
    return told == "on"


def _metrics(environ: Mapping[str, str]) -> Metrics:
    told = environ.get("FLEET_METRICS", Metrics.OFF.value)
    try:
        return Metrics(told)
    except ValueError:
        raise ConfigError(variable="FLEET_METRICS", found=told, expected="off, loopback or token") from None


def _vault_key_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the vault key is told to be: there it has to be, for a new one would open nothing."""
    told = environ.get("FLEET_VAULT_KEY")
    if not told:
        return None
    path = Path(told).absolute()
    if not path.is_file():
        raise ConfigError(variable="FLEET_VAULT_KEY", found=told, expected="a file of 32 bytes that only we can read")
    return path


def _client_cert_header(environ: Mapping[str, str]) -> str:
    """Return the header's name, lower case; one that something else is told in would make that a certificate."""
    told = environ.get("FLEET_CLIENT_CERT_HEADER", "")
    if told and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*cert[A-Za-z0-9-]*", told, re.IGNORECASE):
        expected = "the name of a header for certificates, such as Client-Cert or X-Client-Cert"
        raise ConfigError(variable="FLEET_CLIENT_CERT_HEADER", found=told, expected=expected)
    return told.lower()


def _certificates_file(environ: Mapping[str, str], variable: str) -> Path | None:
    told = environ.get(variable)
    if not told:
        return None
    path = Path(told).absolute()
    if not path.is_file():
        raise ConfigError(variable=variable, found=told, expected="a file of certificates, PEM")
    return path


def _service_url(environ: Mapping[str, str], variable: str, usual: str) -> str:
    """Return where a service of Apple's is, or a stand-in of it on this machine."""
    told = environ.get(variable, usual).rstrip("/")
    if not re.fullmatch(r"https://[\w.-]+(:\d{1,5})?|http://(127\.0\.0\.1|localhost):\d{1,5}", told):
        raise ConfigError(variable=variable, found=told, expected=f"{usual}, or nothing")
    return told


def load(environ: Mapping[str, str]) -> Config:
    """Read the configuration from ``environ``.

    Raises:
        ConfigError: a variable is missing or wrong; the error names it.
    """
    data_dir = Path(environ.get("FLEET_DATA_DIR") or "var").absolute()
    bind = _bind(environ)
    zone = environ.get("FLEET_TIMEZONE", "Europe/Oslo")
    try:
        timezone = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # unknown, no name at all, and "Europe", which is a folder
        raise ConfigError(variable="FLEET_TIMEZONE", found=zone, expected="a name such as Europe/Oslo") from None
    config = Config(
        data_dir=data_dir,
        database_url=database_url(environ.get("FLEET_DATABASE_URL") or f"sqlite:///{data_dir / 'fleet.sqlite3'}"),
        database_connections=_whole(environ, "FLEET_DATABASE_CONNECTIONS", 24, 5, 200),
        direct_database_url=_direct_database_url(environ),
        bind=bind,
        public_url=_public_url(environ, bind),
        workers=_whole(environ, "FLEET_WORKERS", 1, 1, 64),
        timezone=timezone,
        poll_s=_whole(environ, "FLEET_POLL_S", 60, 1, 86_400),
        report_s=_whole(environ, "FLEET_REPORT_S", 900, 1, 86_400),
        queue_limit=_whole(environ, "FLEET_QUEUE_LIMIT", 2_000, 1, 100_000),
        proxies=_proxies(environ),
        drain_s=_whole(environ, "FLEET_DRAIN_S", 0, 0, 600),
        run_jobs=_is_on(environ, "FLEET_JOBS"),
        vault_key_file=_vault_key_file(environ),
        signs_profiles=_is_on(environ, "FLEET_SIGN_PROFILES"),
        client_cert_header=_client_cert_header(environ),
        device_root_file=_certificates_file(environ, "FLEET_APPLE_DEVICE_ROOT"),
        tls_root_file=_certificates_file(environ, "FLEET_TLS_ROOT"),
        school_manager_url=_service_url(environ, "FLEET_ASM_URL", "https://mdmenrollment.apple.com"),
        licences_url=_service_url(environ, "FLEET_LICENCES_URL", "https://vpp.itunes.apple.com"),
        metrics=_metrics(environ),
        metrics_root=Path(environ.get("FLEET_METRICS_DIR") or data_dir).absolute(),
        slow_statement_ms=_whole(environ, "FLEET_SLOW_STATEMENT_MS", 1_000, 0, 600_000),
    )
    if config.client_cert_header and not config.proxies:
        raise ConfigError(
            variable="FLEET_PROXIES", found="", expected="the proxy whose FLEET_CLIENT_CERT_HEADER counts"
        )
    if config.is_sqlite and config.workers > 1:
        raise ConfigError(
            variable="FLEET_WORKERS",
            found=str(config.workers),
            expected="1 with SQLite; set FLEET_DATABASE_URL to PostgreSQL for more",
        )
    return config
