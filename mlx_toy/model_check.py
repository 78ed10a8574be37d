"""Say in one sentence what is wrong with a model directory, before anything is loaded.

Why: a download that was cut short or a file that was not copied otherwise shows as a shape error
deep inside a library. Only headers are read, so a check takes milliseconds at any size.

A safetensors file is 8 bytes with the header's length (little endian), the header in JSON (for each
tensor its dtype, shape and byte offsets), then the bytes.
"""

import json
import struct
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import FILE_NAME as TOKENIZER_FILE
from mlx_toy.tokenizer import Tokenizer

CONFIG = "config.json"
FORMAT_KEY = "mlx_toy_format"  # in config.json: a directory that mlx-toy wrote
INDEX = "model.safetensors.index.json"
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
AGAIN = "copy or download the model directory again"


def is_ours(path: str | Path) -> bool:
    """Whether a directory was written by mlx-toy and runs in our own classes.

    A quantised copy that mlx-lm made carries our mark but not our tokenizer file; it runs as any
    other model of mlx-lm does.
    """
    path = Path(path)
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict) or FORMAT_KEY not in config:
        return False
    return "quantization" not in config or (path / TOKENIZER_FILE).is_file()


def validate(path: str | Path) -> None:
    """Check a model directory, ours or another's.

    Raises:
        UserError: one sentence that names what is missing, cut short or inconsistent.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"no model directory at {path}: check the path")
    config = _read_json(path / CONFIG)
    shapes = _read_shapes(path)
    if is_ours(path):
        tokenizer = _load_tokenizer(path)
        if "quantization" not in config:  # packed weights have other shapes
            _check_parameters(path, config, shapes)
        _check_vocabulary(path, config, tokenizer)
    elif not any(path.glob("*token*")) and not (path / "vocab.json").is_file():
        raise UserError(f"{path} has no tokenizer (tokenizer.json or {TOKENIZER_FILE}): {AGAIN}")
    if (path / "tokenizer.json").is_file():
        _read_json(path / "tokenizer.json")


def _read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{file.parent} has no {file.name}: {AGAIN}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is not readable as JSON ({error}): {AGAIN}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no JSON object: {AGAIN}")
    return content


def _read_shapes(path: Path) -> dict[str, list[int]]:
    """Shapes of all tensors by name, from the headers of the weight files."""
    files = sorted(path.glob("model*.safetensors"))
    index = _read_json(path / INDEX) if (path / INDEX).is_file() else None
    if index is not None:
        named = index.get("weight_map")
        if not isinstance(named, dict):
            raise UserError(f"{path / INDEX} has no weight_map: {AGAIN}")
        files = [path / name for name in sorted(set(named.values()))]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise UserError(f"{path} has no {', '.join(missing)}, which {INDEX} names: {AGAIN}")
    if not files:
        raise UserError(f"{path} has no weights (model*.safetensors): {AGAIN}")
    return {name: shape for file in files for name, shape in _read_header(file).items()}


def _read_header(file: Path) -> dict[str, list[int]]:
    """Shapes in one safetensors file, once its length is found to be what the header says."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= MAX_HEADER_BYTES or 8 + length > size:
            raise UserError(f"{file} is cut short or no safetensors file: {AGAIN}")
        try:
            header = json.loads(stream.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
            shapes = {name: list(entry["shape"]) for name, entry in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"{file} has a damaged header: {AGAIN}") from error
    if size != 8 + length + end:
        raise UserError(f"{file} has {size} bytes where {8 + length + end} belong: {AGAIN}")
    return shapes


def _load_tokenizer(path: Path) -> Tokenizer:
    if not (path / TOKENIZER_FILE).is_file():
        raise UserError(f"{path} has no {TOKENIZER_FILE}: {AGAIN}")
    return Tokenizer.load(path)


def _check_parameters(path: Path, config: dict[str, Any], shapes: dict[str, list[int]]) -> None:
    """The weights are the ones that the architecture in `config.json` has."""
    from mlx.utils import tree_flatten

    from mlx_toy.model import Model, ModelArgs

    try:
        model = Model(ModelArgs.from_dict(config))  # lazy: nothing is allocated
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"{path / CONFIG} describes no model ({error}): {AGAIN}") from error
    parameters: Any = tree_flatten(model.parameters())  # [(name, array)]
    for name, array in parameters:
        found = shapes.get(name)
        if found is None:
            raise UserError(f"the weights in {path} lack {name}, which {CONFIG} asks for: {AGAIN}")
        if found != list(array.shape):
            raise UserError(
                f"{name} in {path} has the shape {found} where {CONFIG} "
                f"asks for {list(array.shape)}: the files are of different models; {AGAIN}"
            )


def _check_vocabulary(path: Path, config: dict[str, Any], tokenizer: Tokenizer) -> None:
    size = config.get("vocab_size")
    if size != tokenizer.vocab_size:
        raise UserError(
            f"{path / CONFIG} says {size} tokens but {TOKENIZER_FILE} has {tokenizer.vocab_size}: "
            f"the files are of different models; {AGAIN}"
        )
