"""The chat format: messages to token ids and loss mask, one function for training and serving.

    <s><|context|>Who …?\n[1] …\n[2] …<|end|><|user|>Who …?<|end|><|assistant|>…<|end|>

A `context` turn carries numbered passages and stands right before the question that they answer. It
begins with that question, because a decoder's view of a word holds only what stands before it: so
the passages are read with the question in mind, and the question again with the passages. A
`system` turn may stand first.
Ids are made segment by segment: contents are encoded as plain text and control tokens are added as
ids, so no message and no uploaded file can forge a turn.

`CHAT_TEMPLATE` is the same format for every other loader (transformers, mlx-lm, vLLM). Their
tokenizer does parse control tokens in its input, so the template puts a noncharacter, U+FDD0,
behind every `<` of a content, which their normalizer (see `hf_tokenizer.py`) removes again after
control tokens have been found. A test holds both sides equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import SPACE_MARK, Tokenizer

Role = Literal["system", "context", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "context", "user", "assistant")
NOT_IN_PASSAGES = "The passages do not say."
GUARD = "\ufdd0"  # a Unicode noncharacter: never in real text

CHAT_TEMPLATE = (
    "{%- macro plain(text) -%}"
    "{{- text | replace('<', '<" + GUARD + "') -}}"
    "{%- endmacro -%}"
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if documents and loop.last and message['role'] == 'user' -%}"
    "{{- '<|context|>' ~ plain(message['content'].split() | join(' ')) ~ '\\n' -}}"
    "{%- for document in documents -%}"
    "{{- '[' ~ loop.index ~ '] ' -}}{{- plain(document['text'].split() | join(' ')) -}}"
    "{{- '' if loop.last else '\\n' -}}"
    "{%- endfor -%}"
    "{{- '<|end|>' -}}"
    "{%- endif -%}"
    "{{- '<|' ~ message['role'] ~ '|>' -}}{{- plain(message['content']) -}}{{- '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


class Message(TypedDict):
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Rendered:
    """A conversation as the model reads it.

    Attributes:
        ids: token ids.
        loss_mask: for each id 1 if the model learns to write it (what the assistant says, and the
            `<|end|>` that ends it), else 0.
    """

    ids: list[int]
    loss_mask: list[int]


def format_passages(passages: Sequence[str], question: str | None = None) -> str:
    """The content of a `context` turn: the question, then one passage a line, numbered from 1.

    Args:
        passages: what may be cited.
        question: what they are to answer; None for a model that has not learned our format.
    """
    head = [] if question is None else [_one_line(question)]
    numbered = (f"[{number}] {_one_line(text)}" for number, text in enumerate(passages, start=1))
    return "\n".join([*head, *numbered])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def render(
    messages: Sequence[Message], tokenizer: Tokenizer, add_generation_prompt: bool = False
) -> Rendered:
    """Turn a conversation into ids and a loss mask.

    Args:
        messages: the turns in order.
        tokenizer: whose ids to use.
        add_generation_prompt: end with `<|assistant|>`, so that the model answers.

    Raises:
        UserError: a role that the format does not know.
    """
    role_ids = dict(
        zip(
            ROLES,
            (
                tokenizer.system_id,
                tokenizer.context_id,
                tokenizer.user_id,
                tokenizer.assistant_id,
            ),
            strict=True,
        )
    )
    ids, loss_mask = [tokenizer.bos_id], [0]
    for message in messages:
        role = message["role"]
        if role not in role_ids:
            raise UserError(f"unknown role {role!r} in a message: use one of {', '.join(ROLES)}")
        # U+2581 reads as a space here, as it does in every loader of this tokenizer family.
        content = tokenizer.encode(message["content"].replace(SPACE_MARK, " "))
        learned = int(role == "assistant")
        ids += [role_ids[role], *content, tokenizer.end_id]
        loss_mask += [0] + [learned] * (len(content) + 1)
    if add_generation_prompt:
        ids.append(tokenizer.assistant_id)
        loss_mask.append(0)
    return Rendered(ids, loss_mask)
