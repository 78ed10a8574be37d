"""Fetching a web page: from a server of the test's own, and from nowhere that is not public."""

import ipaddress
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlx_toy.web_page import WebPageError, fetch, is_public

LIMIT = 100_000
PAGE = "<html><head><title>Wellmouth</title></head><body><p>Ada baked bread.</p></body></html>"


class Handler(BaseHTTPRequestHandler):
    """A page, a file, and ways to be difficult."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in ("/page", "/caf%C3%A9"):
            self.answer(PAGE.encode(), "text/html; charset=utf-8")
        elif path == "/notes.txt":
            self.answer(b"Walnuts.", "text/plain")
        elif path == "/picture":
            self.answer(b"\x89PNG", "image/png")
        elif path == "/big":
            self.answer(b"x" * (LIMIT + 1), "text/plain")
        elif path == "/packed":
            self.answer(b"x", "text/plain", {"Content-Encoding": "gzip"})
        elif path == "/empty":
            self.answer(b"", "text/plain")
        elif path.startswith("/to/"):
            self.answer(b"", "text/plain", {"Location": path.removeprefix("/to/")}, 302)
        elif path == "/loop":
            self.answer(b"", "text/plain", {"Location": "/loop"}, 301)
        elif path == "/drip":
            self.drip()
        else:
            self.answer(b"no", "text/plain", status=404)

    def answer(
        self, data: bytes, kind: str, more: dict[str, str] | None = None, status: int = 200
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def drip(self) -> None:
        """A byte now and then, so that no single read takes long."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(url: str, **more):
    """Fetch with the loopback address allowed, and no other that is not public."""
    may_reach = {"may_reach": lambda address: address.is_loopback or is_public(address)}
    return fetch(url, LIMIT, **{**may_reach, **more})


def test_a_page_comes_with_a_name_that_says_what_it_is(site: str):
    page = get(f"{site}/page?x=1#part")
    assert page.data.decode() == PAGE and page.name == "127.0.0.1 page.html"
    assert get(f"{site}/notes.txt").name == "127.0.0.1 notes.txt"
    assert get(f"{site}/café").name == "127.0.0.1 café.html"


def test_redirects_are_followed_and_each_is_checked(site: str):
    assert get(f"{site}/to//page").data.decode() == PAGE
    with pytest.raises(WebPageError, match="leads from one address to the next"):
        get(f"{site}/loop")
    for target in ("http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1%25lo]/"):
        with pytest.raises(WebPageError):
            get(f"{site}/to/{target}")
    with pytest.raises(WebPageError, match="no web address"):
        get(f"{site}/to/file:///etc/passwd")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("picture", "is no text but image/png"),
        ("big", "is larger than"),
        ("packed", "is packed"),
        ("empty", "is empty"),
        ("nothing", "error 404"),
    ],
)
def test_what_cannot_be_added_is_said_in_a_sentence(site: str, path: str, reason: str):
    with pytest.raises(WebPageError, match=reason):
        get(f"{site}/{path}")


def test_a_page_that_drips_ends_at_the_time_limit(site: str):
    began = time.monotonic()
    with pytest.raises(WebPageError, match="takes too long"):
        get(f"{site}/drip", time_limit_s=0.5)
    assert time.monotonic() - began < 3


def test_fetching_can_be_cancelled(site: str):
    with pytest.raises(WebPageError, match="stopped"):
        get(f"{site}/drip", cancelled=lambda: True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://192.168.1.1/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://224.0.0.1/",
    ],
)
def test_an_address_that_is_not_public_is_not_asked(url: str):
    with pytest.raises(WebPageError, match="no address of the public web"):
        fetch(url, LIMIT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://",
        "javascript:alert(1)",
        "http://a b/",
        "http://user:word@example.org/",
        "http://example.org:99999/",
        "http://" + "x" * 3_000,
    ],
)
def test_what_is_no_web_address_is_refused(url: str):
    with pytest.raises(WebPageError):
        fetch(url, LIMIT)


def test_public_addresses_may_be_asked():
    for address in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"):
        assert is_public(ipaddress.ip_address(address))
