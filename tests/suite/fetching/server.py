"""A web server on this machine that breaks connections, resumes ranges, and sends what it should not."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Site:
    """What the server has, and what it was asked for.

    Attributes:
        files: Path to contents.
        breaks: Path to the numbers of bytes after which its next answers break off.
        ranges: Whether it can send the rest of a file.
        weak: Whether its tags promise no more than much the same contents.
        shift: How many bytes too early a rest of a file begins.
        pause: Seconds to wait after each byte.
        status: Path to another status than 200.
        asked: Every request: path and the header Range.
        address: Where it is.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    weak: bool = False
    shift: int = 0
    pause: float = 0.0
    status: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving() -> Iterator[Site]:
    """Run a server on a free port of this machine."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range")))
            if status := site.status.get(self.path):
                self.send_error(status)
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            tag = f'W/"{self.path}"' if site.weak else f'"{hash(content)}"'
            start = 0
            asked = self.headers.get("Range")
            if site.ranges and asked and self.headers.get("If-Range", tag) == tag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start > len(content):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - max(start - site.shift, 0)))
            self.send_header("ETag", tag)
            if start:
                first = start - site.shift
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            rest = content[max(start - site.shift, 0) if start else 0 :]
            if site.breaks.get(self.path):
                rest = rest[: site.breaks[self.path].pop(0)]
            for byte in rest if site.pause else ():
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                waiting.wait(site.pause)
            if not site.pause:
                self.wfile.write(rest)

        def log_message(self, *args: object) -> None:
            pass

    waiting = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        waiting.set()
        server.shutdown()
        server.server_close()


@dataclass
class Hub:
    """A data set of a Hub.

    Attributes:
        files: Revision to names and contents; its commit is a digit of the revision, forty times.
        broken: Names that are answered with an error.
        asked: The paths of all requests.
        address: Where it is.
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def commit(self, revision: str) -> str:
        """Return the commit of a revision, or the commit itself."""
        return revision if len(revision) == 40 else f"{list(self.files).index(revision)}" * 40

    def tree(self, revision: str) -> dict[str, bytes]:
        """Return the files of a revision or a commit."""
        commits = {self.commit(name): files for name, files in self.files.items()}
        return commits[self.commit(revision)]


@contextmanager
def hub_serving() -> Iterator[Hub]:
    """Run a Hub on a free port of this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, *, body: bool = True) -> None:
            path = unquote(self.path.split("?")[0])
            hub.asked.append(path)
            status, headers, content = 200, {}, b""
            if path.startswith("/api/datasets/"):
                content = json.dumps(self.answer(path.split("/"))).encode()
                headers = {"Content-Type": "application/json"}
            else:
                revision, name = path.split("/resolve/")[1].split("/", 1)
                content = hub.tree(revision)[name]
                tag = hashlib.sha1(content).hexdigest()
                headers = {"X-Repo-Commit": hub.commit(revision), "ETag": f'"{tag}"'}
                if name in hub.broken:
                    status, content = 500, b""
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def answer(self, parts: list[str]) -> object:
            where = next((word for word in ("revision", "tree") if word in parts), "")
            revision = parts[parts.index(where) + 1] if where else "main"
            files = hub.tree(revision)
            if where == "tree":
                return [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(content),
                        "oid": hashlib.sha1(content).hexdigest(),
                    }
                    for name, content in files.items()
                ]
            known = {"id": "me/films", "sha": hub.commit(revision), "private": False, "gated": False}
            return {**known, "tags": [], "downloads": 0, "siblings": [{"rfilename": name} for name in files]}

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
