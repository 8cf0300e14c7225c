"""A small load balancer in front of several servers: passes connections on to those that say they are ready."""

import asyncio
import contextlib
import http.client
import itertools
import threading
from collections.abc import Sequence

from tests.serving import Server, free_port

_LOOK_S = 0.2
_PIECE = 65_536


class Front:
    """Passes each connection to one server, whole; a connection that breaks is not mended, as its caller asks again.

    Args:
        port: of loopback; any that is free where none is told.

    Attributes:
        only: the one server that gets everything, ready or not; None: all that are ready, in turns.
        ready: the servers that were ready a moment ago.
    """

    def __init__(self, port: int | None = None) -> None:
        self.host, self.port = "127.0.0.1", port or free_port()
        self.only: Server | None = None
        self._servers: Sequence[Server] = ()
        self.ready: tuple[Server, ...] = ()
        self._turns = itertools.count()
        self._ending = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._serve, self._look)]

    @property
    def address(self) -> str:
        """The address tablets and browsers use."""
        return f"http://{self.host}:{self.port}"

    def start(self, servers: Sequence[Server]) -> None:
        """Begin to pass connections on to servers, which may come and go."""
        self._servers = servers
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and break what is open."""
        self._ending.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(30)

    def _look(self) -> None:
        """Ask again and again who is ready, as a load balancer does."""
        while not self._ending.wait(_LOOK_S):
            self.ready = tuple(one for one in self._servers if _is_ready(one))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = self._loop.run_until_complete(asyncio.start_server(self._pass_on, self.host, self.port))
        self._loop.run_forever()
        listening.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = (self.only,) if self.only is not None else self.ready
        try:
            if ready:
                chosen = ready[next(self._turns) % len(ready)]
                there, back = await asyncio.open_connection(chosen.host, chosen.port)
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except OSError:
            pass
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


def _is_ready(server: Server) -> bool:
    try:
        return server.get("/readyz").status == 200
    except (OSError, http.client.HTTPException):
        return False
