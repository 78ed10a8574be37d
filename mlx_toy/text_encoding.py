"""Bytes of unknown encoding to text, or a word on what else they are.

Why: half the text files in the world do not say how they are encoded, and a file's suffix proves
nothing. Byte order marks are believed first, then UTF-8, then Windows-1252 if what it gives could
be a Western language, and only then statistics, which few accents mislead ("café" became "cafķ").
What decodes to control characters is not text.
"""

import re

SAMPLE = 200_000  # bytes from which an encoding is guessed; even, for UTF-16
MAX_JUNK = 0.02  # share of control and replacement characters above which bytes are not text
MAX_BROKEN = 0.1  # share of a UTF-8 text's non-ASCII characters that may be damaged
FEW_ACCENTS = 0.05  # share of the letters up to which any accents may stand in an English text

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive (Word, PowerPoint and EPUB files are)"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office file"),
    (b"{\\rtf", "a rich-text file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"7z\xbc\xaf", "a compressed archive"),
    (b"\x7fELF", "a program"),
)
_JUNK = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_LETTER = re.compile(r"[^\W\d_]")
_SYMBOL_IN_WORD = re.compile(r"[^\W\d_][^\w\s\x00-\x7f’‘·\xad\xa0–—…][^\W\d_]")
# The letters beyond ASCII that go together in one language that Windows-1252 was made for.
_WESTERN = (
    frozenset("àâäæçèéêëîïôöœùûüÿßñ"),  # French, German, Dutch
    frozenset("àèéìíîòóùúç"),  # Italian, Catalan
    frozenset("áàâãçéêíñóôõúüªº"),  # Spanish, Portuguese
    frozenset("åäöæøéèêàüóòôâ"),  # Scandinavian, Finnish
    frozenset("áæðéíóöúýþ"),  # Icelandic
)


def decode(data: bytes) -> str | None:
    """The text that `data` holds, or None if it is not text."""
    if any(data.startswith(signature) for signature, _ in _SIGNATURES):
        return None
    encoding = next((encoding for bom, encoding in _BOMS if data.startswith(bom)), None)
    encoding = encoding or _utf16_without_mark(data) or "utf-8"
    text = data.decode(encoding, errors="replace")
    if encoding == "utf-8" and "\ufffd" in text:
        damaged = text.count("\ufffd") / len(_NOT_ASCII.findall(text))
        text = text if damaged <= MAX_BROKEN else _decode_legacy(data)
    return text if len(_JUNK.findall(text)) <= MAX_JUNK * len(text) else None


def describe(data: bytes) -> str:
    """What the bytes of a file look like, in words that fit after "but"."""
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            return what
    return "plain text" if decode(data) is not None else "binary data"


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 of mostly Latin text has its zeros in every second place, and only there."""
    sample = data[:SAMPLE]
    pairs = len(sample) // 2
    for encoding, zeros, others in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        if pairs and sample[zeros::2].count(0) > 0.5 * pairs and not sample[others::2].count(0):
            return encoding
    return None


def _decode_legacy(data: bytes) -> str:
    """Text in an older encoding, guessed from its beginning; "\ufffd" only if none fits."""
    if b"\x00" in data:
        return "\ufffd"
    if _is_western(data[:SAMPLE]):
        return data.decode("cp1252", errors="replace")
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SAMPLE]).best()
    return data.decode(best.encoding, errors="replace") if best else "\ufffd"


def _is_western(sample: bytes) -> bool:
    """Whether bytes can be Windows-1252: no symbol within a word, and accents that go together."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:  # five of its 256 places are empty
        return False
    if _JUNK.search(text) or _SYMBOL_IN_WORD.search(text):
        return False
    letters = _LETTER.findall(text.lower())
    accented = [letter for letter in letters if not letter.isascii()]
    few = len(accented) <= max(1, FEW_ACCENTS * len(letters))
    return few or any(alphabet.issuperset(accented) for alphabet in _WESTERN)
