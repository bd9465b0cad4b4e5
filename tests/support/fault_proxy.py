"""A proxy on loopback between a client and a server that breaks the way between them on command, and counts bytes."""

import asyncio
import threading

_REFUSALS = {
    "busy": ("503 Service Unavailable", "SlowDown", "Please reduce your request rate."),
    "expired": ("403 Forbidden", "ExpiredToken", "The provided token has expired."),
    "denied": ("403 Forbidden", "AccessDenied", "Access Denied."),
    "skewed": ("403 Forbidden", "RequestTimeTooSkewed", "The difference between the times is too large."),
}
_SLOW_BYTES_S = 200_000
_FAR_S = 0.03


class FaultProxy:
    """Modes: `pass`; `cut` closes every connection; `slow` trickles; `far` lets each request wait; `truncate` closes amid
    an answer; or a refusal."""

    def __init__(self, port):
        self._upstream = port
        self._mode = "pass"
        self._writers = set()
        self.received = 0
        self.requests = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def _call(self, made):
        return asyncio.run_coroutine_threadsafe(made, self._loop).result(30)

    def be(self, mode):
        """Behave so from now on; connections made before are closed."""

        async def change():
            self._mode = mode
            for writer in list(self._writers):
                writer.transport.abort()

        self._call(change())

    def stop(self):
        async def end():
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            if self._mode == "cut":
                return
            if self._mode in _REFUSALS:
                await self._refuse(reader, writer, *_REFUSALS[self._mode])
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._writers.add(up_writer)
            try:
                pumps = [self._pump(reader, up_writer, is_answer=False), self._pump(up_reader, writer, is_answer=True)]
                await asyncio.gather(*pumps, return_exceptions=True)
            finally:
                self._writers.discard(up_writer)
                up_writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _refuse(self, reader, writer, status, code, message):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            if b"expect" not in fields:
                await reader.readexactly(int(fields.get(b"content-length", 0)))
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            if head.startswith(b"HEAD"):
                body = b""
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n".encode()
            )
            writer.write(b"Connection: close\r\n\r\n" + body)
            await writer.drain()
            return

    async def _pump(self, reader, writer, *, is_answer):
        while data := await reader.read(4096 if self._mode == "slow" else 65536):
            if is_answer:
                self.received += len(data)
            elif (heads := data.count(b" HTTP/1.1\r\n")) > 0:
                self.requests += heads
                await asyncio.sleep(_FAR_S if self._mode == "far" else 0)
            if self._mode == "slow":
                await asyncio.sleep(len(data) / _SLOW_BYTES_S)
            if is_answer and self._mode == "truncate" and len(data) > 2000:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                writer.transport.abort()
                return
            writer.write(data)
            await writer.drain()
        writer.write_eof()
