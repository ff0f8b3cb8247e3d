# SPDX-License-Identifier: GPL-3.0-or-later
"""A package mirror on loopback that can be told to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Mirror:
    """Files by path; `requests` are (path, Range header). `cut`: how many bytes of an answer's body arrive,
    one number an answer.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    ranges: bool = True
    status: int = 0
    cut: list[int] = field(default_factory=list)
    stall: threading.Event | None = None
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path in self.mirror.files else 404)
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.mirror.requests.append((self.path, asked))
        if self.mirror.status:
            self.send_error(self.mirror.status)
        elif self.path not in self.mirror.files:
            self.send_error(404)
        else:
            self._send(self.mirror.files[self.path], asked if self.mirror.ranges else "")

    def _send(self, content: bytes, asked: str) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", asked)
        start = int(match[1]) if match else 0
        if match and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body[: self.mirror.cut.pop(0)] if self.mirror.cut else body)
        if self.mirror.stall is not None:
            self.wfile.flush()
            self.mirror.stall.wait(60)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(**how: object) -> Iterator[Mirror]:
    mirror = Mirror(**how)  # type: ignore[arg-type]
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    mirror.address = f"http://127.0.0.1:{server.server_address[1]}/debian/"
    try:
        yield mirror
    finally:
        if mirror.stall is not None:
            mirror.stall.set()
        server.shutdown()
        server.server_close()
