"""Serves moto's S3 in this process until its standard input closes; `server.py` starts it.

It listens on a free loopback port and prints it. It differs from moto's own server in two things.
Changes are made one at a time, because moto looks and then writes without a lock, so that two
conditional puts at once could both succeed, which no S3 does. And it counts the requests it sees.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def kind_of(environ: dict[str, Any]) -> str:
    """The kind of request, as raybackfill's meter names them, told from the request itself."""
    method: str = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if method == "GET":
        return "list" if "list-type" in query else "get"
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "copy"
    return {"HEAD": "head", "PUT": "put", "POST": "put", "DELETE": "delete"}.get(method, method)


class OneChangeAtATime:
    """A WSGI application around moto's. A GET of `requests_path` is answered with how many requests
    of each kind came so far, as a JSON object."""

    def __init__(self, application: Application, requests_path: str) -> None:
        self._application = application
        self._requests_path = requests_path
        self._changing = threading.Lock()
        self._counting = threading.Lock()
        self._requests: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == self._requests_path:
            return self._answer(start_response)
        with self._counting:
            self._requests[kind_of(environ)] += 1
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._application(environ, start_response)
        _receive(environ)
        with self._changing:
            return list(self._application(environ, start_response))

    def _answer(self, start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._counting:
            body = json.dumps(self._requests).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _receive(environ: dict[str, Any]) -> None:
    """Take the whole body in before the lock, so that a slow sender keeps nobody waiting."""
    size = environ.get("CONTENT_LENGTH")
    if size:
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(size)))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(requests_path: str) -> None:
    """Serve until standard input closes, as it does when whoever started this is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A line for each request would fill the disk of whoever runs it for long.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = OneChangeAtATime(DomainDispatcherApplication(create_backend_app), requests_path)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
