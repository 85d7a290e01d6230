"""The lines that start a server with random weights, so that an endpoint can be measured without a model's files."""

from __future__ import annotations

import shlex
from pathlib import Path

from facts.errors import InputError

NEEDED = ("config.json", "tokenizer_config.json")


def serving_lines(model: str, *, gpus: int, context_tokens: int) -> tuple[str, ...]:
    """A remark, vLLM's line and SGLang's: dummy weights, no prefix cache, loopback. `model` is a folder or a published name.

    Both engines then need only the shape (config.json) and the tokenizer, which are a few megabytes.
    """
    if gpus < 1 or context_tokens < 1:
        raise InputError(f"{gpus} accelerators and {context_tokens} tokens serve nothing: give at least 1 each")
    folder = Path(model)
    missing = [name for name in NEEDED if folder.is_dir() and not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} has no {missing[0]}: copy the model's small files ({', '.join(NEEDED)}, tokenizer) into it, no weights")
    quoted, offline = shlex.quote(model), "HF_HUB_OFFLINE=1 " if folder.is_dir() else ""
    return (
        "# random weights: speed, memory and power are the model's, its answers are not; set ignore_eos lengths by the probe",
        f"{offline}vllm serve {quoted} --load-format dummy --host 127.0.0.1 --port 8000 --tensor-parallel-size {gpus} "
        f"--max-model-len {context_tokens} --no-enable-prefix-caching",
        f"{offline}python -m sglang.launch_server --model-path {quoted} --load-format dummy --host 127.0.0.1 --port 30000 --tp {gpus} "
        f"--context-length {context_tokens} --disable-radix-cache",
    )


def llama_server_lines(file: Path, *, slots: int, context_tokens: int) -> tuple[str, ...]:
    """llama-server's line for a file of random weights that can be served, on loopback, and the probe's line beside it.

    llama-server divides its context among its slots, so it is told the product.
    """
    if slots < 1 or context_tokens < 1:
        raise InputError(f"{slots} slots of {context_tokens} tokens serve nothing: give at least 1 each")
    return (
        "# random weights: speed and memory are the model's, its answers are not; each slot has room for "
        f"{context_tokens} tokens, prompt and answer",
        f"llama-server -m {shlex.quote(str(file))} --host 127.0.0.1 --port 8080 -np {slots} -c {slots * context_tokens} --no-webui",
        "python -m probes endpoint http://127.0.0.1:8080/v1 --sweep",
    )
