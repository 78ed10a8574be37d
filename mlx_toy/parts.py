"""The parts of an assistant, each loaded when it is first used.

Why: the app needs all of them, while a command such as `list` needs only the library and `score`
only a model; importing what they build on takes seconds each.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from mlx_toy.embedder import Embedder, load_embedder
from mlx_toy.engine import Engine
from mlx_toy.library import Library
from mlx_toy.loaded_model import BUNDLED
from mlx_toy.model_directory import is_ours
from mlx_toy.settings import Settings
from mlx_toy.tokenizer import Tokenizer

BUNDLED_BASE = BUNDLED.with_name("base")


class Parts:
    """Models, retriever and library that the settings name.

    Every attribute may raise a `UserError` when it is first used: what it names is missing, broken,
    or does not fit the others.

    Args:
        settings: which to load.
    """

    def __init__(self, settings: Settings):
        self.settings = settings

    @cached_property
    def engine(self) -> Engine:
        """The model that answers and chats."""
        return Engine.load(self.settings.model)

    @cached_property
    def base_engine(self) -> Engine:
        """The model that completes text: a model that was asked for by name does so itself."""
        if self.settings.model and not self.settings.base_model:
            return self.engine
        return Engine.load(self.settings.base_model or BUNDLED_BASE)

    @cached_property
    def embedder(self) -> Embedder:
        """What turns questions and passages into vectors."""
        return load_embedder(self.settings.embedder)

    @cached_property
    def library(self) -> Library:
        """The documents."""
        embedder = self.embedder
        return Library(self.settings.library, embedder.fingerprint, embedder.dimensions)

    @cached_property
    def count_tokens(self) -> Callable[[str], int]:
        """Length of a text as the answering model counts; ours need not be loaded for that."""
        path = Path(self.settings.model).expanduser() if self.settings.model else BUNDLED
        light = "engine" not in vars(self) and is_ours(path)
        tokenizer = Tokenizer.load(path) if light else self.engine.tokenizer
        return lambda text: len(tokenizer.encode(text))

    def load(self) -> None:
        """Load all of them."""
        for name in ("library", "engine", "base_engine", "count_tokens"):
            getattr(self, name)

    def close(self) -> None:
        """Close what was loaded."""
        for name in ("engine", "base_engine", "library"):
            if name in vars(self):
                getattr(self, name).close()
