"""The command line: models and devices that the catalogue lacks, from the files that people have."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from capacity.models import model
from capacity.tensors import tensor_plan
from probes.synthetic import synthesize
from tests.probes.tiny import tiny

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
CARD = """[accelerator]
id = "own-card"
name = "Own card"
kind = "datacenter_gpu"
memory_kind = "hbm"
memory_gb = 80
mem_bw_gb_per_s = 3350
fp16_tflops = 989
link_kind = "nvlink"
link_gb_per_s = 450
source = { url = "our data sheet", checked = 2026-11-20 }
"""


def command(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "capacity", *words], input=text, capture_output=True, text=True, check=False)


def test_a_pasted_config_and_a_device_file_are_answered_as_the_catalogues(tmp_path):
    (tmp_path / "card.toml").write_text(CARD, encoding="utf-8")
    own = command("fit", "-", "bf16", str(tmp_path / "card.toml"), text=json.dumps(CONFIG))
    known = command("fit", "llama-3.1-8b", "bf16", "nvidia-h100-sxm-80")
    assert own.returncode == known.returncode == 0, own.stderr
    assert own.stdout.splitlines()[2:] == known.stdout.splitlines()[2:]  # below the names, every figure is the same


def test_what_fits_is_said_once_with_the_memory_that_the_engine_takes():
    served = command("fit", "llama-3.1-8b", "q4_k_m", "nvidia-h100-sxm-80", "--engine", "llama.cpp")
    first, second = served.stdout.splitlines()[:2]
    assert "takes 4.9 GB of 83.3 GB" in first  # 0.97 of 80 GiB, 85.9 GB; 0.9 of it would be 77.3
    assert " GB" not in second
    assert second.startswith("llama.cpp, TP1: ")
    assert "--cache-ram 0" in second


def test_a_gguf_header_is_shown_with_its_own_counts(tmp_path):
    file = synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path)
    shown = command("show", str(file.path))
    assert shown.returncode == 0, shown.stderr
    assert f"{model_count():.3f} B" in shown.stdout


def model_count() -> float:
    return tiny().params_total / 1e9


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "nowhere/config.json"), "no such file: nowhere/config.json"),
        (("show", "nowhere.gguf"), "nowhere.gguf"),
        (("fit", "llama-3.1-8b", "bf16", "nowhere.toml"), "nowhere.toml"),
        (("show", "hf:not a name"), "is not a repository name"),
    ],
)
def test_a_file_that_is_not_there_is_one_sentence(words, sentence):
    found = command(*words)
    assert found.returncode == 2
    assert found.stderr.startswith("error: ")
    assert sentence in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_a_config_that_is_not_one_is_one_sentence():
    found = command("show", "-", text="{")
    assert found.returncode == 2
    assert "the pasted text is not JSON" in found.stderr


def test_the_catalogue_is_listed():
    listed = command("show")
    assert model("llama-3.1-8b").id in listed.stdout
