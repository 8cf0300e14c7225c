"""The configuration: defaults that work, refusals that name the variable."""

from pathlib import Path

import pytest

from fleet import config, reaching_postgresql
from fleet.config import ConfigError


def test_an_empty_environment_gives_the_embedded_default() -> None:
    loaded = config.load({})
    assert loaded.database_url == f"sqlite:///{Path('var').absolute() / 'fleet.sqlite3'}"
    assert loaded.is_sqlite
    assert (loaded.bind, loaded.public_url, loaded.authority) == (
        "127.0.0.1:8000",
        "http://127.0.0.1:8000",
        "127.0.0.1:8000",
    )
    assert (loaded.workers, str(loaded.timezone), loaded.run_jobs) == (1, "Europe/Oslo", True)
    assert loaded.secrets_dir == Path("var").absolute() / "secrets"


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_every_spelling_of_postgresql_goes_through_psycopg(url: str) -> None:
    loaded = config.load({"FLEET_DATABASE_URL": url, "FLEET_WORKERS": "4"})
    assert loaded.database_url == "postgresql+psycopg://u@h/d"
    assert not loaded.is_sqlite
    assert loaded.workers == 4


@pytest.mark.parametrize(
    ("told", "reached"),
    [
        ("postgres://u:p%40@a:1,b/d", "u:p%40@/d?host=a,b&port=1,5432&target_session_attrs=read-write"),
        (
            "postgres://a,b/d?sslmode=require",
            "@/d?host=a,b&port=5432,5432&sslmode=require&target_session_attrs=read-write",
        ),
        (
            "postgres://u@[::1]:1,[fd00::2]:5/d?target_session_attrs=any",
            "u@/d?host=::1,fd00::2&port=1,5&target_session_attrs=any",
        ),
        ("postgres://u@/d?host=/run/a,/run/b", "u@/d?host=/run/a,/run/b&target_session_attrs=read-write"),
        ("postgres://u@/d?host=/run/a", "u@/d?host=/run/a"),
    ],
)
def test_of_several_databases_the_one_that_takes_writes_is_meant(told: str, reached: str) -> None:
    assert config.database_url(told) == f"postgresql+psycopg://{reached}"


def test_connections_are_given_up_in_time_unless_the_address_says_otherwise() -> None:
    told = config.database_url("postgresql://u@h/d?connect_timeout=60")
    assert reaching_postgresql.connecting(told).keys() == reaching_postgresql.CONNECTION.keys() - {"connect_timeout"}


def test_a_file_is_named_from_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.database_url("sqlite:///a.sqlite3") == f"sqlite:///{tmp_path / 'a.sqlite3'}"
    assert config.database_url("sqlite:////b/a.sqlite3?timeout=3") == "sqlite:////b/a.sqlite3?timeout=3"
    with pytest.raises(ConfigError) as refused:
        config.database_url("mysql://h/d", variable="--to")
    assert refused.value.data["variable"] == "--to"


@pytest.mark.parametrize(
    ("public_url", "local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://localhost", True),
        ("http://10.0.0.5", False),
        ("https://nettbrett.kommune.no", False),
    ],
)
def test_an_address_that_leads_nowhere_else_is_known_as_such(public_url: str, local: bool) -> None:
    assert config.load({"FLEET_PUBLIC_URL": public_url}).is_local_only is local


def test_connections_are_bounded_and_a_pooler_is_told_of() -> None:
    assert (config.load({}).database_connections, config.load({}).direct_database_url) == (24, None)
    told = {"FLEET_DATABASE_CONNECTIONS": "5", "FLEET_DATABASE_DIRECT_URL": "postgres://u@h/d"}
    loaded = config.load(told)
    assert (loaded.database_connections, loaded.direct_database_url) == (5, "postgresql+psycopg://u@h/d")


def test_proxies_are_addresses_and_networks() -> None:
    loaded = config.load({"FLEET_PROXIES": "10.0.0.5, 10.1.0.0/24,fd00::1"})
    assert loaded.proxies == ("10.0.0.5", "10.1.0.0/24", "fd00::1")
    assert config.load({}).proxies == ()


def test_a_header_for_certificates_needs_a_proxy_that_tells_it() -> None:
    told = {"FLEET_CLIENT_CERT_HEADER": "X-Client-Cert"}
    assert config.load({**told, "FLEET_PROXIES": "10.0.0.5"}).client_cert_header == "x-client-cert"
    assert config.load({}).client_cert_header == ""
    with pytest.raises(ConfigError) as refusal:
        config.load(told)
    assert refusal.value.data["variable"] == "FLEET_PROXIES"


@pytest.mark.parametrize(
    ("public_url", "authority"),
    [
        ("https://Nettbrett.Kommune.no/", "nettbrett.kommune.no"),
        ("https://nettbrett.kommune.no:443", "nettbrett.kommune.no"),
        ("https://nettbrett.kommune.no:8443", "nettbrett.kommune.no:8443"),
        ("http://10.0.0.5:80", "10.0.0.5"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_authority_is_what_tablets_sign(public_url: str, authority: str) -> None:
    assert config.load({"FLEET_PUBLIC_URL": public_url}).authority == authority


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLEET_BIND", "8000"),
        ("FLEET_BIND", "localhost:http"),
        ("FLEET_BIND", "127.0.0.1:99999"),
        ("FLEET_BIND", "::1:8000"),
        ("FLEET_BIND", "local host:8000"),
        ("FLEET_PUBLIC_URL", "nettbrett.kommune.no"),
        ("FLEET_PUBLIC_URL", "ftp://nettbrett.kommune.no"),
        ("FLEET_PUBLIC_URL", "https://nettbrett.kommune.no/fleet"),
        ("FLEET_PUBLIC_URL", "https://user@nettbrett.kommune.no"),
        ("FLEET_PUBLIC_URL", "https://nettbrett.kommune.no:99999"),
        ("FLEET_PUBLIC_URL", "https://nettbrett.kommune.no:0"),
        ("FLEET_PUBLIC_URL", "https://nettbrett.kommune.no?"),
        ("FLEET_PUBLIC_URL", "https://nettbrett.kommune.no#enrol"),
        ("FLEET_PUBLIC_URL", "https://nettbrett kommune.no"),
        ("FLEET_PUBLIC_URL", " https://nettbrett.kommune.no"),
        ("FLEET_PUBLIC_URL", "https://[::1"),
        ("FLEET_PUBLIC_URL", "https://"),
        ("FLEET_PROXIES", "proxy.kommune.no"),
        ("FLEET_PROXIES", "10.0.0.5/8"),
        ("FLEET_PROXIES", "*"),
        ("FLEET_DATABASE_URL", "mysql://localhost/fleet"),
        ("FLEET_DATABASE_URL", "sqlite:///"),
        ("FLEET_DATABASE_URL", "sqlite:///:memory:"),
        ("FLEET_DATABASE_URL", "postgresql://fleet@localhost"),
        ("FLEET_DATABASE_URL", "postgresql://fleet@localhost:port/fleet"),
        ("FLEET_DATABASE_CONNECTIONS", "4"),
        ("FLEET_DATABASE_CONNECTIONS", "201"),
        ("FLEET_DATABASE_DIRECT_URL", "sqlite:////tmp/fleet.sqlite3"),
        ("FLEET_DATABASE_DIRECT_URL", "on"),
        ("FLEET_WORKERS", "0"),
        ("FLEET_WORKERS", "two"),
        ("FLEET_POLL_S", "-5"),
        ("FLEET_TIMEZONE", "Europe/Trondheim"),
        ("FLEET_TIMEZONE", "Europe"),
        ("FLEET_TIMEZONE", ""),
        ("FLEET_TIMEZONE", "../etc/passwd"),
        ("FLEET_JOBS", "maybe"),
        ("FLEET_SIGN_PROFILES", "maybe"),
        ("FLEET_VAULT_KEY", "/no/such/file"),
        ("FLEET_APPLE_DEVICE_ROOT", "/no/such/file"),
        ("FLEET_TLS_ROOT", "/no/such/file"),
        ("FLEET_ASM_URL", "http://mdmenrollment.apple.com"),
        ("FLEET_ASM_URL", "https://mdmenrollment.apple.com/path"),
        ("FLEET_LICENCES_URL", "http://vpp.itunes.apple.com"),
        ("FLEET_CLIENT_CERT_HEADER", "X-Client-Cert: on"),
        ("FLEET_CLIENT_CERT_HEADER", "X_Client_Cert"),
        ("FLEET_CLIENT_CERT_HEADER", "Host"),
    ],
)
def test_a_wrong_value_is_refused_and_the_error_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        config.load({variable: value})
    assert refusal.value.data["variable"] == variable
    assert refusal.value.data["expected"]


def test_listening_everywhere_needs_a_public_address() -> None:
    with pytest.raises(ConfigError) as refusal:
        config.load({"FLEET_BIND": "0.0.0.0:8000"})
    assert refusal.value.data["variable"] == "FLEET_PUBLIC_URL"
    assert config.load({"FLEET_BIND": "0.0.0.0:8000", "FLEET_PUBLIC_URL": "https://x.no"}).public_url == "https://x.no"
    assert config.load({"FLEET_BIND": "localhost:8000"}).public_url == "http://localhost:8000"


def test_several_workers_on_sqlite_are_refused() -> None:
    with pytest.raises(ConfigError) as refusal:
        config.load({"FLEET_WORKERS": "2"})
    assert refusal.value.data["variable"] == "FLEET_WORKERS"


@pytest.mark.parametrize(
    "url", ["mysql://fleet:hemmelig@localhost/fleet", "postgresql://fleet:hemmelig@localhost:port/fleet"]
)
def test_a_database_password_is_not_repeated_in_the_error(url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        config.load({"FLEET_DATABASE_URL": url})
    assert "hemmelig" not in str(refusal.value)


def test_metrics_are_counted_in_the_data_directory_or_on_a_disk_of_the_machine() -> None:
    for told, root in (({}, "/srv/fleet"), ({"FLEET_METRICS_DIR": "/var/lib/fleet"}, "/var/lib/fleet")):
        found = config.load({"FLEET_DATA_DIR": "/srv/fleet", **told}).metrics_dir
        assert found.parent == Path(root) / "metrics"
