"""Whose documents a request may reach: the workspace of a visitor, named by a secret.

On one's own computer there is one workspace, whose library lasts. On a Space everybody who opens
the page is a visitor: the server makes a secret, the browser keeps it and sends it with every
request, and the workspace is named by the secret's hash, so that a list of tables is no list of
keys.
"""

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable

from mlx_toy.errors import UserError
from mlx_toy.settings import OWN_WORKSPACE

SECRET_BYTES = 32
MAX_AGE_S = 24 * 3600.0  # a visitor who was not seen for so long is forgotten, documents and all
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # what token_urlsafe makes of 32 bytes


def new_secret() -> str:
    """A name for a new visitor that nobody can guess."""
    return secrets.token_urlsafe(SECRET_BYTES)


def is_secret(value: object) -> bool:
    """Whether this can be one of `new_secret`'s; a browser may send anything."""
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


class Visitors:
    """The workspaces of those who use the app.

    Args:
        shared: whether strangers use it, so that each has a workspace.
        max_age_s: after so long without a request a workspace has expired.
        clock: seconds since some start.
    """

    def __init__(
        self,
        shared: bool,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shared, self.max_age_s = shared, max_age_s
        self._clock, self._lock = clock, threading.Lock()
        self._seen: dict[str, float] = {}

    def secret(self, kept: object) -> str:
        """The secret that the browser kept, if it is one, else a new one; "" on one's own."""
        if not self.shared:
            return ""
        return kept if isinstance(kept, str) and is_secret(kept) else new_secret()

    def knows(self, secret: object) -> bool:
        """Whether a request that carries this may use a workspace."""
        return not self.shared or is_secret(secret)

    def workspace(self, secret: object) -> str:
        """The workspace that a request may use.

        Raises:
            UserError: it carries no secret of ours.
        """
        if not self.shared:
            return OWN_WORKSPACE
        if not isinstance(secret, str) or not is_secret(secret):
            raise UserError("this page does not know you: reload it")
        name = "visitor-" + hashlib.sha256(secret.encode()).hexdigest()[:48]
        with self._lock:
            self._seen[name] = self._clock()
        return name

    def expired(self) -> list[str]:
        """Workspaces to be dropped; each is told once."""
        with self._lock:
            limit = self._clock() - self.max_age_s
            names = [name for name, seen in self._seen.items() if seen < limit]
            for name in names:
                del self._seen[name]
        return names
