"""What the front door and the machine's keeper of services need to know, as the files they read. Pure.

A tablet knows its municipality's host name and nothing else, so that name leads here for ever, and only this list knows
where the servers are. Source: https://nginx.org/en/docs/http/ngx_http_map_module.html and ngx_http_proxy_module.html;
https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html.
"""

from collections.abc import Sequence
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from fleet.errors import ConflictError
from fleet.municipalities.registry import Cell

# Tablets that wait for news are held for 60 s at most; how large a request may be is for the servers to say. A tablet's
# path may be what it is known by, so paths are not logged: the servers log what they refuse and why.
_SERVER = Template("""\
server {
    listen $listen default_server;
    listen [::]:$listen default_server;
    access_log off;
    error_log /var/log/nginx/error.log crit;
$tls    large_client_header_buffers 4 16k;
    if ($$fleet_cell = "") { return 404; }

    location / {
        proxy_pass http://$$fleet_cell;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $$http_host;
        proxy_set_header X-Forwarded-For $$remote_addr;
        proxy_set_header X-Forwarded-Proto $$scheme;
$certificates        proxy_read_timeout 75s;
        proxy_request_buffering off;
        client_max_body_size 0;
        error_page 502 504 =503 @away;
    }
    location @away {  # the servers are being moved, upgraded or mended
        add_header Retry-After 20 always;
        add_header Cache-Control no-store always;
        return 503;
    }
}
""")

_UNIT = Template("""\
[Unit]
Description=Tablet fleet server of %i
After=network-online.target postgresql.service
Wants=network-online.target

[Service]
User=$user
UMask=0077
EnvironmentFile=$root/%i/fleet.env
WorkingDirectory=$root/%i/program
ExecStart=$root/%i/program/.venv/bin/python -m fleet server run
Restart=always
RestartSec=2
TimeoutStopSec=60
LimitNOFILE=16384
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths=$root/%i

[Install]
WantedBy=multi-user.target
""")

_BACKUP = Template("""\
[Unit]
Description=Backup of the tablet fleet server of %i

[Service]
Type=oneshot
User=$user
UMask=0077
EnvironmentFile=$root/%i/fleet.env
WorkingDirectory=$root/%i/program
ExecStart=$root/%i/program/.venv/bin/python -m fleet database backup $backups/%i --keep 14
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths=$root/%i $backups
""")

_TIMER = """\
[Unit]
Description=Nightly backup of the tablet fleet server of %i

[Timer]
OnCalendar=*-*-* 01:00
RandomizedDelaySec=3h
Persistent=yes

[Install]
WantedBy=timers.target
"""

# What the keeper of services is given, by name of the file; the first is what runs the servers.
UNITS = ("fleet@.service", "fleet-backup@.service", "fleet-backup@.timer")


def nginx(cells: Sequence[Cell], *, certificate: Path, key: Path) -> str:
    """Return the front door's configuration, to be included in nginx's ``http`` block.

    Args:
        cells: the municipalities.
        certificate: of all their names, PEM, where one of them is reached by https.
        key: its key.

    Raises:
        ConflictError: two of them are reached by one name.
    """
    by_host: dict[str, str] = {}
    for one in cells:
        if by_host.setdefault(one.host, one.name) != one.name:
            raise ConflictError(kind="municipality", name=one.name, setting="FLEET_PUBLIC_URL", other=by_host[one.host])
    upstreams = "".join(f"upstream fleet_{one.name} {{ server {one.config.bind}; keepalive 64; }}\n" for one in cells)
    names = "".join(f"    {one.host} fleet_{one.name};\n" for one in cells)
    headers = sorted({one.config.client_cert_header for one in cells} - {""})
    servers = "".join(_server(door, certificate, key, headers) for door in sorted({_door(one) for one in cells}))
    opening = f'map $host $fleet_cell {{\n    default "";\n{names}}}\n'
    return f"# Made by: fleet municipalities front-door nginx\n{upstreams}{opening}{servers}"


def _door(cell: Cell) -> tuple[int, bool]:
    parts = urlsplit(cell.config.public_url)
    is_secure = parts.scheme == "https"
    return parts.port or (443 if is_secure else 80), is_secure


def _server(door: tuple[int, bool], certificate: Path, key: Path, headers: Sequence[str]) -> str:
    """Return what listens at a port; where servers take an iPad's certificate from a header, no caller's word counts.

    Source: fleet/docs/ipad.md, "A proxy that knows the iPads' certificates".
    """
    port, is_secure = door
    listen = f"{port} ssl" if is_secure else f"{port}"
    tls = f"    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n" if is_secure else ""
    if is_secure and headers:
        tls += "    ssl_verify_client optional_no_ca;\n"
    shown = "$ssl_client_escaped_cert" if is_secure else '""'
    told = "".join(f"        proxy_set_header {name} {shown};\n" for name in headers)
    return _SERVER.substitute(listen=listen, tls=tls, certificates=told)


def unit(root: Path, name: str, *, user: str, backups: Path) -> str:
    """Return one of the templates of systemd (:data:`UNITS`): an instance for each municipality, by its name.

    Args:
        root: the registry.
        name: of the template.
        user: as whom the servers run; the registry is theirs.
        backups: the folder in which each municipality has one for its backups.
    """
    template = dict(zip(UNITS, (_UNIT, _BACKUP, Template(_TIMER)), strict=True))[name]
    return template.substitute(root=root.absolute(), user=user, backups=backups.absolute())
