"""Programs: passages end with their functions, and stand below the names of those."""

import pytest
from documents_fixtures import found, read
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.code_structure import code_blocks
from mlx_toy.documents import Document
from mlx_toy.page_text import clean_text
from mlx_toy.passages import split_passages

PROGRAM = '''"""About ferries."""

import math

RATE = 3

class Ferry:
    """A ship."""

    # how far
    @property
    def reach(self) -> float:
        if self.full:
            return 0.0

        return math.inf

    def sail(self):
        pass


# what is left
FERRIES = [
    Ferry(),
]
'''


def test_programs_are_cut_at_their_functions(tmp_path):
    assert found(read(tmp_path / "a.py", PROGRAM)) == [
        ("", '"""About ferries."""\n\nimport math\n\nRATE = 3'),
        ("class Ferry", 'class Ferry:\n    """A ship."""'),
        (
            "class Ferry > def reach(self) -> float",
            "# how far\n    @property\n    def reach(self) -> float:\n        if self.full:\n"
            "            return 0.0\n\n        return math.inf",
        ),
        ("class Ferry > def sail(self)", "def sail(self):\n        pass"),
        ("", "# what is left\nFERRIES = [\n    Ferry(),\n]"),
    ]


@pytest.mark.parametrize(
    "suffix, program, titles",
    [
        (
            "c",
            "int add(int a, int b)\n{\n    return a;\n}\n\nint x = 3;\n",
            ["int add(int a, int b)", ""],
        ),
        (
            "js",
            "export const f = (a) => {\n  g(a);\n}\nfunction h() {\n}\n",
            ["export const f = (a)", "function h()"],
        ),
        (
            "rs",
            "impl A {\n    pub fn b(&self) -> u8 {\n        1\n    }\n}\n",
            ["impl A", "impl A > pub fn b(&self) -> u8"],
        ),
        ("go", "package a\n\nfunc (s *S) Run() {\n\tgo()\n}\n", ["", "func (s *S) Run()"]),
    ],
)
def test_definitions_of_other_languages(tmp_path, suffix, program, titles):
    assert [title for title, _ in found(read(tmp_path / f"a.{suffix}", program))] == titles


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PROGRAM.splitlines()) | st.text(max_size=20)).map("\n".join))
def test_no_line_of_any_program_is_lost(text):
    text = clean_text(text)
    document = Document("a", text, kind="code", blocks=tuple(code_blocks(text)))
    end = 0
    for passage in split_passages(document, lambda piece: len(piece.split()), 12):
        assert not text[end : passage.start].strip()
        assert text[passage.start : passage.end] == passage.text
        end = passage.end
    assert not text[end:].strip()
