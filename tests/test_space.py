"""The repository is a Hugging Face Space as it stands, and its requirements keep their promises.

A Space reads the front matter of README.md, requirements.txt and packages.txt, and fails only after
it was pushed; these tests read the same three files, without the network, before that.
"""

import re
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}
LINUX_ARM = {"sys_platform": "linux", "platform_machine": "aarch64"}
MAC = {"sys_platform": "darwin", "platform_machine": "arm64"}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
RUN = "pip install -r requirements.txt && python app.py"
TEST = "pip install -r requirements.txt && python -m pytest"


def front_matter() -> dict:
    return SpaceCard.load(ROOT / "README.md").data.to_dict()


def requirements() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def named(name: str, environment: dict[str, str]) -> list[Requirement]:
    """The requirements of this name that pip would act on in this environment."""
    return [
        requirement
        for requirement in requirements()
        if canonicalize_name(requirement.name) == name
        and (requirement.marker is None or requirement.marker.evaluate(environment))
    ]


def operators(specifier: SpecifierSet) -> set[str]:
    return {part.operator for part in specifier}


def test_space_is_a_gradio_app_that_starts_from_app_py():
    card = front_matter()
    assert card["title"] == "mlx-toy"
    assert card["sdk"] == "gradio"
    assert card["license"] == "apache-2.0"
    assert card["app_file"] == "app.py"
    assert (ROOT / card["app_file"]).is_file()


def test_space_looks_right_in_a_list_of_spaces():
    card = front_matter()
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert len(card["emoji"]) == 1 and not card["emoji"].isascii()
    assert 0 < len(card["short_description"]) <= 60


def test_space_names_versions_as_text_so_that_yaml_cannot_round_them():
    card = front_matter()
    assert card["python_version"] == "3.12"  # 3.10, the default, is too old for mlx-lm
    assert re.fullmatch(r"\d+\.\d+\.\d+", card["sdk_version"])


def test_gradio_of_the_space_is_within_the_requirements():
    (gradio,) = named("gradio", LINUX)
    assert gradio.specifier.contains(front_matter()["sdk_version"])


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_requirement_has_a_lower_and_an_upper_bound(requirement):
    assert operators(requirement.specifier) == {">=", "<"}
    assert requirement.url is None


@pytest.mark.parametrize(
    ("environment", "extras"), [(LINUX, {"cpu"}), (LINUX_ARM, {"cpu"}), (MAC, set())]
)
def test_mlx_comes_with_a_backend(environment, extras):
    (mlx,) = named("mlx", environment)
    assert mlx.extras == extras


@pytest.mark.parametrize(("environment", "count"), [(LINUX, 1), (LINUX_ARM, 0), (MAC, 0)])
def test_openblas_wheel_is_asked_for_only_where_it_exists(environment, count):
    assert len(named("ngsolve-openblas", environment)) == count


def test_debian_packages_are_names_only_one_a_line():
    names = (ROOT / "packages.txt").read_text().splitlines()
    assert "libopenblas0-pthread" in names
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)


@pytest.mark.parametrize("command", [RUN, TEST])
def test_readme_gives_the_command_on_a_line_of_its_own(command):
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_ci_runs_the_test_command_of_the_readme():
    assert TEST in (ROOT / ".ci" / "run").read_text().splitlines()
    assert "run: .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
