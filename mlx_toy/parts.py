"""The parts of an assistant, each loaded once, when it is first used.

Why: the app needs all of them, while a command such as `list` needs only the library and `complete`
only a model; importing what they build on takes seconds each.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mlx_toy.embedder import Embedder, bundled_embedder, load_embedder
from mlx_toy.engine import Engine
from mlx_toy.library import Library
from mlx_toy.loaded_model import BUNDLED
from mlx_toy.model_directory import is_ours
from mlx_toy.ordering import in_order
from mlx_toy.reader import bundled_reader
from mlx_toy.reranker import Reranker, bundled_reranker, load_reranker
from mlx_toy.settings import Settings
from mlx_toy.tokenizer import Tokenizer

BUNDLED_BASE = BUNDLED.with_name("base")
_T = TypeVar("_T")


class Parts:
    """Models, retriever and library that the settings name; any thread may use them.

    Every attribute may raise a `UserError` when it is first used: what it names is missing, broken,
    or does not fit the others.

    Args:
        settings: which to load.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self._loaded: dict[str, Any] = {}
        self._lock = threading.RLock()  # the library loads the embedder

    @property
    def engine(self) -> Engine:
        """The model that answers and chats."""
        return self._once("engine", lambda: Engine.load(self.settings.model))

    @property
    def base_engine(self) -> Engine:
        """The model that completes text: a model that was asked for by name does so itself."""
        if self.settings.model and not self.settings.base_model:
            return self.engine
        name = self.settings.base_model or BUNDLED_BASE
        return self._once("base_engine", lambda: Engine.load(name))

    @property
    def embedder(self) -> Embedder:
        """What turns questions and passages into vectors."""
        path = self.settings.embedder
        return self._once("embedder", lambda: load_embedder(path) if path else bundled_embedder())

    @property
    def reranker(self) -> Reranker:
        """What orders the passages that were found, beside any retriever."""
        path = self.settings.reranker
        return self._once("reranker", lambda: load_reranker(path) if path else bundled_reranker())

    @property
    def library(self) -> Library:
        """The documents."""

        def open_library() -> Library:
            embedder = self.embedder
            return Library(
                self.settings.library,
                embedder.fingerprint,
                embedder.dimensions,
                rerank=lambda *asked: in_order(self.reranker, *asked),
            )

        return self._once("library", open_library)

    @property
    def count_tokens(self) -> Callable[[str], int]:
        """Length of a text as the answering model counts; ours need not be loaded for that."""

        def make() -> Callable[[str], int]:
            path = Path(self.settings.model).expanduser() if self.settings.model else BUNDLED
            light = "engine" not in self._loaded and is_ours(path)
            tokenizer = Tokenizer.load(path) if light else self.engine.tokenizer
            return lambda text: len(tokenizer.encode(text))

        return self._once("count_tokens", make)

    def load(self) -> None:
        """Load all of them, and what answers are found with."""
        _ = bundled_reader(), bundled_embedder(), bundled_reranker()
        _ = self.engine.selector
        _ = self.library, self.reranker, self.engine, self.base_engine, self.count_tokens

    def close(self) -> None:
        """Close what was loaded."""
        with self._lock:
            for name in ("engine", "base_engine", "library"):
                if name in self._loaded:
                    self._loaded[name].close()

    def _once(self, name: str, load: Callable[[], _T]) -> _T:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load()
            part: _T = self._loaded[name]
            return part
