"""Read the text of one file from standard input, in a process of its own that may be killed.

Why: a PDF, a Word file or a web page is work that strangers set; a hostile or broken one may loop,
eat memory or crash the parser. `mlx_toy/format_process.py` starts this as a fresh interpreter with
a time limit, and it limits its own memory, processor time and output before it parses anything. The
bytes come through a pipe: what is read is what was checked, whatever becomes of the file.

Run:  python -P -m mlx_toy.formats KIND LIMITS < FILE
      with LIMITS as JSON and KIND "pdf", "page" (of a PDF, as a picture), "zip" (Word or EPUB),
      "html", "csv" or "tsv"

It writes JSON lines, in the words of `output.py`, and last {"done": true} or {"error": CODE}.
"""

import json
import logging
import os
import sys
import threading
import time
from importlib import import_module

from mlx_toy.formats.output import Output, Refused

WATCH_S = 0.02  # between two looks at the memory that is held
READERS = {
    "pdf": "pdf",
    "page": "pdf_page",
    "zip": "archive",
    "html": "html",
    "csv": "csv_table",
    "tsv": "csv_table",
}


def limit_resources(memory_bytes: int, cpu_seconds: int) -> None:
    """Lower this process's limits; systems without one of them (macOS, Windows) go on without."""
    try:
        import resource
    except ImportError:
        return
    for name, value in (
        ("RLIMIT_AS", memory_bytes),
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
    ):
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (AttributeError, ValueError, OSError):
            continue


def watch_memory(memory_bytes: int) -> None:
    """End this process when it has taken so much more memory; for macOS, which sets no such limit.

    Growth counts, because the most that a process ever held may be inherited from the one that
    started it, and an app with a large model holds more than a reader may.
    """
    import resource

    def most() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, on macOS

    limit = most() + memory_bytes
    while most() < limit:
        time.sleep(WATCH_S)
    os._exit(1)


def main() -> None:
    """Set the limits, read standard input, report any failure as one line."""
    kind, limits = sys.argv[1], json.loads(sys.argv[2])
    logging.disable(logging.CRITICAL)
    limit_resources(limits["memory_bytes"], int(limits["total_s"]) + 1)
    if sys.platform == "darwin":  # elsewhere the address space is limited, or nothing is
        threading.Thread(target=watch_memory, args=(limits["memory_bytes"],), daemon=True).start()
    out = Output(limits)
    try:
        import_module(f"mlx_toy.formats.{READERS[kind]}").read(sys.stdin.buffer.read(), kind, out)
        out.send(done=True)
    except Refused as refused:
        out.send(error=refused.code, value=refused.value)
    except MemoryError:
        out.send(error="memory")
    except ImportError as error:
        out.send(error="install", value=error.name)
    except Exception:
        out.send(error="broken")


if __name__ == "__main__":
    main()
