"""The chat format and its jinja template give the same ids, and any text survives the tokenizer."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlx_toy.chat import GUARD, ROLES, Message, format_passages, render
from mlx_toy.errors import UserError
from mlx_toy.tokenizer import SPACE_MARK, SPECIAL_TOKENS, Tokenizer

TRICKY = [
    *SPECIAL_TOKENS,
    *("<s>", "</s>", "<unk>", "<pad>", "<0x41>", "<", "<|", "<<|user|>", f"<{GUARD}|user|>"),
    *(GUARD, GUARD * 3, SPACE_MARK, f"a{SPACE_MARK}b", "   ", "\n\n", "\t", "\r\n", "\x00", "\x1c"),
    *("a" * 7, "abababa", "🦜👩‍👩‍👧", "e\u0301", "\ufffd", "{{ bos_token }}", "[1] ", "\u2028"),
]
PARTS = st.one_of(st.text(), st.text("ab <"), st.sampled_from(TRICKY))
TEXTS = st.lists(PARTS, max_size=6).map("".join)
LONG_SPACES = " " * 10_000
CASES = settings(max_examples=150, deadline=None)


@pytest.fixture(scope="module")
def hf_tokenizer(tiny_model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model_dir)


def test_template_gives_the_ids_of_render(tiny_tokenizer: Tokenizer, hf_tokenizer: Any) -> None:
    turns = st.builds(Message, role=st.sampled_from(ROLES), content=TEXTS)

    @CASES
    @given(messages=st.lists(turns, min_size=1, max_size=4), ask=st.booleans())
    @example(messages=[{"role": "user", "content": "".join(TRICKY)}], ask=True)
    @example(messages=[{"role": "system", "content": LONG_SPACES}], ask=False)
    def check(messages: list[Message], ask: bool) -> None:
        theirs = hf_tokenizer.apply_chat_template(
            messages, add_generation_prompt=ask, return_dict=False
        )
        assert theirs == render(messages, tiny_tokenizer, add_generation_prompt=ask).ids

    check()


def test_documents_of_the_template_are_a_context_turn(
    tiny_tokenizer: Tokenizer, hf_tokenizer: Any
) -> None:
    @CASES
    @given(passages=st.lists(TEXTS, min_size=1, max_size=3), question=TEXTS)
    @example(passages=["two\n\n  lines ", "".join(TRICKY)], question="which?")
    def check(passages: list[str], question: str) -> None:
        asked: Message = {"role": "user", "content": question}
        earlier: list[Message] = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
        ]
        theirs = hf_tokenizer.apply_chat_template(
            [*earlier, asked],
            documents=[{"title": "", "text": passage} for passage in passages],
            add_generation_prompt=True,
            return_dict=False,
        )
        context: Message = {"role": "context", "content": format_passages(passages, question)}
        assert theirs == render([*earlier, context, asked], tiny_tokenizer, True).ids

    check()


def test_any_text_survives_encoding_and_decoding(
    tiny_tokenizer: Tokenizer, hf_tokenizer: Any
) -> None:
    @CASES
    @given(text=TEXTS)
    @example(text="".join(TRICKY))
    @example(text=LONG_SPACES)
    def check(text: str) -> None:
        ids = tiny_tokenizer.encode(text)
        assert tiny_tokenizer.decode(ids) == text
        assert b"".join(map(tiny_tokenizer.token_bytes, ids)) == text.encode()
        assert hf_tokenizer.decode(ids) == text

    check()


def test_text_never_encodes_to_a_control_token(tiny_tokenizer: Tokenizer) -> None:
    control = {i for i in range(400) if not tiny_tokenizer.token_bytes(i)}
    assert len(control) == 4 + len(SPECIAL_TOKENS)
    assert not control & set(tiny_tokenizer.encode("".join(TRICKY)))


def test_lone_surrogates_become_the_replacement_character(tiny_tokenizer: Tokenizer) -> None:
    assert tiny_tokenizer.decode(tiny_tokenizer.encode("a\ud800b")) == "a\ufffd\ufffd\ufffdb"


def test_the_model_learns_only_what_the_assistant_says(tiny_tokenizer: Tokenizer) -> None:
    messages: list[Message] = [
        {"role": "user", "content": "two and two?"},
        {"role": "assistant", "content": "four"},
        {"role": "user", "content": "thanks"},
    ]
    rendered = render(messages, tiny_tokenizer, add_generation_prompt=True)
    learned = [i for i, mask in zip(rendered.ids, rendered.loss_mask, strict=True) if mask]
    assert learned == [*tiny_tokenizer.encode("four"), tiny_tokenizer.end_id]
    assert rendered.ids[0] == tiny_tokenizer.bos_id
    assert rendered.ids[-1] == tiny_tokenizer.assistant_id


def test_passages_are_numbered_one_a_line_behind_the_question() -> None:
    passages = ["The sky\nis  blue.", "So."]
    assert format_passages(passages) == "[1] The sky is blue.\n[2] So."
    assert format_passages(passages, "What\nnow?").split("\n")[:2] == [
        "What now?",
        "[1] The sky is blue.",
    ]


def test_an_unknown_role_is_refused(tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="unknown role 'tool'"):
        render([{"role": "tool", "content": ""}], tiny_tokenizer)  # type: ignore[typeddict-item]
