"""Fetch one page of the public web to add it to a library, and nothing else.

Why so careful: whoever may name an address to a server can make it ask its own network, where
routers, databases and a cloud's metadata service trust whoever is inside. So the name is resolved
here, every address that it has must be public, the connection goes to the very address that was
checked (a second look-up could give another), and each redirect is checked the same way. Size and
time are limited, and proxies of the environment are not used.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from mlx_toy.errors import UserError

MAX_URL = 2_000  # characters
REDIRECTS = 5
CHUNK = 1 << 16
TIME_LIMIT_S = 20.0  # for all of it, redirects included
AGENT = "mlx-toy (reads one page at its user's request)"
KINDS = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/pdf": ".pdf",
}
EMBEDDING = [ipaddress.ip_network(name) for name in ("64:ff9b::/96", "64:ff9b:1::/48")]  # NAT64

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebPageError(UserError):
    """A page cannot be fetched."""


@dataclass(frozen=True)
class WebPage:
    """A page as it came.

    Attributes:
        name: for the library, with a suffix that says what it is.
        url: where it was in the end.
        data: its bytes.
    """

    name: str
    url: str
    data: bytes


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, and hides none that does not."""
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if hidden is not None:
            return is_public(hidden)
        if any(address in network for network in EMBEDDING):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def fetch(
    url: str,
    max_bytes: int,
    time_limit_s: float = TIME_LIMIT_S,
    cancelled: Callable[[], bool] = lambda: False,
    may_reach: Callable[[Address], bool] = is_public,
) -> WebPage:
    """Get a page.

    Args:
        url: http or https; https if it names neither.
        max_bytes: largest page.
        time_limit_s: for all of it.
        cancelled: asked with every piece that arrives whether to stop.
        may_reach: which addresses may be asked; tests with a server of their own give another.

    Raises:
        WebPageError: with one sentence, if it cannot be had.
    """
    deadline = time.monotonic() + time_limit_s
    where = _checked(url)
    for _ in range(REDIRECTS + 1):
        with _asked(where, deadline, may_reach) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                location = answer.getheader("Location") or ""
                where = _checked(urljoin(where.geturl(), location))
                continue
            suffix = _suffix(answer, where)
            data = _read(answer, where, max_bytes, deadline, cancelled)
            return WebPage(_name(where, suffix), where.geturl(), data)
    raise WebPageError(f"{_shown(where)} leads from one address to the next: give the last one")


def _checked(url: str) -> SplitResult:
    """The parts of an address that may be asked.

    Raises:
        WebPageError: it is none.
    """
    url = url.strip()
    if "://" not in url and not url.startswith(("file:", "data:", "javascript:")):
        url = "https://" + url
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except (ValueError, UnicodeError) as error:
        raise WebPageError("this is no web address: give one such as example.org/page") from error
    if parts.scheme not in ("http", "https") or not host or len(url) > MAX_URL:
        raise WebPageError("this is no web address: give one such as example.org/page")
    if parts.username or parts.password:
        raise WebPageError("the address holds a user name: give one without")
    if any(ord(character) <= 0x20 for character in url):
        raise WebPageError("the address has a space in it: write %20 there")
    netloc = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=f"{netloc}:{port}" if port else netloc, fragment="")


@contextmanager
def _asked(
    where: SplitResult, deadline: float, may_reach: Callable[[Address], bool]
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request that is sent to an address that was checked.

    A timer ends the connection, because a timeout of the socket begins anew with every byte.
    """
    secure = where.scheme == "https"
    host, port = str(where.hostname), where.port or (443 if secure else 80)
    try:
        with _connect(host, port, _left(where, deadline), may_reach) as sock:
            if secure:
                context = ssl.create_default_context()
                sock = context.wrap_socket(
                    sock, server_hostname=host, do_handshake_on_connect=False
                )
            timer = threading.Timer(_left(where, deadline), _shut_down, [sock])
            timer.daemon = True
            timer.start()
            try:
                with sock:
                    yield _send(where, sock)
            finally:
                timer.cancel()
    except ssl.SSLError as error:
        raise WebPageError(f"{_shown(where)} has no valid certificate: give another") from error
    except (OSError, http.client.HTTPException) as error:
        _left(where, deadline)
        raise _unreachable(where, error) from error


def _send(where: SplitResult, sock: socket.socket) -> http.client.HTTPResponse:
    """Send the request, and read the answer as far as its text."""
    if isinstance(sock, ssl.SSLSocket):
        sock.do_handshake()
    connection = http.client.HTTPConnection(str(where.hostname))
    connection.sock = sock
    target = _quoted(where.path or "/") + (f"?{_quoted(where.query)}" if where.query else "")
    headers = {"Host": where.netloc, "User-Agent": AGENT, "Accept": ", ".join(KINDS)}
    headers |= {"Accept-Encoding": "identity", "Connection": "close"}
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would drop its state


def _connect(
    host: str, port: int, timeout_s: float, may_reach: Callable[[Address], bool]
) -> socket.socket:
    """A connection to the first address of a host, if all that it has may be reached."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found]
    if not all(may_reach(ipaddress.ip_address(address)) for address in addresses):
        raise WebPageError(
            f"{host} is no address of the public web: save the page and drop the file instead"
        )
    problem = OSError("no address")
    for address in dict.fromkeys(addresses):
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            problem = error
    raise problem


def _suffix(answer: http.client.HTTPResponse, where: SplitResult) -> str:
    """What the page is; only what can be read is fetched."""
    if answer.status != 200:
        raise WebPageError(f"{_shown(where)} answers with error {answer.status}: check the address")
    kind = (answer.getheader("Content-Type") or "text/html").split(";")[0].strip().lower()
    if kind not in KINDS:
        raise WebPageError(f"{_shown(where)} is no text but {kind[:60]}: give a page or a PDF")
    if (answer.getheader("Content-Encoding") or "identity").lower() != "identity":
        raise WebPageError(f"{_shown(where)} is packed: save the page and drop the file instead")
    return KINDS[kind]


def _read(
    answer: http.client.HTTPResponse,
    where: SplitResult,
    max_bytes: int,
    deadline: float,
    cancelled: Callable[[], bool],
) -> bytes:
    data = bytearray()
    while piece := answer.read1(CHUNK):
        data += piece
        if len(data) > max_bytes:
            limit = max_bytes / 2**20
            raise WebPageError(f"{_shown(where)} is larger than {limit:.3g} MB: give another")
        if cancelled():
            raise WebPageError("stopped: the page was not added")
    _left(where, deadline)  # else the end of the connection would look like the end of the page
    if not data:
        raise WebPageError(f"{_shown(where)} is empty: give another")
    return bytes(data)


def _left(where: SplitResult, deadline: float) -> float:
    """The seconds that are left."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise WebPageError(f"{_shown(where)} takes too long: try again later")
    return left_s


def _unreachable(where: SplitResult, error: Exception) -> WebPageError:
    if isinstance(error, TimeoutError):
        return WebPageError(f"{_shown(where)} takes too long: try again later")
    return WebPageError(f"{_shown(where)} cannot be reached: check the address")


def _quoted(part: str) -> str:
    """A part of an address with what is not ASCII in percent signs; those that are there stay."""
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in part)


def _shown(where: SplitResult) -> str:
    return (where.netloc + where.path)[:120]


def _name(where: SplitResult, suffix: str) -> str:
    """A name for the page: its host, and the last part of its path."""
    last = unquote(where.path.rstrip("/").rpartition("/")[2])
    last = re.sub(r"\.(html?|xhtml|txt|md|csv|pdf|php|aspx?)$", "", last, flags=re.IGNORECASE)
    words = " ".join(re.sub(r"[\W_]+", " ", last).split())[:80]
    return " ".join(filter(None, (str(where.hostname), words))) + suffix
