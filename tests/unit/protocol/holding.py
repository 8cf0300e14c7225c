"""A server for very many tablets: takes every report unread, and holds every poll until it is told to let go."""

import asyncio
import re
import threading
from datetime import UTC, datetime

from agent_protocol.messages import ReportAnswer, encode


class Holding:
    """One thread, one loop, any number of connections; it verifies nothing."""

    def __init__(self) -> None:
        self.held = 0
        self.reports = 0
        self._loop = asyncio.new_event_loop()
        self._release = asyncio.Event()
        ready = threading.Event()

        async def live() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
            self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._stop = asyncio.Event()
            ready.set()
            await self._stop.wait()
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for one in others:
                one.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(live()))
        self._thread.start()
        ready.wait()

    def release(self) -> None:
        """Answer all polls that are held, at once."""

        def let_go() -> None:
            self._release.set()
            self._release = asyncio.Event()

        self._loop.call_soon_threadsafe(let_go)

    def stop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length is not None else 0)
                writer.write(await self._answer(head))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str) -> bytes:
        if head.startswith("GET"):
            asked = re.search(r"prefer: wait=(\d+)", head, re.IGNORECASE)
            self.held += 1
            try:
                async with asyncio.timeout(int(asked[1]) if asked is not None else 0):
                    await self._release.wait()
            except TimeoutError:
                pass
            self.held -= 1
            return b"HTTP/1.1 304 Not Modified\r\nCache-Control: private, max-age=1\r\n\r\n"
        self.reports += 1
        body = encode(ReportAnswer('"1-0"', 60, 900, datetime.now(UTC)))
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
