"""A large model with random weights: how fast it is written beside dd, and whether llama.cpp takes it, with finite logits.

SYNTHETIC_MODEL is a model of the catalogue (llama-2-7b: 4.08 GB in Q4_K_M); without it nothing is written. SYNTHETIC_ROUNDS rounds
(2) of both, in turn, each to the disk (fsync); SYNTHETIC_FOLDER is where (the system's temporary folder), with room for two files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from capacity.models import model
from capacity.tensors import tensor_plan
from probes.synthetic import synthesize
from probes.timing import median
from tests.bench.timing import Timing

LEAST_SHARE = 0.8
"""Of dd's speed."""
BLOCK = "32M"
LOAD = """
import ctypes, math, sys
from llama_cpp import llama_cpp as api
api.llama_backend_init()
params = api.llama_model_default_params()
params.check_tensors = True
model = api.llama_model_load_from_file(sys.argv[1].encode(), params)
assert model, "not loaded"
words = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
context = api.llama_init_from_model(model, api.llama_context_default_params())
ids = (api.llama_token * 8)(*range(100, 900, 100))
assert api.llama_decode(context, api.llama_batch_get_one(ids, 8)) == 0
logits = api.llama_get_logits_ith(context, -1)[:words]
assert all(map(math.isfinite, logits)), "a logit is not finite"
mean = sum(logits) / words
print(f"{words} logits, all finite, sd {(sum((one - mean) ** 2 for one in logits) / words) ** 0.5:.2f}")
"""


def main() -> list[Timing]:
    """Both writers in turn, then the file in llama.cpp with every tensor checked."""
    name = os.environ.get("SYNTHETIC_MODEL")
    if not name:
        print(f"{'':29}  SYNTHETIC_MODEL is not set: no large model is written")
        return []
    plan = tensor_plan(model(name), "Q4_K_M")
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("SYNTHETIC_FOLDER")) as folder:
        copy = Path(folder) / "copy"
        for number in range(int(os.environ.get("SYNTHETIC_ROUNDS", "2"))):
            for path in Path(folder).glob("*.gguf"):
                path.unlink()
            started = time.perf_counter()
            file = synthesize(plan, Path(folder)).path
            to_disk(file)
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            subprocess.run(["dd", f"if={file}", f"of={copy}", f"bs={BLOCK}", "conv=fsync", "status=none"], check=True)
            theirs.append(time.perf_counter() - started)
            copy.unlink()
            size = file.stat().st_size
            print(f"round {number + 1}: {size / 1e6 / ours[-1]:.0f} MB/s written, dd {size / 1e6 / theirs[-1]:.0f} MB/s", flush=True)
        share = median(theirs) / median(ours)
        print(f"{file.name}, {size:,} bytes: {share:.2f} of dd's speed, {'kept' if share >= LEAST_SHARE else 'missed'} ({LEAST_SHARE})")
        loaded = subprocess.run([sys.executable, "-c", LOAD, str(file)], check=False, capture_output=True, text=True)
        print(f"llama.cpp with check_tensors: {loaded.stdout.strip() or loaded.stderr.strip()[-300:]}")
    return [Timing(name=f"{plan.model.name} written, pools and fsync included", seconds=tuple(ours))]


def to_disk(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
