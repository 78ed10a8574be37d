"""One question, from retrieval to the streamed answer with its sources.

The app and the command line use this and nothing below it. Reading order of a question: `reply` →
the library's search → `grounding.plan` → the engine → `grounding.conclude`. Without documents it is
a plain chat.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlx_toy.chat import Message
from mlx_toy.documents import Limits, read_document
from mlx_toy.embedder import Embedder
from mlx_toy.engine import GREEDY, Engine, Generation, Sampling, Stats
from mlx_toy.errors import UserError
from mlx_toy.grounding import ANSWER_TOKENS, Answer, conclude, plan
from mlx_toy.library import Library
from mlx_toy.passages import split_passages
from mlx_toy.rows import Hit, StoredDocument
from mlx_toy.settings import Settings
from mlx_toy.span_grammar import SpanProcessor

MAX_MESSAGE = 8_000  # characters: more than any context here holds, less than slows a tokenizer
NOTHING_NEAR = "Nothing in your documents is near this question."
BUNDLED_BASE = Path(__file__).parent / "weights" / "base"


@dataclass(frozen=True)
class Source:
    """A passage that was put before the model.

    Attributes:
        number: as cited, from 1.
        hit: the passage, its document, page and similarity.
        quote: the sentence that the answer stands in; None if the answer cites another passage.
        start, end: offsets of the quoted answer in the passage's text; None likewise.
    """

    number: int
    hit: Hit
    quote: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Update:
    """A reply so far.

    Attributes:
        text: everything written so far.
        sources: the passages that were used, in the order of their numbers.
        done: whether this is the last update.
        abstained: whether the documents do not answer.
        stats: figures of the generation; None if the model was not asked.
        dropped: turns at the start of the conversation that no longer fit.
    """

    text: str
    sources: list[Source] = field(default_factory=list)
    done: bool = False
    abstained: bool = False
    stats: Stats | None = None
    dropped: int = 0


class Assistant:
    """What the app and the command line talk to; safe to use from several threads.

    Args:
        engine: the model that answers and chats.
        embedder: of questions and passages.
        library: of documents.
        settings: sampling and limits.
        base_engine: the model that completes text; the same as `engine` if None.
    """

    def __init__(
        self,
        engine: Engine,
        embedder: Embedder,
        library: Library,
        settings: Settings,
        base_engine: Engine | None = None,
    ):
        self.engine, self.base_engine = engine, base_engine or engine
        self.embedder, self.library, self.settings = embedder, library, settings
        self.threshold = (
            embedder.default_threshold if settings.threshold is None else settings.threshold
        )

    @classmethod
    def load(cls, settings: Settings) -> "Assistant":
        """Load the models and open the library that the settings name.

        Raises:
            UserError: one of them is missing, broken, or does not fit the others.
        """
        from mlx_toy.embedder import load_embedder

        embedder = load_embedder(settings.embedder)
        library = Library(settings.library, embedder.fingerprint, embedder.dimensions)
        engine = Engine.load(settings.model)
        base = None
        if settings.base_model or not settings.model:  # another model completes text itself
            base = Engine.load(settings.base_model or BUNDLED_BASE)
        return cls(engine, embedder, library, settings, base)

    def close(self) -> None:
        """Stop the engines and close the library."""
        self.engine.close()
        self.base_engine.close()
        self.library.close()

    # --- documents --------------------------------------------------------------------------------

    def add_document(
        self, workspace: str, path: str | Path, name: str | None = None
    ) -> StoredDocument:
        """Read a file and store its passages.

        Args:
            workspace: whose library.
            path: of the file.
            name: to show, if not the file's own.

        Raises:
            UserError: the file cannot be read, or holds no text.
        """
        limits = Limits(max_bytes=self.settings.max_file_mb << 20)
        document = read_document(path, name, limits)
        passages = split_passages(document, lambda text: len(self.engine.tokenizer.encode(text)))
        texts = [f"{p.heading}\n{p.text}" if p.heading else p.text for p in passages]
        return self.library.add(workspace, document, passages, self.embedder.embed_passages(texts))

    def documents(self, workspace: str) -> list[StoredDocument]:
        """The documents of a workspace."""
        return self.library.documents(workspace)

    def remove(self, workspace: str, document_id: str) -> bool:
        """Remove a document; False if it was not there."""
        return self.library.remove(workspace, document_id)

    def search(self, workspace: str, query: str, k: int = 5) -> list[Hit]:
        """The passages that fit a query best.

        Raises:
            UserError: the query is empty or far too long.
        """
        query = _checked(query)
        return self.library.search(workspace, query, self.embedder.embed_queries([query])[0], k)

    # --- answers ----------------------------------------------------------------------------------

    def reply(
        self,
        workspace: str | None,
        messages: Sequence[Message],
        sampling: Sampling | None = None,
    ) -> Iterator[Update]:
        """Answer the last message, from the documents of the workspace if it has any.

        Args:
            workspace: whose documents; None for a plain chat.
            messages: the conversation; the last one is the user's.
            sampling: how to choose tokens of a plain chat; the settings' if None. An answer from
                documents always takes the likeliest.

        Yields:
            The reply so far, after every token; the last one has `done`.

        Raises:
            UserError: the message is empty or too long.
        """
        question = _checked(messages[-1]["content"] if messages else "")
        if workspace is not None and self.documents(workspace):
            yield from self._reply_from_documents(workspace, question)
        else:
            yield from self._chat(messages, sampling or self._sampling())

    def answer(self, question: str, passages: Sequence[str]) -> Answer:
        """Answer a question from given passages, as the app does from retrieved ones.

        Raises:
            UserError: the question is empty or too long, or there are no passages.
        """
        question = _checked(question)
        passages = [passage for passage in passages]
        if not any(passage.strip() for passage in passages):
            raise UserError("no passages to answer from: give at least one")
        answer = None
        for _, answer in self._answer(question, passages):
            pass
        assert answer is not None, "the last step concludes"
        return answer

    def complete(self, text: str, sampling: Sampling | None = None) -> Iterator[Update]:
        """Continue a text with the base model.

        Yields:
            What was added so far.

        Raises:
            UserError: the text is empty.
        """
        if not text.strip():
            raise UserError("there is nothing to continue: type the start of a sentence")
        engine = self.base_engine
        sampling = sampling or self._sampling()
        bos = [] if engine.tokenizer.bos_id is None else [engine.tokenizer.bos_id]
        room = engine.context_length - sampling.max_tokens - 1
        if room < 8:
            raise UserError(
                f"an answer of {sampling.max_tokens} tokens leaves no room for the text: "
                f"ask for less than {engine.context_length - 8}"
            )
        # The end of the text alone decides how it goes on; its beginning may not fit.
        ids = engine.tokenizer.encode(text[-MAX_MESSAGE:].rstrip())[-room:]
        generation = engine.generate([*bos, *ids], sampling)
        yield from _stream(generation)

    def _reply_from_documents(self, workspace: str, question: str) -> Iterator[Update]:
        hits = self.search(workspace, question, self.settings.passages)
        near = max((hit.similarity for hit in hits), default=-1.0)
        sources = [Source(number, hit) for number, hit in enumerate(hits, start=1)]
        if near < self.threshold:
            yield Update(NOTHING_NEAR, sources, done=True, abstained=True)
            return
        passages = [hit.text for hit in hits]
        for update, answer in self._answer(question, passages):
            if answer is None:
                yield Update(update.text, sources, stats=update.stats)
                continue
            cited = answer.citations[0] if answer.citations else None
            located = [
                Source(s.number, s.hit, answer.quote, answer.start, answer.end)
                if s.number == cited
                else s
                for s in sources
            ]
            yield Update(answer.answer, located, True, answer.abstained, update.stats)

    def _answer(
        self, question: str, passages: Sequence[str]
    ) -> Iterator[tuple[Update, Answer | None]]:
        """Stream an answer; the last item carries where it stands."""
        question_plan = plan(self.engine, question, passages)
        prompt = question_plan.prompt_ids
        processors = []
        if question_plan.grammar is not None:
            processors.append(SpanProcessor(question_plan.grammar, len(prompt)))
        greedy = Sampling(**{**vars(GREEDY), "max_tokens": ANSWER_TOKENS})
        generation = self.engine.generate(prompt, greedy, logits_processors=processors)
        text, tokens = "", []
        for chunk in generation:
            text += chunk.text
            tokens.append(chunk.token)
            yield Update(text, stats=generation.stats), None
        answer = conclude(question_plan, passages, text, tokens)
        yield Update(text, done=True, stats=generation.stats), answer

    def _chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Update]:
        kept = list(messages)
        room = self.engine.context_length - min(
            sampling.max_tokens, self.engine.context_length // 3
        )
        prompt = self.engine.render(kept)
        while len(prompt) > room and len(kept) > 2:
            kept = kept[2:]  # the oldest question and its answer leave together
            prompt = self.engine.render(kept)
        generation = self.engine.generate(prompt, sampling)
        yield from _stream(generation, dropped=len(messages) - len(kept))

    def _sampling(self) -> Sampling:
        s = self.settings
        return Sampling(s.temperature, s.top_p, s.top_k, s.repetition_penalty, s.max_tokens)


def _checked(message: str) -> str:
    """The message, stripped.

    Raises:
        UserError: it is empty or too long.
    """
    message = message.strip()
    if not message:
        raise UserError("the message is empty: type a question")
    if len(message) > MAX_MESSAGE:
        raise UserError(
            f"the message has {len(message):,} characters, at most {MAX_MESSAGE:,} can be read: "
            "shorten it, or add it as a document and ask about it"
        )
    return message


def _stream(generation: Generation, dropped: int = 0) -> Iterator[Update]:
    text = ""
    for chunk in generation:
        text += chunk.text
        yield Update(text, stats=generation.stats, dropped=dropped)
    yield Update(text, done=True, stats=generation.stats, dropped=dropped)
