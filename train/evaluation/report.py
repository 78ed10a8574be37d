"""`report.json`: the figures of a model, kept row by row, so that a run can be cut off and go on.

{"bits_per_byte.stories_public": 1.051, ...,           every figure under its own name
 "details": {NAME: {"n", "of", "how", "standard_error", "parts"}},
 "rows": {ROW: {"settings", "seconds"}},               what was measured, and on how much
 "model": {"name", "parameters", "sha256"},
 "baselines": {NAME: {figures and details alike}},
 "peers": {NAME: {figures and details alike}}}
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from train.evaluation.figure import DIGITS, Figure
from train.records import write_json

FILE = "report.json"


class Report:
    """A report on its way; every change is written at once, atomically.

    Args:
        path: of the file. What it says of another model, or in another layout, is dropped.
        model: facts of the model; `sha256` says whether it is the same.
    """

    def __init__(self, path: Path, model: Mapping[str, Any]):
        self._path = path
        found = read(path) if path.is_file() else {}
        same = found.get("model", {}).get("sha256") == model["sha256"]
        self.content: dict[str, Any] = found if same else {}
        self.content["model"] = dict(model)
        self._rows: dict[str, Any] = self.content.setdefault("rows", {})

    def has(self, row: str, settings: Mapping[str, Any]) -> bool:
        """Whether a row was measured with these settings."""
        return self._rows.get(row, {}).get("settings") == settings

    def put(
        self,
        row: str,
        settings: Mapping[str, Any],
        figures: Mapping[str, Figure],
        seconds: float,
    ) -> None:
        """Keep a row's figures in place of those it had before."""
        details = self.content.setdefault("details", {})
        for name in [name for name, about in details.items() if about.get("row") == row]:
            del details[name]
            self.content.pop(name, None)
        for name, figure in figures.items():
            self.content[name] = round(figure.value, DIGITS)
            details[name] = {**figure.details(), "row": row}
        self._rows[row] = {"settings": dict(settings), "seconds": round(seconds)}
        self._save()

    def put_baselines(
        self,
        settings: Mapping[str, Any],
        baselines: Mapping[str, Mapping[str, Figure]],
        seconds: float,
    ) -> None:
        """Keep the figures of what the model is compared with."""
        self.content["baselines"] = {
            name: {
                **{key: round(figure.value, DIGITS) for key, figure in figures.items()},
                "details": {key: figure.details() for key, figure in figures.items()},
            }
            for name, figures in baselines.items()
        }
        self._rows["baselines"] = {"settings": dict(settings), "seconds": round(seconds)}
        self._save()

    def put_peer(self, path: Path) -> None:
        """Keep the figures of another model's report.

        Raises:
            UserError: it is no report.
        """
        other = read(path)
        if "model" not in other:
            raise UserError(f"{path} is no report of `python -m train evaluate`")
        own = {"rows", "baselines", "peers"}
        kept = {key: value for key, value in other.items() if key not in own}
        self.content.setdefault("peers", {})[other["model"]["name"]] = kept
        self._save()

    def _save(self) -> None:
        write_json(self.content, self._path)


def read(path: Path) -> dict[str, Any]:
    """A report.

    Raises:
        UserError: there is none, or it is not readable.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the report {path} ({error}): check the path") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no report of `python -m train evaluate`")
    return content


def fingerprint(directory: Path) -> str:
    """Checksum of a model's weights."""
    digest = hashlib.sha256()
    for file in sorted(directory.glob("*.safetensors")):
        with file.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
