"""A model server on loopback that writes its own clock into every event, so that the client itself can be measured.

Each event says when the request was read (id) and when the event left (content). `python -m probes.loopback TTFT_S GAP_S`
prints its port and serves until its standard input closes. The clock is the monotonic
one, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass

MODEL = "loopback"


@dataclass(kw_only=True)
class LoopbackServer:
    """The server.

    ttft_s: wait before the first event
    gap_s: wait before each further one
    """

    ttft_s: float
    gap_s: float

    async def listen(self) -> int:
        """Begin, and return the port."""
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    def text(self, began: float, now: float, number: int) -> str:
        """Text of the event of that number in an answer whose request was read at `began`: when it leaves."""
        return f"{now:.6f}"

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
                body = await reader.readexactly(int(length.partition(b":")[2]))
                began = time.perf_counter()
                if head.startswith(b"GET"):
                    text = json.dumps({"object": "list", "data": [{"id": MODEL, "owned_by": "rightsize"}]}).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
                else:
                    await self._answer(json.loads(body), began, writer)
                await writer.drain()
        writer.close()

    async def _answer(self, body: dict[str, int], began: float, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        tokens, clock = int(body.get("max_tokens") or body["max_completion_tokens"]), time.perf_counter
        for number in range(tokens):
            await asyncio.sleep(max(0.0, began + self.ttft_s + number * self.gap_s - clock()))
            if writer.is_closing():
                return  # the client has gone: nobody reads the rest
            text = self.text(began, clock(), number).encode()
            _event(writer, b'{"id":"%.6f","choices":[{"delta":{"content":"%s"}}]}' % (began, text))
        words = len(str(body["messages"]).split())
        usage = b'{"prompt_tokens":%d,"completion_tokens":%d}' % (words, tokens)
        _event(writer, b'{"choices":[{"delta":{},"finish_reason":"length"}],"usage":%s}' % usage)
        _event(writer, b"[DONE]")
        writer.write(b"0\r\n\r\n")


def _event(writer: asyncio.StreamWriter, data: bytes) -> None:
    event = b"data: " + data + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(event), event))


async def _serve(ttft_s: float, gap_s: float) -> None:
    server = LoopbackServer(ttft_s=ttft_s, gap_s=gap_s)
    port = await server.listen()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), float(sys.argv[2])))
