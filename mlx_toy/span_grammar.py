"""What an answer from passages may look like, enforced token by token.

    answer   = quote { joiner quote } closing  |  opening quote …  |  "The passages do not say."
    quote    = span " [" number "]"
    span     = whole words that stand verbatim in one of the given sentences

A language model chooses among the tokens that this grammar allows, so it cannot write a word that
does not stand in the passage that it cites, but for the closed list of connecting phrases in a
`Form`. The grammar works on bytes, not on tokens, because the same words are cut into other tokens
at the start of an answer than in the middle of a sentence, and because every model cuts them in its
own way (`token_bytes.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mlx_toy.chat import NOT_IN_PASSAGES
from mlx_toy.regions import Copyable, Region, Span
from mlx_toy.token_bytes import TokenBytes

_WORD, _SPACED, _END = -1, -2, -3  # instead of a text: a span begins, a space and a span, the end


@dataclass(frozen=True)
class Form:
    """How spans become an answer.

    Attributes:
        spans: at most so many, each of another sentence.
        span_bytes: longest span.
        openings: what may stand before the first; it goes on with a space.
        joiners: what may stand between two; likewise.
        closings: what may stand behind the last, if not nothing.
        may_begin_with_space: whether a space before the answer is no fault; after some prompts,
            models whose words carry their space have learned to begin with one.
    """

    spans: int = 1
    span_bytes: int = 120
    openings: tuple[str, ...] = ()
    joiners: tuple[str, ...] = ()
    closings: tuple[str, ...] = ()
    may_begin_with_space: bool = False


ONE_SPAN = Form()  # about twenty words: more made a small model ramble
QUOTES = Form(  # for a model that can use them; none of the phrases says anything
    spans=3,
    span_bytes=300,
    openings=("According to the passages,", "The passages say:"),
    joiners=(",", " and", ", and", ";", "."),
    closings=(".",),
    may_begin_with_space=True,
)


@dataclass(frozen=True)
class Reading:
    """An answer as the grammar reads it.

    Attributes:
        spans: what it copies, in order; none for the refusal.
        whole: whether it may end here.
    """

    spans: tuple[Span, ...]
    whole: bool


_Copy = tuple[int, int, int]  # region and the bytes of it that were copied, from and to


@dataclass(frozen=True, order=True)
class _State:
    """A way to read what was written so far.

    `text` is a region, a fixed text behind them, or one of `_WORD`, `_SPACED` and `_END`;
    `position` counts its bytes that are written; `start` is where a copy begins.
    """

    done: tuple[_Copy, ...]
    text: int
    position: int = 0
    start: int = 0


States = frozenset[_State]


class SpanGrammar:
    """The answers that the regions allow.

    Args:
        tokens: of the model's vocabulary.
        regions: sentences to copy from.
        may_refuse: whether the fixed refusal is an answer.
        form: how spans become an answer.

    Attributes:
        regions: as given.
    """

    def __init__(
        self,
        tokens: TokenBytes,
        regions: Sequence[Region],
        may_refuse: bool = True,
        form: Form = ONE_SPAN,
    ):
        self._tokens, self._form, self.regions = tokens, form, regions
        self._regions = [Copyable(region, form.span_bytes) for region in regions]
        if not any(region.starts for region in self._regions):  # the rules left nothing:
            self._regions = [region.anywhere() for region in self._regions]  # any words will do
        self._starts = [(i, at) for i, region in enumerate(self._regions) for at in region.starts]
        self._found: dict[tuple[int, int], list[tuple[int, list[int]]]] = {}
        self._beginnings: dict[tuple[int, frozenset[int]], set[int]] = {}
        self._texts = [region.text for region in self._regions]
        self._tails = [self._fixed(f" [{region.number}]") for region in regions]
        self._openings = [self._fixed(text) for text in form.openings]
        self._joiners = [self._fixed(text) for text in form.joiners]
        self._closings = [self._fixed(text) for text in form.closings]
        self._space, self._refusal = self._fixed(" "), self._fixed(NOT_IN_PASSAGES)
        self.start: States = frozenset(self._first_states(may_refuse))

    def allowed(self, states: States) -> set[int]:
        """Ids of the tokens that may come next; none once the answer has ended."""
        ids: set[int] = set()
        for state in self._leaves(states):
            if state.text == _END:
                ids.update(self._tokens.end_ids)
            elif state.text < 0:
                ids |= self._beginning(state)
            else:
                ids.update(self._ids_at(state.text, state.position, self._limit_of(state)))
        if not ids and not any(state.text == _END for state in states):
            return set(self._tokens.end_ids)  # the vocabulary cannot spell what follows
        return ids

    def priors(self) -> dict[int, float]:
        """The highest prior of the spans that a token begins, for each that may come first."""
        first = _State((), _WORD)
        found: dict[int, float] = {}
        for region, start in self._starts if first in self.start else ():
            if not self._regions[region].region.choices:
                continue  # any words may be copied, none likelier than others
            prior = self._regions[region].prior(start)
            for token in self._ids_at(region, start, self._regions[region].limit(start)):
                found[token] = max(prior, found.get(token, prior))
        return found

    def advance(self, states: States, token: int) -> States:
        """The readings that remain after one more token."""
        if token in self._tokens.end_ids:
            ended = [state for state in self._leaves(states) if state.text == _END]
            return frozenset(replace(state, position=1) for state in ended)
        written = self._tokens[token]
        following: dict[tuple[int, int, int, int], _State] = {}
        for state in self._leaves(states) if written else ():
            for moved in self._moved(state, written):
                # What will follow depends on this alone, so one history of each is enough.
                key = moved.text, moved.position, moved.start, len(moved.done)
                following[key] = min(moved, following.get(key, moved))
        return frozenset(following.values())

    def read(self, tokens: Sequence[int]) -> "Reading":
        """What these tokens write; of an answer that was cut off the last span's whole words."""
        states = self.start
        for token in tokens:
            before, states = states, self.advance(states, token)
            if not states:
                states = before
                break
        whole = [state for state in self._leaves(states) if state.text == _END]
        readings = [self._spans(state) for state in whole or states]
        longest = max(map(len, readings), default=0)
        spans = min((spans for spans in readings if len(spans) == longest), default=[])
        return Reading(tuple(spans), bool(whole))

    # --- what may be written ----------------------------------------------------------------------

    def _first_states(self, may_refuse: bool) -> Iterator[_State]:
        if may_refuse:
            yield _State((), self._refusal)
        if not self._starts:
            return
        yield _State((), _WORD)
        for opening in self._openings:
            yield _State((), opening)
        if self._form.may_begin_with_space:
            yield _State((), _SPACED)

    def _leaves(self, states: States) -> Iterator[_State]:
        """The states, each within one text of which something is left to write."""
        for state in states:
            yield from self._expand(state)

    def _expand(self, state: _State) -> Iterator[_State]:
        text, position = state.text, state.position
        if text == _END:
            if not position:
                yield state
        elif text < 0:
            yield state
            if text == _SPACED:
                yield replace(state, text=self._space, position=0)
        elif text < len(self._regions):
            if position < self._limit_of(state):
                yield state
            if self._regions[text].may_end(state.start, position):
                yield _State((*state.done, (text, state.start, position)), self._tails[text])
        elif position < len(self._texts[text]):
            yield state
        else:
            for following in self._behind(state):
                yield from self._expand(following)

    def _behind(self, state: _State) -> Iterator[_State]:
        """What follows a fixed text."""
        text, done = state.text, state.done
        following = []
        if text == self._space:
            following.append(_WORD)
        if text in self._openings or (text in self._joiners and self._more_spans(done)):
            following.append(_SPACED)
        if text in self._tails:
            following += [_END, *self._closings]
            following += self._joiners if self._more_spans(done) else []
        if text in self._closings or text == self._refusal:
            following.append(_END)
        return (_State(done, text) for text in following)

    def _more_spans(self, done: tuple[_Copy, ...]) -> bool:
        used = {region for region, _, _ in done}
        return len(done) < self._form.spans and any(r not in used for r, _ in self._starts)

    def _moved(self, state: _State, written: bytes) -> Iterator[_State]:
        """The state after these bytes, if they go on with it."""
        size = len(written)
        if state.text >= 0:
            end = self._limit_of(state)
            if self._texts[state.text].startswith(written, state.position, end):
                yield replace(state, position=state.position + size)
        elif state.text != _END:
            used = {region for region, _, _ in state.done}
            for region, start in self._starts:
                begin = self._begin(state, region, start)
                if region in used or begin is None:
                    continue
                if self._texts[region].startswith(
                    written, begin, self._regions[region].limit(start)
                ):
                    yield _State(state.done, region, begin + size, start)

    def _beginning(self, state: _State) -> set[int]:
        """Tokens with which a span may begin."""
        used = frozenset(region for region, _, _ in state.done)
        if (state.text, used) not in self._beginnings:
            ids: set[int] = set()
            for region, start in self._starts:
                begin = self._begin(state, region, start)
                if region not in used and begin is not None:
                    ids.update(self._ids_at(region, begin, self._regions[region].limit(start)))
            self._beginnings[state.text, used] = ids
        return self._beginnings[state.text, used]

    def _begin(self, state: _State, region: int, start: int) -> int | None:
        """Where copying begins: at the word, or at the space before it if there is one."""
        if state.text == _WORD:
            return start
        return start - 1 if self._texts[region][start - 1] == ord(" ") else None

    def _ids_at(self, text: int, position: int, end: int) -> Iterator[int]:
        """Tokens that spell a text from a position on, up to `end` at most."""
        if (text, position) not in self._found:
            rest = self._texts[text][position:]
            self._found[text, position] = list(self._tokens.beginnings(rest))
        for length, ids in self._found[text, position]:
            if position + length > end:
                break
            yield from ids

    # --- what was written -------------------------------------------------------------------------

    def _spans(self, state: _State) -> list[Span]:
        """What a state has copied; the last span may be unfinished."""
        copies = list(state.done)
        if 0 <= state.text < len(self._regions):
            copies.append((state.text, state.start, state.position))
        spans = [self._regions[region].span(start, end) for region, start, end in copies]
        return [span for span in spans if span is not None]

    def _limit_of(self, state: _State) -> int:
        """Where the text that is being written ends at the latest."""
        if state.text < len(self._regions):
            return self._regions[state.text].limit(state.start)
        return len(self._texts[state.text])

    def _fixed(self, text: str) -> int:
        """A place for a fixed text behind the regions; the same text has one place."""
        spelled = text.encode()
        count = len(self._regions)
        if spelled not in self._texts[count:]:
            self._texts.append(spelled)
        return self._texts.index(spelled, count)
