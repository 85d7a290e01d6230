"""Two layers of a model with random weights, in a process of its own: what benchmarks of llama.cpp's host side run on."""

from __future__ import annotations

import ctypes
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from capacity.models import model
from capacity.tensors import tensor_plan
from probes.proxy import proxy_shape
from probes.synthetic import synthesize

LAYERS = 2
T = TypeVar("T")


def each(names: Sequence[str], work: Callable[[str], T]) -> Iterator[tuple[str, T]]:
    """(name, what `work` finds in its GGUF file), one model after another."""
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as child:
        for name in names:
            path = synthesize(tensor_plan(proxy_shape(model(name), LAYERS), "q4_k_m"), Path(folder)).path
            yield name, child.apply(work, (str(path),))


def after_prompt(path: str, prompt: Sequence[int], context_tokens: int) -> tuple[Any, Any]:
    """(model, context) of a GGUF file, as llama.cpp's own, once it has read the prompt."""
    import llama_cpp

    llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    loaded = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_batch = context_tokens, len(prompt)
    context = llama_cpp.llama_init_from_model(loaded, settings)
    tokens = (ctypes.c_int32 * len(prompt))(*prompt)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(prompt))) != 0:
        raise RuntimeError(f"{path} read no prompt")
    return loaded, context


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _silent(_level: int, _text: bytes, _data: int) -> None:
    return None
