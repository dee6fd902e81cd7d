"""A Hugging Face hub on loopback: one repository, with the two answers that its client asks for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """What is published, what is stated of it, and what was asked."""

    repository: str
    files: dict[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    large_bytes: int = 1_000  # from here on the SHA-256 is stated
    sent: dict[str, bytes] = field(default_factory=dict)  # in place of what is stated
    downloads: list[str] = field(default_factory=list)
    downloaded_from: set[str] = field(default_factory=set)  # revisions
    endpoint: str = ""

    def described(self, revision: str) -> dict[str, Any]:
        siblings = [self._sibling(name, content) for name, content in self.files.items()]
        return {"id": self.repository, "sha": self.revisions[revision], "siblings": siblings}

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        told: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if len(content) >= self.large_bytes:
            sha256 = hashlib.sha256(content).hexdigest()
            told["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return told


@contextmanager
def running_hub(hub: FakeHub) -> Iterator[FakeHub]:
    """Serves it until the block ends."""

    class Handler(_Handler):
        published = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    published: FakeHub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test tells what was asked."""

    def _answer(self, with_body: bool) -> None:
        hub, path = self.published, self.path.partition("?")[0]
        api, resolve = f"/api/models/{hub.repository}/revision/", f"/{hub.repository}/resolve/"
        known = {*hub.revisions, *hub.revisions.values()}
        if path.startswith(api) and path.removeprefix(api) in known:
            revision = path.removeprefix(api)
            hub.revisions.setdefault(revision, revision)
            self._send(json.dumps(hub.described(revision)).encode(), {}, with_body)
        elif path.startswith(resolve) and path.removeprefix(resolve).partition("/")[2] in hub.files:
            revision, _, name = path.removeprefix(resolve).partition("/")
            content = hub.sent.get(name, hub.files[name])
            if with_body:
                hub.downloads.append(name)
                hub.downloaded_from.add(revision)
            etag = hashlib.sha256(content).hexdigest()
            self._send(content, {"X-Repo-Commit": revision, "ETag": f'"{etag}"'}, with_body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)
