"""Read the text of one PDF, in a process of its own that may be killed.

Why: a PDF is a program that strangers wrote; a hostile or broken one may loop, eat memory or crash
the parser. `mlx_toy/documents.py` starts this file as a fresh interpreter with a time limit, and
this file limits its own memory, processor time and output before it opens anything. It imports
pypdf and nothing of ours, so it starts in a fraction of a second.

Run:  python -P mlx_toy/pdf_worker.py FILE MAX_PAGES MAX_CHARACTERS MEMORY_BYTES CPU_SECONDS

It writes JSON lines: {"pages": N}, then {"text": ...} (null for a page that cannot be read) for
each page in order, then {"done": true}; or, at any point, {"error": CODE, "value": N} and no more.
"""

import json
import logging
import sys


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


def emit(**record: object) -> None:
    """Write one JSON line, at once: the reader shows progress from it."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def extract(path: str, max_pages: int, max_characters: int) -> None:
    """Write the text of each page of the PDF at `path`, or the code of what stops it."""
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            return emit(error="encrypted")
        pages = len(reader.pages)
    except (DependencyError, NotImplementedError):
        return emit(error="encrypted")  # a cipher that this installation cannot undo
    if not pages:
        return emit(error="broken")
    if pages > max_pages:
        return emit(error="pages", value=pages)
    emit(pages=pages)
    characters = 0
    for page in reader.pages:
        try:
            text = page.extract_text()
        except MemoryError:
            raise
        except Exception:  # pypdf lets many kinds of error through: one bad page is not the file
            text = None
        characters += len(text or "")
        if characters > max_characters:
            return emit(error="characters", value=characters)
        emit(text=text)
    emit(done=True)


def main() -> None:
    """Set the limits, read the file named on the command line, report any failure as one line."""
    path, *limits = sys.argv[1:]
    max_pages, max_characters, memory_bytes, cpu_seconds = (int(limit) for limit in limits)
    logging.disable(logging.CRITICAL)
    limit_resources(memory_bytes, cpu_seconds)
    try:
        extract(path, max_pages, max_characters)
    except MemoryError:
        emit(error="memory")
    except ImportError:
        emit(error="install")
    except Exception:
        emit(error="broken")


if __name__ == "__main__":
    main()
