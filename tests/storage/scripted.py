"""An HTTP server on loopback that answers as a test says: what no well-behaved S3 does on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """A reply; one of status 0 is none at all: the connection closes. `announced` is its
    Content-Length, where that is not the truth."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None


def error(status: int, code: str) -> Answer:
    """S3's reply that refuses a request."""
    return Answer(status, f"<Error><Code>{code}</Code><Message>it says {code}</Message></Error>".encode())


Script = Callable[[str, str, dict[str, str], bytes], Answer]
"""From method, path with query, headers (lower case) and body to the answer."""


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The URL of a server that answers by the script, one request at a time."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                answer = script(self.command, self.path, headers, body)
            self.close_connection = True
            if answer.status == 0:
                return
            self.send_response(answer.status)
            size = len(answer.body) if answer.announced is None else answer.announced
            for name, value in {"Content-Length": str(size), "Connection": "close", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = reply  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
