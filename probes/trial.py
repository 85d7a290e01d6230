"""`python -m probes.trial`: whether the installed llama.cpp can compute here, not only be loaded; a crash ends this process alone.

A wheel can load and still hold instructions that this processor, or this virtual machine, refuses at the first prompt.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path

from capacity.models import ModelSpec
from capacity.tensors import tensor_plan
from facts.errors import InputError
from facts.records import Source
from probes import llamacpp
from probes.measurement import LlamaCppSettings
from probes.synthetic import synthesize

SHAPE = ModelSpec(
    id="trial",
    name="Trial",
    architecture="llama",
    layers=1,
    hidden=256,
    ffn=512,
    heads=4,
    kv_heads=2,
    head_dim=64,
    vocab=512,
    context_tokens=4096,
    tied_embeddings=False,
    source=Source(url="https://github.com/ggml-org/llama.cpp", checked=date(2026, 11, 26)),
)
"""256 wide, the narrowest that every K-quant takes; written in a blink."""
SETTINGS = LlamaCppSettings(prompt_tokens=64, output_tokens=8, seconds=1.0, repetitions=1)
"""A prompt long enough for the matrix kernels, and an answer for those of one token."""


def main() -> int:
    """0 when a prompt and an answer were computed; 1 with one sentence on standard error."""
    with tempfile.TemporaryDirectory(prefix="rightsize-trial-") as folder:
        for quantization in ("Q4_K_M", "Q8_0"):
            file = synthesize(tensor_plan(SHAPE, quantization), Path(folder)).path
            try:
                llamacpp.measure(file, SETTINGS, lambda event: None)
            except InputError as error:
                print(error, file=sys.stderr)  # noqa: T201 -- this is the command line
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
