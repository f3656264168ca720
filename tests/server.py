"""A web server on loopback that behaves as a test tells it, well or badly."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Served:
    """What the server has under a path, and how it gives it away."""

    body: bytes
    kind: str = "application/octet-stream"
    etag: str | None = '"one"'
    ranges: bool = True
    length: bool = True
    most: int | None = None
    """Bytes of an answer with a part, at most; the server says so, and breaks nothing off."""
    cut: list[int] = field(default_factory=list)
    """Bytes after which successive answers break off."""
    answers: list[int] = field(default_factory=list)
    """Status codes of successive answers before the right one."""
    headers: dict[str, str] = field(default_factory=dict)
    to: str | None = None
    """Where it sends everybody instead."""
    login: str | None = None
    """`name:password` that it asks for."""
    pause: float = 0.0
    """Seconds between two pieces of `piece` bytes."""
    piece: int = 1 << 14

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class Server:
    """The files by path, and what was asked for."""

    port: int
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0

    def url(self, path: str, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}{path}"

    def ranges(self, path: str) -> list[str | None]:
        """The parts that were asked for, in order."""
        return [headers.get("range") for asked, headers in self.asked if urlsplit(asked).path == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        told = self.server.told
        headers = {name.lower(): value for name, value in self.headers.items()}
        told.asked.append((self.path, headers))
        one = told.files.get(urlsplit(self.path).path)
        if one is None:
            return self._answer(404)
        wanted = one.login and "Basic " + base64.b64encode(one.login.encode()).decode()
        if wanted and headers.get("authorization") != wanted:
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="files"'})
        if one.answers:
            return self._answer(one.answers.pop(0), one.headers)
        if one.to:
            return self._answer(302, {"Location": one.to})
        return self._give(one, headers)

    def _answer(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, one: Served, headers: dict[str, str]) -> None:
        start = 0
        if one.ranges and "range" in headers and headers.get("if-range", one.etag) == one.etag:
            start = int(headers["range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(one.body):
                return self._answer(416, {"Content-Range": f"bytes */{len(one.body)}"})
        end = min(len(one.body), start + (one.most or len(one.body))) if start else len(one.body)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(one.body)}")
        if one.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if one.etag:
            self.send_header("ETag", one.etag)
        self.send_header("Content-Type", one.kind)
        if one.length:
            self.send_header("Content-Length", str(end - start))
        self.close_connection = not one.length
        self.end_headers()
        self._write(one, one.body[start:end])
        return None

    def _write(self, one: Served, body: bytes) -> None:
        cut = one.cut.pop(0) if one.cut else len(body)
        for at in range(0, min(cut, len(body)), one.piece):
            piece = body[at : min(at + one.piece, cut)]
            self.wfile.write(piece)
            self.wfile.flush()
            self.server.told.sent += len(piece)
            time.sleep(one.pause)
        self.close_connection |= cut < len(body)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    told: Server

    def handle_error(self, *_: object) -> None:
        """A client that hangs up, or is killed, is what tests do."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the length of a block."""
    with _Http(("127.0.0.1", 0), _Handler) as http:
        http.told = Server(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield http.told
        finally:
            http.shutdown()
