"""A slow connection to a server, which can be cut."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 64 * 1024


class Link:
    """A way to a port of this machine, on which each byte takes so many milliseconds."""

    def __init__(self, milliseconds: float) -> None:
        self.target = 0
        self.port = 0
        self.set_milliseconds(milliseconds)
        self.is_open = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def set_milliseconds(self, milliseconds: float) -> None:
        """Set how long each byte takes from now on."""
        self._seconds = milliseconds / 1000

    def cut(self) -> None:
        """End all connections. What is on its way is lost."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def serve(self) -> None:
        """Listen on a free port until ``close()``."""
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._carry, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.is_open.set()
            await self._is_over.wait()
            await self._cut()

    def close(self) -> None:
        """Listen no longer."""
        self._loop.call_soon_threadsafe(self._is_over.set)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, target}
        ways = asyncio.gather(self._pass_on(reader, target), self._pass_on(target_reader, writer))
        with suppress(OSError):
            await ways

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            self._loop.call_later(self._seconds, self._deliver, writer, data)
        self._loop.call_later(self._seconds, self._end, writer)

    def _deliver(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer in self._writers:
            writer.write(data)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        # A forked process may have the socket too, so closing it would not end the connection.
        with suppress(OSError):
            writer.write_eof()
        writer.close()

    async def _cut(self) -> None:
        for writer in [*self._writers]:
            self._end(writer)


@contextmanager
def running_link(milliseconds: float) -> Iterator[Link]:
    """Run a link until the block ends. Set its ``target`` before anybody uses it."""
    link = Link(milliseconds)
    thread = threading.Thread(target=asyncio.run, args=[link.serve()])
    thread.start()
    link.is_open.wait()
    try:
        yield link
    finally:
        link.close()
        thread.join()
