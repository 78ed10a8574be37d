"""One question, from retrieval to the streamed answer with its sources.

The app and the command line use this and nothing below it. Reading order of a question: `reply` →
`followup.standalone_query` → the library's search → `grounding.plan` → the engine →
`grounding.conclude`. Without documents, and for small talk, it is a plain chat.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mlx_toy.chat import Message
from mlx_toy.chatting import start_reply
from mlx_toy.documents import Limits, read_file
from mlx_toy.embedder import Embedder
from mlx_toy.engine import Engine, Sampling
from mlx_toy.errors import UserError
from mlx_toy.followup import standalone_query
from mlx_toy.grounding import (
    Answer,
    Plan,
    answer_question,
    conclude,
    plan,
    room_for_passages,
    start_answer,
)
from mlx_toy.hits import select_hits
from mlx_toy.ingest import Ingest, IngestCancelled, IngestProgress, Progress
from mlx_toy.lexicon import may_ask
from mlx_toy.library import Library
from mlx_toy.messages import MAX_MESSAGE, checked, clean
from mlx_toy.options import AnswerOptions
from mlx_toy.parts import Parts
from mlx_toy.quota import Quota
from mlx_toy.rebuilding import Rebuilt, rebuild
from mlx_toy.reembedding import reembed
from mlx_toy.replies import Source, Trace, Update, confirm, stream, with_quotes
from mlx_toy.rows import Hit, StoredDocument
from mlx_toy.sampling import penalty_from
from mlx_toy.second_look import NEAR, standing
from mlx_toy.settings import Settings
from mlx_toy.small_talk import is_small_talk

__all__ = ["MAX_MESSAGE", "NOTHING_NEAR", "Assistant", "IngestCancelled", "IngestProgress"]
__all__ += ["Source", "Update"]

CHAT = 0.75  # probability of a written reply from which on a remark to documents is chat
CANDIDATES = 2  # passages looked at for each that is put before the model
NOTHING_NEAR = "Nothing in your documents is near this question."


class Assistant:
    """What the app and the command line talk to; safe to use from several threads.

    Args:
        settings: which models and library, how to sample, and limits.
    """

    def __init__(self, settings: Settings):
        self.settings, self._parts = settings, Parts(settings)

    @classmethod
    def load(cls, settings: Settings) -> "Assistant":
        """Load all parts now; else each is loaded when it is first used.

        Raises:
            UserError: one of them is missing, broken, or does not fit the others.
        """
        assistant = cls(settings)
        try:
            assistant._parts.load()
        except BaseException:
            assistant.close()
            raise
        return assistant

    @property
    def engine(self) -> Engine:
        """The model that answers and chats."""
        return self._parts.engine

    @property
    def base_engine(self) -> Engine:
        """The model that completes text; the same as `engine` for a model of the user's choice."""
        return self._parts.base_engine

    @property
    def embedder(self) -> Embedder:
        """The retriever."""
        return self._parts.embedder

    @property
    def library(self) -> Library:
        """The documents of all workspaces."""
        return self._parts.library

    @property
    def threshold(self) -> float:
        """Cosine from which on a passage counts as near."""
        chosen = self.settings.threshold
        return self.embedder.default_threshold if chosen is None else chosen

    @property
    def quota(self) -> Quota:
        """The most that a workspace may hold."""
        return Quota(self.settings.max_passages, self.settings.max_library_mb * 1_000_000)

    def close(self) -> None:
        """Stop the engines and close the library."""
        self._parts.close()

    # --- documents --------------------------------------------------------------------------------

    def add_document(
        self,
        workspace: str,
        path: str | Path,
        name: str | None = None,
        *,
        replace: bool = False,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> StoredDocument:
        """Read a file and store its passages, all of them or none.

        Args:
            workspace: whose library.
            path: of the file.
            name: to show, if not the file's own.
            replace: whether it takes the place of documents of the same name; else it is added
                beside them, and `same_name` of the result has their ids.
            progress: told how far it is, in this thread.
            cancelled: asked several times a second whether to stop.

        Raises:
            IngestCancelled: it was stopped.
            UserError: the file cannot be read, or holds no text.
        """
        ingest = self._ingest(progress, cancelled)
        return ingest.add_file(workspace, read_file(path, name, ingest.limits), replace)

    def add_text(self, workspace: str, text: str, name: str = "Pasted text") -> StoredDocument:
        """Store the passages of a text that was pasted or piped in.

        Raises:
            UserError: it is blank or too long.
        """
        return self._ingest().add_text(workspace, text, name)

    def _ingest(
        self,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        library: Library | None = None,
    ) -> Ingest:
        limits = Limits(max_bytes=self.settings.max_file_mb << 20)
        parts = self._parts
        return Ingest(
            library or parts.library,
            parts.embedder,
            parts.count_tokens,
            limits,
            progress,
            cancelled,
            self.quota,
        )

    def document_text(self, workspace: str, document_id: str) -> str:
        """All text of a document; the offsets of hits are offsets into it.

        Raises:
            UserError: it is not in the library.
        """
        return self.library.document_text(workspace, document_id)

    def reembed(
        self, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
    ) -> int:
        """Embed the library anew with this embedder, whichever wrote it; see `reembedding.py`."""
        return reembed(self.settings.library, self.embedder, progress, cancelled)

    def rebuild(
        self, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
    ) -> list[Rebuilt]:
        """Repair a damaged library from the files that were kept; see `rebuilding.py`."""
        embedder = self.embedder
        return rebuild(
            self.settings.library,
            embedder.fingerprint,
            embedder.dimensions,
            lambda library: self._ingest(progress, cancelled, library),
        )

    def documents(self, workspace: str) -> list[StoredDocument]:
        """The documents of a workspace."""
        return self.library.documents(workspace)

    def remove(self, workspace: str, document_id: str) -> bool:
        """Remove a document; False if it was not there."""
        return self.library.remove(workspace, document_id)

    def search(self, workspace: str, query: str, k: int = 5, question: str = "") -> list[Hit]:
        """The passages that fit a query best.

        Args:
            workspace: where to look.
            query: what to look up.
            k: how many.
            question: what is asked, if the query says more than that.

        Raises:
            UserError: the query is empty or far too long.
        """
        query = checked(query)
        vector = self.embedder.embed_queries([query])[0]
        return self.library.search(workspace, query, vector, k, question)

    # --- answers ----------------------------------------------------------------------------------

    def reply(
        self,
        workspace: str | None,
        messages: Sequence[Message],
        options: AnswerOptions | None = None,
    ) -> Iterator[Update]:
        """Answer the last message, from the documents of the workspace if it has any.

        A question to documents is looked up together with what it leans on in the conversation. In
        a plain chat the oldest turns leave when the context is full. Small talk is chat, and so is
        what asks nothing, is near no document, and has a written reply that fits.

        Args:
            workspace: whose documents; None for a plain chat.
            messages: the conversation; the last one is the user's.
            options: how to answer; as the settings say if None.

        Yields:
            The reply so far, after every token; the last one has `done`.

        Raises:
            UserError: the message is empty or too long.
        """
        messages = [{**message, "content": clean(message["content"])} for message in messages]
        question = checked(messages[-1]["content"] if messages else "")
        options = options or self.options()
        if workspace is None or not self.documents(workspace):
            yield from self._chat(messages, options)
            return
        if is_small_talk(question):  # alone: after answers from documents a model goes on quoting
            yield from self._chat(messages[-1:], options)
            return
        query = standalone_query(messages).strip()
        for update in self._reply_from_documents(workspace, messages[-1:], query, options):
            looked_up = update.sources and query != question
            yield replace(update, query=query) if looked_up else update

    def answer(self, question: str, passages: Sequence[str]) -> Answer:
        """Answer a question from given passages, as the app does from retrieved ones.

        Raises:
            UserError: the question is empty or too long, or there are no passages.
        """
        question = checked(question)
        if not any(passage.strip() for passage in passages):
            raise UserError("no passages to answer from: give at least one")
        return answer_question(self.engine, question, passages, embedder=self.embedder)

    def complete(
        self, text: str, sampling: Sampling | None = None, kept: Sequence[int] = ()
    ) -> Iterator[Update]:
        """Continue a text with the base model.

        Args:
            text: the beginning.
            sampling: how to choose tokens; the settings' if None.
            kept: tokens of a continuation that was begun before, to go on from.

        Yields:
            What was added so far; the prompt of its trace ends with the kept tokens.

        Raises:
            UserError: the text is empty, or too much was asked for.
        """
        text = clean(text)
        if not text.strip():
            raise UserError("there is nothing to continue: type the start of a sentence")
        engine = self.base_engine
        sampling = sampling or self.sampling()
        bos = [] if engine.tokenizer.bos_id is None else [engine.tokenizer.bos_id]
        room = engine.context_length - sampling.max_tokens - len(kept) - 1
        if room < 8:
            raise UserError(
                f"{len(kept) + sampling.max_tokens} tokens leave no room for the text: "
                f"ask for less than {engine.context_length - len(kept) - 8}"
            )
        # The end of the text alone decides how it goes on; its beginning may not fit.
        ids = engine.tokenizer.encode(text[-MAX_MESSAGE:].rstrip())[-room:]
        prompt = [*bos, *ids]
        processors = []
        if kept and sampling.repetition_penalty != 1:
            processors = [penalty_from(len(prompt), sampling.repetition_penalty)]
            sampling = replace(sampling, repetition_penalty=1.0)
        generation = engine.generate([*prompt, *kept], sampling, logits_processors=processors)
        yield from stream(generation)

    def _reply_from_documents(
        self, workspace: str, messages: Sequence[Message], query: str, options: AnswerOptions
    ) -> Iterator[Update]:
        """Answer from documents; what asks nothing and is near nothing may be chat after all."""
        question = messages[-1]["content"].strip()
        room = room_for_passages(self.engine, question, options.strict)
        if room < 1:
            raise UserError("the question leaves the model no room for passages: make it shorter")
        found = self.search(workspace, query, CANDIDATES * options.passages, question)
        hits = select_hits(found, options.passages, room, self._parts.count_tokens)
        sources = [Source(number, hit) for number, hit in enumerate(hits, start=1)]
        if not any(map(self.is_near, found)):
            if not may_ask(question) and self._is_chat(messages, options):
                yield from self._chat(messages, options)
                return
            yield Update(NOTHING_NEAR, sources, done=True, abstained=True)
            return
        texts = [hit.text for hit in hits]
        question_plan = plan(
            self.engine,
            question,
            texts,
            options.strict,
            options.sampling(),
            embedder=self.embedder,
            query=query,
            headings=[hit.heading for hit in hits],
            standings=[standing(hit, len(found)) for hit in hits],
        )
        for update, answer in self._answer(question_plan):
            if answer is None:
                yield replace(update, sources=sources)
                continue
            confirm(self.library, workspace, sources, answer)
            yield replace(
                update,
                text=answer.answer,
                sources=with_quotes(sources, answer),
                abstained=answer.abstained,
                segments=answer.segments,
                confidence=answer.confidence,
            )

    def _is_chat(self, messages: Sequence[Message], options: AnswerOptions) -> bool:
        """Whether a written reply, where it may be given, fits with hardly a doubt."""
        selector = self.engine.selector
        if selector is None or not options.written_replies or options.system_prompt.strip():
            return False
        choices = selector(messages)
        return bool(choices) and choices[0].probability >= CHAT

    def is_near(self, hit: Hit) -> bool:
        """Whether a passage may answer, by its vector, by its words, or as the reader finds.

        The first two alone refuse every twentieth question that has an answer (the cards of the
        embedder and the reranker), but far more of the plain ones on everyday documents, which have
        few words in common with what they ask about; of what is let in, `grounding.py` refuses
        more. Who names a threshold means the cosine.
        """
        if hit.similarity >= self.threshold:
            return True
        if self.settings.threshold is not None:
            return False
        relevant = self._parts.reranker.default_threshold
        return (hit.relevance or 0.0) >= relevant or (hit.odds is not None and hit.odds >= NEAR)

    def _answer(self, question_plan: Plan) -> Iterator[tuple[Update, Answer | None]]:
        """Stream an answer; the last item carries what it is worth."""
        if question_plan.refused is not None:
            yield Update("", done=True), question_plan.refused
            return
        generation = start_answer(self.engine, question_plan)
        text, chunks, trace = "", [], Trace(generation.prompt_ids)
        for chunk in generation:
            text, trace = text + chunk.text, trace.grown(chunk.token)
            chunks.append(chunk)
            # What may yet turn out to be no answer is not shown before it is one.
            shown = "" if question_plan.may_be_withheld else text
            yield Update(shown, stats=generation.stats, trace=trace), None
        answer = conclude(self.engine, question_plan, chunks)
        yield Update(text, done=True, stats=generation.stats, trace=trace), answer

    def _chat(self, messages: Sequence[Message], options: AnswerOptions) -> Iterator[Update]:
        length, sampling = self.engine.context_length, options.sampling()
        room = length - min(sampling.max_tokens, length // 3)
        told: list[Message] = []
        if options.system_prompt.strip():
            told = [{"role": "system", "content": clean(options.system_prompt).strip()}]
        # The oldest questions leave first, each with its answer. A conversation may be long, so the
        # first question that can stay is found by bisection.
        asked = [i for i, message in enumerate(messages) if message["role"] == "user" or i == 0]
        first = bisect_left(
            asked, True, key=lambda i: len(self.engine.render([*told, *messages[i:]])) <= room
        )
        dropped = asked[min(first, len(asked) - 1)] if first else 0
        # What the model is told to be is for its own words.
        written = options.written_replies and not told
        begun = start_reply(self.engine, [*told, *messages[dropped:]], sampling, written)
        for update in stream(begun.generation, dropped):
            yield replace(update, exchange=begun.exchange(update.text)) if update.done else update

    def options(self, seed: int | None = None) -> AnswerOptions:
        """How the settings say that a message is answered."""
        return AnswerOptions.of(self.settings, seed)

    def sampling(self, seed: int | None = None) -> Sampling:
        """How the settings say that tokens are chosen."""
        return self.options(seed).sampling()
