"""What the page of a new ticket tells of Android tablets: codes to scan, the way by cable, and what is in the way.

The codes hold the ticket's code, and those with a network its password: nothing of this is kept, and it is shown once.
"""

import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import segno

from fleet import clock
from fleet.access import Permission, Principal
from fleet.android import coming, provisioning
from fleet.android.addresses import AGENT_APP
from fleet.android.provisioning import Agent, Network, Obstacle
from fleet.config import Config
from fleet.devices.models import Ticket
from fleet.web.texts import translated as _

_MOST_NETWORKS = 4  # each code is some 16 kB of the page


@dataclass(frozen=True, slots=True)
class Scanned:
    """One code to scan: the network that it joins, None: somebody chooses one on the tablet; and its picture."""

    ssid: str | None
    drawing: str


@dataclass(frozen=True, slots=True)
class Coming:
    """What is told of Android tablets.

    Args:
        agent: the agent's package; None: nobody has brought it, and there is nothing to scan.
        codes: to scan, the one without a network first.
        more: how many networks there are that no code is drawn for.
        hides_networks: whether the reader may not see the networks' passwords.
        may_bring: whether the reader may bring the agent's package.
        obstacles: what keeps tablets from our address.
        commands: by cable, as they are typed.
        file: what stands in the agent's file.
    """

    agent: Agent | None
    codes: Sequence[Scanned]
    more: int
    hides_networks: bool
    may_bring: bool
    obstacles: Sequence[str]
    commands: str
    file: str

    @property
    def file_name(self) -> str:
        """What the agent's file is called."""
        return provisioning.INIT_FILE

    @property
    def app_id(self) -> str:
        """What the agent is called among apps."""
        return AGENT_APP


def told(ticket: Ticket, code: str, *, by: Principal, config: Config) -> Coming:
    """Return what is told of Android tablets that come with a ticket; three statements at most.

    Args:
        ticket: the ticket.
        code: its code.
        by: who looks.
        config: of the server.
    """
    agent = coming.agent(config.public_url)
    networks = coming.networks(ticket, by=by, now=clock.now()) if agent is not None else []
    drawn: list[Network | None] = [None, *networks[:_MOST_NETWORKS]] if agent is not None else []
    package = agent.url.rpartition("/")[2] if agent is not None else ""
    return Coming(
        agent=agent,
        codes=[_scanned(agent, config.public_url, code, one) for one in drawn if agent is not None],
        more=len(networks[_MOST_NETWORKS:]),
        hides_networks=not coming.may_see_networks(by),
        may_bring=by.may(Permission.EDIT_PROFILES),
        obstacles=_obstacles(config),
        commands="\n".join(shlex.join(one.words) for one in provisioning.adb_commands(package)),
        file=provisioning.init_json(config.public_url, code),
    )


def _scanned(agent: Agent, public_url: str, code: str, network: Network | None) -> Scanned:
    said = provisioning.text(provisioning.extras(agent, public_url, code, network))
    return Scanned(network.ssid if network is not None else None, drawing(said, error="l"))


def drawing(said: str, *, error: str) -> str:
    """Return the picture of a code to scan from a screen.

    Args:
        said: what it says.
        error: how much of it may be unreadable: ``l``, for a long text that no dirt can fall on, or ``m``.
    """
    made = io.BytesIO()
    segno.make(said, error=error).save(
        made,
        kind="svg",
        xmldecl=False,
        svgns=True,
        border=2,
        light="#fff",
        omitsize=True,
        svgclass="qr",
        lineclass=None,
    )
    return made.getvalue().decode()


def _obstacles(config: Config) -> list[str]:
    """Say what keeps tablets from our address; that it leads to this machine only, the page says of all tablets."""
    said = {
        Obstacle.OWN_CA: _(
            "The server's certificate is from a CA of your own, which no new tablet trusts: the set-up stops there. "
            "Use a certificate that Android knows."
        ),
        Obstacle.PLAIN: _(
            "The server's address has no TLS: whoever is on the network can read and change what is said."
        ),
    }
    found = provisioning.obstacles(
        config.public_url, is_local_only=config.is_local_only, has_own_ca=config.tls_root_file is not None
    )
    return [said[one] for one in found if one in said]
