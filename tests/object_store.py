"""An object store on this machine that speaks as much of S3 as archives take, slow or failing if asked to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_PAGE = 1000


class ObjectStore:
    """Objects by bucket and name.

    Attributes:
        objects: content by ``/bucket/name``.
        latency: seconds before each answer.
        fail_every: so many-th request is refused for the moment, 0 for none.
        broken_after: number of objects that can be put before all is refused for good; None for no end.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.latency = 0.0
        self.fail_every = 0
        self.broken_after: int | None = None
        self.requests = count(1)
        self.failures = 0
        self.puts: list[str] = []
        self.address = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and content."""
        time.sleep(self.latency)
        if self.fail_every and next(self.requests) % self.fail_every == 0:
            self.failures += 1
            return 503, b""
        url = urlsplit(path)
        name, query = unquote(url.path), parse_qs(url.query, keep_blank_values=True)
        if method == "PUT":
            if self.broken_after is not None and len(self.puts) >= self.broken_after:
                return 403, b"<Error><Code>AccessDenied</Code><Message>no more</Message></Error>"
            self.puts.append(name)
            self.objects[name] = body
            return 200, b""
        if "list-type" in query:
            return 200, self._listing(name.rstrip("/"), query)
        if name not in self.objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        return 200, self.objects[name]

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter, after = (
            query.get(each, [""])[0] for each in ("prefix", "delimiter", "continuation-token")
        )
        names = sorted(n.removeprefix(f"{bucket}/") for n in list(self.objects) if n.startswith(f"{bucket}/"))
        names = [name for name in names if name.startswith(prefix)]
        folders = set()
        if delimiter:
            rests = {name: name.removeprefix(prefix) for name in names}
            folders = {
                prefix + r.partition(delimiter)[0] + delimiter for r in rests.values() if delimiter in r
            }
            names = [name for name, rest in rests.items() if delimiter not in rest]
        found = [name for name in names if name > after][:_PAGE]
        more = bool(found) and found[-1] != names[-1]
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[f'{bucket}/{name}'])}</Size>"
            f"<LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
            for name in found
        )
        prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders)
        token = f"<NextContinuationToken>{escape(found[-1])}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<KeyCount>{len(found) + len(folders)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{contents}{prefixes}{token}</ListBucketResult>"
        ).encode()


@contextmanager
def serving(store: ObjectStore) -> Iterator[str]:
    """The address of a store, while it is served."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = store.answer(self.command, self.path, body)
            if status == 200 and (wanted := self.headers.get("Range")) and self.command == "GET":
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                content = (
                    content[int(first) : int(last) + 1 if last else None] if first else content[-int(last) :]
                )
                status = 206
            self.send_response(status)
            self.send_header("ETag", f'"{md5(content, usedforsecurity=False).hexdigest()}"')
            self.send_header("Last-Modified", formatdate(0, usegmt=True))
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
