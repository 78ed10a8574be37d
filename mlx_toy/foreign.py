"""Chat models that others trained, run by mlx-lm: tokenizer, prompt and loading.

Passages reach such a model the way its makers meant: through the template's `documents` argument
if it reads one, else in front of the question in the user's turn. Their tokenizers parse control
tokens in any text, so those that a message or a document spells out are broken up first.
"""

import re
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from mlx_toy.backend import info, mx

from mlx_toy.chat import Message
from mlx_toy.confidence import load_calibration
from mlx_toy.errors import UserError
from mlx_toy.loaded_model import LoadedModel
from mlx_toy.token_bytes import TokenBytes

UNKNOWN_CONTEXT = 4096  # tokens, where a model does not say; today's chat models have that much
OTHERS = Path(__file__).parent / "weights"  # has the calibration of evidence alone
PASSAGE = re.compile(r"^\[\d+\] ", re.MULTILINE)


class ForeignTokenizer:
    """A Hugging Face tokenizer; one thread at a time uses it, whoever calls.

    Args:
        wrapper: mlx-lm's `TokenizerWrapper`.
    """

    def __init__(self, wrapper: Any):
        self.wrapper = wrapper
        self.lock = threading.Lock()
        added = getattr(wrapper, "added_tokens_decoder", {}).values()
        spelled = {str(token) for token in added if token.special} | set(wrapper.all_special_tokens)
        self._control = sorted(filter(None, spelled), key=len, reverse=True)

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return len(self.wrapper)

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text; None where the model has none."""
        return self.wrapper.bos_token_id

    def encode(self, text: str) -> list[int]:
        """Plain text to ids; control tokens spelled in the text stay text."""
        with self.lock:
            return list(
                self.wrapper.encode(text, add_special_tokens=False, split_special_tokens=True)
            )

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text; control tokens are left out."""
        with self.lock:
            return self.wrapper.decode(list(ids), skip_special_tokens=True)

    def token_text(self, token_id: int) -> str:
        """A token for people to look at: its text; a control token or a lone byte by name."""
        # What stands second keeps its space, which many tokenizers drop at the start of a text
        alone, twice = self.decode([token_id]), self.decode([token_id, token_id])
        text = twice[len(alone) :]
        if text and "\ufffd" not in text:
            return text
        with self.lock:
            return str(self.wrapper.convert_ids_to_tokens([token_id])[0])

    def token_bytes(self, end_ids: Collection[int]) -> TokenBytes:
        """What each token spells."""
        with self.lock:
            return TokenBytes.of(self.wrapper, end_ids)

    def render(self, messages: Sequence[Message], add_generation_prompt: bool) -> list[int]:
        """A conversation to prompt ids, by the model's own template if it has one.

        Raises:
            UserError: the template refuses the conversation.
        """
        if not self.wrapper.has_chat_template:
            return self._render_plain(messages, add_generation_prompt)
        template = getattr(self.wrapper, "chat_template", None)
        reads_documents = isinstance(template, str) and "documents" in template
        turns, documents = _place_passages(messages, reads_documents)
        turns = [{**turn, "content": self._break_control(turn["content"])} for turn in turns]
        try:
            try:
                return self._apply_template(turns, documents, add_generation_prompt)
            except Exception:  # templates raise what they like, many because of a system turn
                return self._apply_template(_fold_system(turns), documents, add_generation_prompt)
        except Exception as error:
            raise UserError(
                f"the model's chat template refuses this conversation ({error}): "
                "begin a new one or give another model"
            ) from error

    def _apply_template(
        self, turns: list[dict[str, str]], documents: list[str], add_generation_prompt: bool
    ) -> list[int]:
        optional: dict[str, Any] = {}
        if documents:
            texts = [self._break_control(text) for text in documents]
            optional["documents"] = [
                {"title": str(number), "text": text} for number, text in enumerate(texts, start=1)
            ]
        with self.lock:
            return list(
                self.wrapper.apply_chat_template(
                    turns,
                    add_generation_prompt=add_generation_prompt,
                    enable_thinking=False,  # an answer, not a monologue before it
                    **optional,
                )
            )

    def _render_plain(self, messages: Sequence[Message], add_generation_prompt: bool) -> list[int]:
        turns, _ = _place_passages(messages, reads_documents=False)
        lines = [f"{turn['role'].capitalize()}: {turn['content']}\n" for turn in turns]
        text = "".join(lines) + ("Assistant:" if add_generation_prompt else "")
        return ([] if self.bos_id is None else [self.bos_id]) + self.encode(text)

    def _break_control(self, text: str) -> str:
        """Put a space into every control token that a text spells out."""
        for token in self._control:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


class ForeignDetokenizer:
    """mlx-lm's streaming detokenizer, as the engine wants it."""

    def __init__(self, tokenizer: ForeignTokenizer):
        self._lock = tokenizer.lock
        self._detokenizer = tokenizer.wrapper.detokenizer

    def add(self, token: int) -> str:
        """The text that this token completes."""
        with self._lock:
            self._detokenizer.add_token(token)
            return self._detokenizer.last_segment

    def finish(self) -> str:
        """The text that was held back."""
        with self._lock:
            self._detokenizer.finalize()
            return self._detokenizer.last_segment


def load_foreign(path: Path, name: str) -> LoadedModel:
    """Load a directory through mlx-lm.

    Raises:
        UserError: mlx-lm cannot run it.
    """
    import mlx_lm

    try:
        # mlx_lm.load's annotation leaves out the third value
        model, wrapper, config = mlx_lm.load(str(path), return_config=True)  # type: ignore[misc]
    except Exception as error:  # a hundred architectures, each with its own way to fail
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"mlx-lm cannot load the model {name} ({reason}): give another") from error
    if info().device == "cpu":
        model.set_dtype(mx.float32)  # 16-bit products are slow there
        mx.eval(model.parameters())
    tokenizer, stop_ids = ForeignTokenizer(wrapper), frozenset(wrapper.eos_token_ids)
    return LoadedModel(
        name=name,
        is_ours=False,
        model=model,
        tokenizer=tokenizer,
        context_length=_context_length(config),
        stop_ids=stop_ids,
        render=tokenizer.render,
        detokenizer=lambda: ForeignDetokenizer(tokenizer),
        token_bytes=lambda: tokenizer.token_bytes(stop_ids),
        calibration=load_calibration(OTHERS),
    )


def _context_length(config: dict[str, Any]) -> int:
    text_config = config.get("text_config") or {}
    length = config.get("max_position_embeddings") or text_config.get("max_position_embeddings")
    return int(length or UNKNOWN_CONTEXT)


def _place_passages(
    messages: Sequence[Message], reads_documents: bool
) -> tuple[list[dict[str, str]], list[str]]:
    """Turn `context` turns into what the template takes: (turns, documents).

    The passages of the last context turn become documents if the template reads them; all others
    stand in front of the user's turn that follows them.
    """
    last = max((i for i, turn in enumerate(messages) if turn["role"] == "context"), default=-1)
    turns: list[dict[str, str]] = []
    documents: list[str] = []
    waiting = ""
    for i, message in enumerate(messages):
        if message["role"] != "context":
            turns.append({"role": message["role"], "content": waiting + message["content"]})
            waiting = ""
        elif i == last and reads_documents:
            documents = PASSAGE.sub("", message["content"]).split("\n")
        else:
            waiting += f"Passages:\n{message['content']}\n\n"
    if waiting:
        turns.append({"role": "user", "content": waiting})
    return turns, documents


def _fold_system(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """Put the system's text in front of the first user turn."""
    system = "\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    others = [dict(turn) for turn in turns if turn["role"] != "system"]
    for turn in others:
        if turn["role"] == "user":
            turn["content"] = f"{system}\n\n{turn['content']}"
            break
    return others
