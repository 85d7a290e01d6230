"""A streaming server on loopback, told its time to first token and its gap between tokens; it keeps its own send stamps.

In a thread for most tests, or as a program of its own (`python tests/probes/fake_server.py 0.05 0.01`), which prints its port.
"""

import asyncio
import json
import sys
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """How it answers.

    ttft_s, itl_s: waits before the first and before each further token
    words_before: tokens that its chat template adds to a prompt
    role_chunk: whether an empty role chunk comes at once, as vLLM sends it
    text_every: only every so manyth token has text, as with random weights
    greeting: whether an empty text comes at once, no token
    reasoning: tokens of reasoning before the answer
    fail_every: each request whose number it divides fails with HTTP 500; 0 for none
    fail_after: every request after so many fails with HTTP 500; 0 for none
    refuses: options that it answers with HTTP 400
    usage: whether it sends usage when asked
    cached_tokens: what it says it had in its prefix cache
    timings: what llama-server would say of its own work in the last event: None for nothing
    closes: whether it closes the connection after each answer, as llama-server does, without saying so
    timings_each: whether it says so in every event
    trick: '', 'truncate', 'bad_json', 'endless', 'long_line', 'redirect', 'html', 'stall', 'cut', 'error_event', 'huge_header',
        'drip', 'hang_up', 'claims_10_gb', 'deep_json', 'many_headers'
    listing: bytes that it answers to GET /models with, empty for a proper list; b'drip' never ends
    models: names in its model list
    version: what it answers to GET /version, beside /v1; empty for nothing
    """

    ttft_s: float = 0.0
    itl_s: float = 0.0
    words_before: int = 7
    role_chunk: bool = True
    text_every: int = 1
    greeting: bool = False
    reasoning: int = 0
    fail_every: int = 0
    fail_after: int = 0
    refuses: tuple[str, ...] = ()
    usage: bool = True
    cached_tokens: int = 0
    timings: dict | None = None
    timings_each: bool = False
    closes: bool = False
    trick: str = ""
    models: tuple[str, ...] = ("fake-model",)
    listing: bytes = b""
    version: str = ""


@dataclass
class FakeServer:
    """The server; use it as a context manager, `url` is its base address."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    requests: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: list[list[float]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    port: int = 0

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _serve(self, started):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.listen())
        started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._server.close()
        self._loop.close()

    async def listen(self):
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.headers.append(headers)
                await self._answer(lines[0].split(" ")[1], json.loads(body or b"{}"), writer)
                if self.behaviour.closes:
                    await asyncio.sleep(0.001)
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, path, body, writer):
        if path.endswith("/models") and self.behaviour.listing:
            return await self._listing(self.behaviour.listing, writer)
        if path.endswith("/models"):
            data = [{"id": name, "object": "model", "owned_by": "vllm"} for name in self.behaviour.models]
            return await self._whole(writer, "200 OK", json.dumps({"object": "list", "data": data}))
        if path == "/version":
            return await self._whole(writer, *(("200 OK", self.behaviour.version) if self.behaviour.version else ("404 Not Found", "")))
        self.requests.append(body)
        refused = [name for name in self.behaviour.refuses if name in body]
        if refused:
            return await self._whole(writer, "400 Bad Request", json.dumps({"error": f"unknown option {refused[0]}"}))
        broken = self.behaviour.fail_after and len(self.requests) > self.behaviour.fail_after
        if broken or (self.behaviour.fail_every and len(self.requests) % self.behaviour.fail_every == 0):
            return await self._whole(writer, "500 Internal Server Error", "broken")
        if self.behaviour.trick == "hang_up":
            return writer.close()
        if self.behaviour.trick == "redirect":
            return await self._whole(writer, "302 Found", "", "Location: http://10.0.0.1/\r\n")
        if self.behaviour.trick == "html":
            return await self._whole(writer, "200 OK", "<html>hello</html>")
        if self.behaviour.trick == "claims_10_gb":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10000000000\r\n\r\n")
            while True:
                writer.write(b": nothing yet\n" * 10_000)
                await writer.drain()
        if self.behaviour.trick == "many_headers":
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X-More: header\r\n" * 1000)
                await writer.drain()
        if self.behaviour.trick == "huge_header":
            writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 5_000_000 + b"\r\n\r\n")
            return await writer.drain()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._stream(body, writer)
        finally:
            self.in_flight -= 1

    async def _listing(self, listing, writer):
        if listing != b"drip":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(listing), listing))
            return await writer.drain()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            writer.write(b" " * 100_000)
            await writer.drain()

    async def _whole(self, writer, status, text, more=""):
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(text.encode())}\r\n{more}\r\n{text}".encode())
        await writer.drain()

    async def _stream(self, body, writer):
        behaviour, stamps = self.behaviour, []
        self.sent.append(stamps)
        due = time.perf_counter() + behaviour.ttft_s
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        if behaviour.role_chunk:
            self._event(writer, {"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        if behaviour.greeting:
            self._event(writer, {"choices": [{"delta": {"content": ""}}]})
        tokens = int(body.get("max_tokens") or body.get("max_completion_tokens"))
        for number in range(tokens if behaviour.trick != "endless" else 10**9):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += behaviour.itl_s
            part = "reasoning_content" if number < behaviour.reasoning else "content"
            stamps.append(time.perf_counter())
            so_far = {"timings": (behaviour.timings or {}) | {"predicted_n": number + 1}} if behaviour.timings_each else {}
            self._event(writer, {"choices": [{"delta": {part: "" if (number + 1) % behaviour.text_every else "word "}}]} | so_far)
            await writer.drain()
            if behaviour.trick and number == 2 and await self._trick(behaviour.trick, writer):
                return
        last = {"timings": behaviour.timings} if behaviour.timings is not None else {}
        self._event(writer, {"choices": [{"delta": {}, "finish_reason": "length"}]} | last)
        if behaviour.usage and body.get("stream_options", {}).get("include_usage"):
            self._event(writer, {"choices": [], "usage": self._usage(body, tokens)})
        self._chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _usage(self, body, tokens):
        prompt = len(body["messages"][0]["content"].split()) * 2 + self.behaviour.words_before
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
        if self.behaviour.cached_tokens:
            usage["prompt_tokens_details"] = {"cached_tokens": self.behaviour.cached_tokens}
        if self.behaviour.reasoning:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.behaviour.reasoning}
        return usage

    async def _trick(self, trick, writer):
        if trick == "truncate":
            writer.write(b"0\r\n\r\n")
        elif trick == "cut":
            writer.transport.abort()
        elif trick == "bad_json":
            self._chunk(writer, b"data: {not json\n\n")
            writer.write(b"0\r\n\r\n")
        elif trick == "error_event":
            self._event(writer, {"error": {"message": "out of memory"}})
            writer.write(b"0\r\n\r\n")
        elif trick == "long_line":
            for _ in range(50):
                self._chunk(writer, b"x" * 100_000)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        elif trick == "deep_json":
            self._chunk(writer, b"data: " + b"[" * 100_000 + b"\n\n")
            writer.write(b"0\r\n\r\n")
        elif trick == "drip":
            while True:
                self._chunk(writer, b"\n")
                await writer.drain()
        elif trick == "stall":
            await asyncio.sleep(600)
        else:
            return False
        await writer.drain()
        return True

    def _event(self, writer, event):
        self._chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, writer, data):
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def _main(ttft_s, itl_s):
    server = FakeServer(Behaviour(ttft_s=ttft_s, itl_s=itl_s))
    await server.listen()
    print(server.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(json.dumps(server.sent))


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1]), float(sys.argv[2])))
