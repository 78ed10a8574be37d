"""The model directory: a trained model as files that every loader reads.

One folder holds the weights (`model.safetensors`), the architecture (`config.json`), where to stop
(`generation_config.json`) and the tokenizer twice: `tokenizer.model`, which we run, and the JSON
files that Hugging Face's loaders run. `mlx_lm.load`, transformers and vLLM take it unchanged;
`load` takes it into our own classes. `model_check.py` says what is wrong with a broken one.

Why each key of `config.json` is written although libraries have defaults: their defaults differ
(`tie_word_embeddings`), mlx-lm reads `rope_theta` only at the top level, and a missing
end-of-sequence list makes output that never ends.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlx_toy.backend import compute_dtype, mx

from mlx_toy.hf_tokenizer import tokenizer_files
from mlx_toy.model import Model, ModelArgs
from mlx_toy.model_check import CONFIG, FORMAT_KEY, is_ours, validate
from mlx_toy.tokenizer import BOS_ID, EOS_ID, FILE_NAME, PAD_ID, Tokenizer

__all__ = ["is_ours", "load", "validate", "write"]

FORMAT = 1  # of the directory; raised when an older mlx-toy could not read it
WEIGHTS = "model.safetensors"
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}  # by model_type

# else transformers, which mlx-lm imports, reports that it found no PyTorch, which we do not want
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")


def load(path: str | Path) -> tuple[Model, Tokenizer]:
    """Read a directory of ours, ready to compute in this machine's best dtype.

    The weights are evaluated, so that the thread that owns the model may be another one.

    Raises:
        UserError: something is missing, cut short or inconsistent.
    """
    from mlx_lm.utils import load_model

    path = Path(path)
    validate(path)
    model, _ = load_model(path, lazy=True, get_model_classes=lambda config: (Model, ModelArgs))
    assert isinstance(model, Model)
    model.set_dtype(compute_dtype())
    mx.eval(model.parameters())
    return model, Tokenizer.load(path)


def write(
    path: str | Path,
    model_args: ModelArgs,
    weights: Mapping[str, mx.array],
    tokenizer: Tokenizer,
    context_length: int,
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a model directory; it appears whole or not at all.

    Args:
        path: the directory; one that exists is replaced.
        model_args: the architecture.
        weights: parameters by their Llama names; stored in bfloat16.
        tokenizer: whose vocabulary the model was trained on.
        context_length: the longest sequence it was trained for, in tokens.
        extra_files: contents of other files by name, such as the model card.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    try:
        partial.chmod(0o755)
        half = {name: array.astype(mx.bfloat16) for name, array in weights.items()}
        mx.save_safetensors(str(partial / WEIGHTS), half, metadata={"format": "pt"})
        (partial / FILE_NAME).write_bytes(tokenizer.model_proto)
        texts = {
            CONFIG: _json(_config(model_args, tokenizer, context_length)),
            "generation_config.json": _json(_stops(tokenizer)),
            **tokenizer_files(tokenizer, context_length),
            **(extra_files or {}),
        }
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        validate(partial)
        _put_in_place(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _config(args: ModelArgs, tokenizer: Tokenizer, context_length: int) -> dict[str, Any]:
    """The content of `config.json`."""
    return {
        "architectures": [ARCHITECTURES[args.model_type]],
        **asdict(args),
        "max_position_embeddings": context_length,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        **_stops(tokenizer),
        FORMAT_KEY: FORMAT,
    }


def _stops(tokenizer: Tokenizer) -> dict[str, Any]:
    """Where a sequence begins and where generation ends."""
    return {
        "bos_token_id": BOS_ID,
        "eos_token_id": [tokenizer.end_id, EOS_ID],
        "pad_token_id": PAD_ID,
    }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _put_in_place(new: Path, path: Path) -> None:
    """Rename a finished directory to `path`; what was there goes only once it stands."""
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
    path.rename(old / path.name)
    try:
        new.rename(path)
    except OSError:
        (old / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
