"""Shapes from files: a GGUF header written here, configs as vendors publish them, and what is wrong with bad ones."""

from __future__ import annotations

import json
from datetime import date

import gguf
import httpx
import numpy as np
import pytest

from capacity import hf_config
from capacity.footprint import linear_state_bytes
from capacity.gguf_header import model_from_metadata, read_gguf_beginning, read_gguf_header
from capacity.hf_config import fetch_config, read_config
from capacity.memory import kv_cache_bytes_per_token
from capacity.models import model
from capacity.tensors import gguf_metadata
from facts.errors import InputError
from facts.records import Source

TODAY = date(2026, 11, 22)


def write_header(path, spec, tensors):
    writer = gguf.GGUFWriter(path, spec.architecture)
    add = {"uint32": writer.add_uint32, "float32": writer.add_float32, "string": writer.add_string, "uint32s": writer.add_array}
    for entry in gguf_metadata(spec):
        if entry.key != "general.architecture":
            add[entry.kind](entry.key, list(entry.value) if isinstance(entry.value, tuple) else entry.value)
    for name in tensors:
        writer.add_tensor(name, np.zeros((4, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("model_id", ["llama-2-7b", "qwen3-0.6b", "qwen3-30b-a3b", "mixtral-8x7b"])
def test_a_header_gives_back_the_shape_that_wrote_it(tmp_path, model_id):
    spec, path = model(model_id), tmp_path / "tiny.gguf"
    write_header(path, spec, ["token_embd.weight", *([] if spec.tied_embeddings else ["output.weight"])])
    found = read_gguf_header(path, as_of=TODAY)
    assert found.model.params_total == spec.params_total
    assert kv_cache_bytes_per_token(found.model) == kv_cache_bytes_per_token(spec)
    assert (found.quantization, found.synthetic, found.file_bytes) == ("Q4_K_M", True, path.stat().st_size)
    assert found.tensor_bytes == 4 * 32 * 2 * (1 if spec.tied_embeddings else 2)


def test_the_beginning_of_a_file_is_enough_and_a_cut_header_asks_for_more(tmp_path):
    spec, path = model("llama-2-7b"), tmp_path / "tiny.gguf"
    write_header(path, spec, ["token_embd.weight", "output.weight"])
    whole = path.read_bytes()
    found = read_gguf_beginning(whole[: len(whole) - 4 * 32 * 2 - 1], name="../up/load.gguf", as_of=TODAY)  # both weights are cut
    assert found.model == read_gguf_header(path, as_of=TODAY).model.model_copy(update={"source": found.model.source})
    assert found.model.source.url == "load.gguf"
    assert (found.tensor_bytes, found.file_bytes) == (2 * 4 * 32 * 2, len(whole) - 4 * 32 * 2 - 1)
    with pytest.raises(InputError, match=r"^load\.gguf is not a GGUF file"):
        read_gguf_beginning(b"PK\x03\x04" * 10, name="load.gguf", as_of=TODAY)
    words = ["a" * 100] * 20_000
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", words)
    writer.add_uint32("llama.block_count", 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(InputError, match="if these are its first 1 MiB only, give more of them"):
        read_gguf_beginning(path.read_bytes()[: 2**20], name="load.gguf", as_of=TODAY)


@pytest.mark.parametrize("contents", [b"", b"GG", b"PK\x03\x04 a zip", b"GGUF\x03\x00\x00\x00"])
def test_what_is_no_gguf_is_said_in_a_sentence(tmp_path, contents):
    path = tmp_path / "model.gguf"
    path.write_bytes(contents)
    with pytest.raises(InputError, match="GGUF"):
        read_gguf_header(path, as_of=TODAY)
    with pytest.raises(InputError, match="no such file"):
        read_gguf_header(tmp_path / "none.gguf", as_of=TODAY)


LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


def test_a_plain_config_counts_as_published():
    spec = read_config(json.dumps(LLAMA), name="Llama 3.1 8B", as_of=TODAY)
    assert spec.params_total == model("llama-3.1-8b").params_total
    assert spec.head_dim == 128


def test_a_nested_hybrid_mixture_is_read():
    text = {
        "model_type": "qwen3_5_moe_text",
        "full_attention_interval": 4,
        "head_dim": 256,
        "hidden_size": 4096,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 64,
        "linear_value_head_dim": 128,
        "moe_intermediate_size": 1024,
        "shared_expert_intermediate_size": 1024,
        "num_attention_heads": 32,
        "num_experts": 512,
        "num_experts_per_tok": 10,
        "num_hidden_layers": 60,
        "num_key_value_heads": 2,
        "vocab_size": 248320,
    }
    spec = read_config(json.dumps({"model_type": "qwen3_5_moe", "text_config": text, "tie_word_embeddings": False}), name="x", as_of=TODAY)
    assert spec.params_total == model("qwen3.5-397b-a17b").params_total
    assert kv_cache_bytes_per_token(spec) == 15 * 2 * 2 * 256 * 2


def test_latent_attention_and_windows_are_read():
    mla = read_config(
        json.dumps({**LLAMA, "model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_hidden_layers": 61}),
        name="x",
        as_of=TODAY,
    )
    assert kv_cache_bytes_per_token(mla) == 61 * 576 * 2
    window = read_config(
        json.dumps({**LLAMA, "model_type": "gemma3_text", "sliding_window": 1024, "sliding_window_pattern": 6}), name="x", as_of=TODAY
    )
    assert window.full_attention_layers == 32 // 6


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ("{}", "'num_hidden_layers' is missing"),
        (json.dumps({**LLAMA, "hidden_size": None}), "'hidden_size' is missing"),
    ],
)
def test_a_wrong_config_is_said_in_a_sentence(text, sentence):
    with pytest.raises(InputError, match=sentence):
        read_config(text, name="x", as_of=TODAY)


def test_a_repository_is_fetched_and_failures_offer_pasting():
    def answer(request):
        if "gated" in str(request.url):
            return httpx.Response(403)
        if "gone" in str(request.url):
            raise httpx.ConnectTimeout("no network", request=request)
        return httpx.Response(200, json=LLAMA)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    assert fetch_config("meta-llama/Llama-3.1-8B", as_of=TODAY, client=client).hf_id == "meta-llama/Llama-3.1-8B"
    with pytest.raises(InputError, match=r"gated.*paste"):
        fetch_config("some/gated", as_of=TODAY, client=client)
    with pytest.raises(InputError, match=r"cannot be reached.*paste"):
        fetch_config("some/gone", as_of=TODAY, client=client)
    with pytest.raises(InputError, match="owner/name"):
        fetch_config("http://elsewhere/x", as_of=TODAY, client=client)


def metadata(architecture, **keys):

    fields = {f"{architecture}.{key.replace('__', '.')}": entry for key, entry in keys.items()}
    source = Source(url="x", checked=TODAY)
    return model_from_metadata(fields, architecture, name="x", vocab=1000, tied=False, source=source)


def test_heads_may_be_an_array_with_one_number_per_layer():
    spec = metadata(
        "llama",
        block_count=3,
        embedding_length=256,
        feed_forward_length=[512, 512, 1024],
        attention__head_count=[8, 8, 8],
        attention__head_count_kv=[8, 2, 4],
        attention__key_length=32,
    )
    assert spec.kv_heads_by_layer == (8, 2, 4)
    assert kv_cache_bytes_per_token(spec) == 2 * (8 + 2 + 4) * 32 * 2
    config = {**LLAMA, "num_hidden_layers": 3, "num_key_value_heads": [8, 2, 4], "num_attention_heads": [32, 32, 32]}
    assert kv_cache_bytes_per_token(read_config(json.dumps(config), name="x", as_of=TODAY)) == 2 * (8 + 2 + 4) * 128 * 2


def test_a_header_of_a_hybrid_says_its_linear_layers():
    spec = metadata(
        "qwen35",
        block_count=32,
        embedding_length=2560,
        feed_forward_length=9216,
        full_attention_interval=4,
        attention__head_count=16,
        attention__head_count_kv=4,
        attention__key_length=256,
        ssm__group_count=16,
        ssm__time_step_rank=32,
        ssm__state_size=128,
    )
    assert (spec.linear_attention_layers, spec.linear_key_heads, spec.linear_value_heads, spec.linear_head_dim) == (24, 16, 32, 128)
    assert linear_state_bytes(spec) == 2 * 4 * 24 * 32 * 128 * 128


def test_a_config_that_is_missing_or_drips_is_given_up(monkeypatch):
    class Drip(httpx.SyncByteStream):
        def __iter__(self):
            yield from (b"{", b" ", b"}")

    def answer(request):
        return httpx.Response(404) if "none" in str(request.url) else httpx.Response(200, stream=Drip())

    client = httpx.Client(transport=httpx.MockTransport(answer))
    with pytest.raises(InputError, match=r"no such repository \(404\); paste"):
        fetch_config("some/none", as_of=TODAY, client=client)
    monkeypatch.setattr(hf_config, "FETCH_TIMEOUT_S", -1.0)
    with pytest.raises(InputError, match=r"cannot be reached \(ReadTimeout\); paste"):
        fetch_config("some/slow", as_of=TODAY, client=client)
