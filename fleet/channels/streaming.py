"""Sending a file, piece by piece: read in a thread, sent when the one before has gone.

Who reads slowly holds neither a thread nor more memory than a piece: the server lets :func:`send_file` wait until there
is room, and hangs up on who reads nothing at all (:mod:`fleet.app.worker`).
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from fleet.channels.http import FileSlice

PIECE_BYTES = 256 * 1024


def opened(part: FileSlice) -> int:
    """Return the descriptor of a file that has the part.

    Raises:
        OSError: it is not there, or too short.
    """
    descriptor = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(descriptor).st_size < part.offset + part.length:
        os.close(descriptor)
        raise OSError("the file is shorter than it should be")
    return descriptor


async def send_file(
    part: FileSlice,
    descriptor: int,
    *,
    send: Callable[[dict[str, Any]], Coroutine[Any, Any, None]],
    gone: Callable[[], Coroutine[Any, Any, None]],
    stopping: asyncio.Event,
) -> None:
    """Send a part of a file as an answer's body, and close it; ends early, unfinished, where nobody reads any more.

    Args:
        part: which part.
        descriptor: of the file, from :func:`opened`.
        send: the server's.
        gone: returns when the caller has hung up.
        stopping: set once the server stops: the caller comes again for the rest.
    """
    ends = {asyncio.ensure_future(gone()), asyncio.ensure_future(stopping.wait())}
    offset, end = part.offset, part.offset + part.length
    try:
        while offset < end and not any(one.done() for one in ends):
            piece = await asyncio.to_thread(os.pread, descriptor, min(PIECE_BYTES, end - offset), offset)
            if not piece:
                return  # cut off meanwhile: an unfinished answer is known to be one
            offset += len(piece)
            message = {"type": "http.response.body", "body": piece, "more_body": offset < end}
            sending = asyncio.ensure_future(send(message))
            try:
                await asyncio.wait({sending, *ends}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()  # which does nothing to what is done
            if sending.done() and not sending.cancelled():
                sending.result()
    finally:
        for one in ends:
            one.cancel()
        os.close(descriptor)
