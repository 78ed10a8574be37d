"""How one message is to be answered: what a visitor may choose, beside what they ask.

The app's settings panel makes one of these for every message, the command line makes one from its
flags; `Settings` says where the dials stand at first.
"""

from dataclasses import dataclass

from mlx_toy.errors import UserError
from mlx_toy.sampling import Sampling
from mlx_toy.settings import Settings

MAX_SYSTEM_PROMPT = 1_000  # characters
MAX_PASSAGES = 10


@dataclass(frozen=True)
class AnswerOptions:
    """How to answer.

    Attributes:
        temperature, top_p, top_k, repetition_penalty, max_tokens, seed: as in `Sampling`; the
            first four are of free text, not of text that is copied from documents.
        system_prompt: what the model is told before the conversation; "" for nothing.
        passages: at most so many go into a prompt.
        strict: whether an answer from documents may consist only of their words.
        written_replies: whether a chat may be answered by a reply that was written for the model.

    Raises:
        UserError: a value outside its range.
    """

    temperature: float = Settings.temperature
    top_p: float = Settings.top_p
    top_k: int = Settings.top_k
    repetition_penalty: float = Settings.repetition_penalty
    max_tokens: int = Settings.max_tokens
    system_prompt: str = ""
    passages: int = Settings.passages
    strict: bool = True
    written_replies: bool = True
    seed: int | None = None

    def __post_init__(self) -> None:
        self.sampling()  # checks its part
        if not isinstance(self.passages, int):
            raise UserError(f"passages is {self.passages!r}: it must be a whole number")
        if not 1 <= self.passages <= MAX_PASSAGES:
            raise UserError(f"passages is {self.passages}: it must be 1 to {MAX_PASSAGES}")
        if len(self.system_prompt) > MAX_SYSTEM_PROMPT:
            raise UserError(
                f"the system prompt has {len(self.system_prompt):,} characters: "
                f"shorten it to {MAX_SYSTEM_PROMPT:,}"
            )

    @classmethod
    def of(cls, settings: Settings, seed: int | None = None) -> "AnswerOptions":
        """Where the dials stand at first."""
        return cls(
            temperature=settings.temperature,
            top_p=settings.top_p or 1.0,
            top_k=settings.top_k,
            repetition_penalty=settings.repetition_penalty,
            max_tokens=settings.max_tokens,
            passages=settings.passages,
            seed=seed,
        )

    def sampling(self) -> Sampling:
        """How tokens of free text are chosen."""
        return Sampling(
            self.temperature,
            self.top_p,
            self.top_k,
            self.repetition_penalty,
            self.max_tokens,
            self.seed,
        )
