"""Start the app and stop it again: the `python app.py` command.

The address is printed as soon as it answers, and the model loads from then on (`loading.py`). Why
not while Gradio is imported, which takes most of the time until then: importing is one long hold of
the interpreter's lock, so that side by side both took longer (2 cores: the page after 17 s instead
of 9, the model after 17 s instead of 14).
"""

import argparse
import errno
import importlib.util
import os
import signal
import socket
import sys
import threading

from mlx_toy.errors import UserError
from mlx_toy.settings import Settings, add_arguments, from_options

FIRST_PORT, PORTS = 7860, 100
# What a request to this machine alone may call it; "[" is what older releases of Starlette make of
# every IPv6 address. Only names can be pointed at another machine, and none begins so.
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]", "[")


def main(argv: list[str] | None = None) -> int:
    """Run the app until it is interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="app.py", description="Open the chat in a browser.")
    add_arguments(parser)
    parser.add_argument(
        "--mcp", action="store_true", help="offer the documents as tools to MCP clients, too"
    )
    options = parser.parse_args(argv)
    try:
        settings = from_options(options)
        if options.mcp:
            check_mcp()
        serve(settings, choose_port(settings.host, settings.port), options.mcp)
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


def choose_port(host: str, port: int | None) -> int:
    """The port to listen on: the one asked for, or the first free one from 7860.

    Raises:
        UserError: it is taken, or this computer has no such address.
    """
    if port is not None:
        return _bound(host, port)
    for candidate in range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return _bound(host, candidate)
        except PortTakenError:
            continue
    last = FIRST_PORT + PORTS - 1
    raise UserError(f"the ports {FIRST_PORT} to {last} are all in use: name a free one with --port")


class PortTakenError(UserError):
    """Somebody else listens there."""


def _bound(host: str, port: int) -> int:
    """The number of a port that can be listened on; 0 lets the system choose one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # else a port is taken for a minute after the last app has ended
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise UserError(f"port {port} needs special rights: choose one over 1023") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"port {port} is in use: stop what runs there, or choose another with --port"
                ) from error
            raise UserError(f"--host {host} is no address of this computer") from error
        return int(probe.getsockname()[1])


def check_mcp() -> None:
    """Look for what MCP needs beside Gradio.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise UserError("--mcp needs one more package: pip install -r requirements.txt")


def serve(settings: Settings, port: int, mcp: bool = False) -> None:
    """Listen on a free port until SIGINT or SIGTERM, then close the engine and the library."""
    from mlx_toy.assistant import Assistant
    from mlx_toy.ui.loading import Loading

    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    loading = Loading(lambda: Assistant.load(settings))

    from mlx_toy.ui.page import build, launch

    page = build(settings, loading)
    try:
        launch(page, settings, port, mcp)
        address = f"http://{shown_host(settings.host)}:{port}"
        print(f"mlx-toy is listening on {address}", flush=True)
        if mcp:
            print(f"MCP clients connect to {address}/gradio_api/mcp/", flush=True)
        loading.start()
        ended.wait()
    except OSError as error:  # somebody took the port since it was chosen
        raise UserError(f"port {port} was taken meanwhile: start again") from error
    finally:
        page.close(verbose=False)
        loading.close()


def trusted_hosts(host: str) -> list[str]:
    """The hosts that a request may name, "*" for any, where the server listens on `host`.

    On an address of this machine alone no other is trusted: a page in the owner's browser could
    otherwise reach the documents by a name that it controls (DNS rebinding).
    """
    return list(LOOPBACK) if host in LOOPBACK else ["*"]


def shown_host(host: str) -> str:
    """A host as it stands in an address that can be opened."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
