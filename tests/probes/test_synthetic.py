import os
from pathlib import Path

import gguf
import numpy as np
import pytest

from capacity.models import ModelSpec, models
from capacity.tensors import GGML_BLOCKS, tensor_plan
from facts.errors import InputError
from probes import synthetic
from probes.vocabulary import vocabulary
from tests.probes.tiny import SHAPES, tiny


def whole(ggml_type: str, blocks: int = 4000) -> np.ndarray:
    """Random blocks of a type, read by gguf's own dequantiser."""
    data = synthetic._FILLS[ggml_type](np.random.default_rng(7), blocks).reshape(-1)
    assert len(data) == blocks * GGML_BLOCKS[ggml_type][1]
    if ggml_type in ("F32", "F16"):
        return data.view(np.float32 if ggml_type == "F32" else np.float16).astype(np.float64)
    return np.asarray(gguf.dequantize(data, gguf.GGMLQuantizationType[ggml_type]), dtype=np.float64)


@pytest.mark.parametrize("ggml_type", sorted(synthetic._FILLS))
def test_random_blocks_are_finite_centred_and_of_ordinary_size(ggml_type):
    weights = whole(ggml_type, 40_000 if GGML_BLOCKS[ggml_type][0] == 1 else 4000)
    assert np.isfinite(weights).all()
    assert abs(weights.mean()) < 5e-4  # a fortieth of the standard deviation
    assert 0.017 < weights.std() < 0.023


@pytest.mark.parametrize("ggml_type", ["Q4_0", "Q8_0", "Q4_K", "Q6_K"])
def test_random_blocks_are_not_compressible(ggml_type):
    import zlib

    data = synthetic._FILLS[ggml_type](np.random.default_rng(7), 2000).tobytes()
    assert len(zlib.compress(data)) > 0.93 * len(data)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_file_is_the_plan_to_the_byte(shape, tmp_path: Path):
    plan = tensor_plan(SHAPES[shape], "Q4_K_M")
    seen: list[tuple[int, int]] = []
    written = synthetic.synthesize(plan, tmp_path, lambda done, total: seen.append((done, total)))
    assert written.path.stat().st_size == written.bytes == synthetic.file_bytes(plan)
    assert seen[-1] == (written.bytes, written.bytes)
    reader = gguf.GGUFReader(written.path)
    found = [(tensor.name, tuple(int(n) for n in tensor.shape), tensor.tensor_type.name) for tensor in reader.tensors]
    assert found == [(tensor.name, tensor.shape, tensor.ggml_type) for tensor in plan.tensors]
    assert sum(int(tensor.n_elements) for tensor in reader.tensors) == plan.n_elements


def test_random_weights_are_marked_in_the_header(tmp_path: Path):
    written = synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path)
    reader = gguf.GGUFReader(written.path)
    assert reader.fields[synthetic.RANDOM_KEY].contents() is True
    assert "synthetic" in reader.fields["general.name"].contents()
    assert reader.fields["tokenizer.ggml.model"].contents() == "no_vocab"


def test_a_servable_file_has_a_token_for_every_byte_and_one_name_per_token(tmp_path: Path):
    plan = tensor_plan(tiny(), "Q4_K_M")
    plain, served = synthetic.synthesize(plan, tmp_path), synthetic.synthesize(plan, tmp_path, servable=True)
    assert plain.path != served.path
    assert served.path.stat().st_size == synthetic.file_bytes(plan, servable=True) > synthetic.file_bytes(plan)
    reader = gguf.GGUFReader(served.path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == len(set(tokens)) == tiny().vocab
    assert len([token for token in tokens if len(token) == 1]) == 256
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    assert (kinds.count(3), reader.fields["tokenizer.ggml.eos_token_id"].contents()) == (1, tiny().vocab - 1)
    assert reader.fields[synthetic.RANDOM_KEY].contents() is True


def test_a_vocabulary_too_small_for_every_byte_is_refused():
    assert len(next(entry.value for entry in vocabulary(259) if entry.key.endswith(".tokens"))) == 259
    with pytest.raises(InputError, match="258 tokens is too small to be served: 259 hold every byte"):
        vocabulary(258)


@pytest.mark.parametrize("shape", ["llama", "qwen3moe", "gemma3"])
def test_llama_cpp_reads_and_writes_text_with_a_servable_file(shape, tmp_path: Path):
    """A prompt's tokens are its bytes, less the one pair that is merged, and a word's token is its text."""
    llama_cpp = pytest.importorskip("llama_cpp")
    file = synthetic.synthesize(tensor_plan(SHAPES[shape], "Q4_K_M"), tmp_path, servable=True).path
    model = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    assert len(model.tokenize("Grüße, the end".encode(), add_bos=False)) == len("Grüße, the end".encode()) - 1
    assert model.detokenize(model.tokenize("Grüße, the end".encode(), add_bos=False)) == "Grüße, the end".encode()
    assert model.detokenize([257, 258]) == b" w0 w1"
    assert model.token_eos() == SHAPES[shape].vocab - 1


def test_norms_are_one_and_a_router_is_random(tmp_path: Path):
    written = synthetic.synthesize(tensor_plan(SHAPES["qwen3moe"], "Q4_K_M"), tmp_path)
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(written.path).tensors}
    assert (tensors["blk.0.attn_norm.weight"] == 1.0).all()
    assert 0.015 < tensors["blk.0.ffn_gate_inp.weight"].std() < 0.025


def test_the_same_shape_is_written_once_and_another_beside_it(tmp_path: Path):
    first = synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path)
    again = synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path)
    other = synthetic.synthesize(tensor_plan(tiny(layers=3), "Q4_K_M"), tmp_path)
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert first.path == again.path != other.path


def test_the_same_shape_has_the_same_bytes(tmp_path: Path):
    plan = tensor_plan(tiny(), "Q4_K_M")
    first = synthetic.synthesize(plan, tmp_path / "a").path.read_bytes()
    assert first == synthetic.synthesize(plan, tmp_path / "b").path.read_bytes()


def test_nothing_is_left_when_writing_fails(tmp_path: Path):
    def full(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left on device"):
        synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path, full)
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_of_the_dead_are_removed_and_of_the_living_kept(tmp_path: Path):
    dead, alive = tmp_path / "x.synthetic.gguf.part-999999999", tmp_path / f"x.synthetic.gguf.part-{os.getpid()}"
    dead.touch()
    alive.touch()
    synthetic.remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [alive]


def test_too_little_room_is_said_with_both_numbers(tmp_path: Path, monkeypatch):
    plan = tensor_plan(tiny(), "Q4_K_M")
    need = synthetic.file_bytes(plan) * 1.05

    class Disk:
        free = need + 1

    monkeypatch.setattr(synthetic.psutil, "disk_usage", lambda _: Disk)
    synthetic.check_room(plan, tmp_path)
    Disk.free = need - 1
    with pytest.raises(InputError, match=r"needs 0\.00 GB in .*, 0\.00 GB are free"):
        synthetic.check_room(plan, tmp_path)


def test_a_folder_in_memory_needs_memory(tmp_path: Path, monkeypatch):
    plan = tensor_plan(tiny(), "Q4_K_M")
    monkeypatch.setattr(synthetic, "file_system", lambda _: "tmpfs")
    monkeypatch.setattr(synthetic, "usable_memory_bytes", lambda: 1000)
    with pytest.raises(InputError, match="is kept in memory"):
        synthetic.check_room(plan, tmp_path)


def test_a_model_larger_than_memory_is_refused_on_both_sides_of_the_limit(monkeypatch):
    monkeypatch.setattr(synthetic, "usable_memory_bytes", lambda: 1250)
    synthetic.check_memory(1000, "m", repack=True)
    with pytest.raises(InputError, match="one of the disk"):
        synthetic.check_memory(1001, "m", repack=True)


def test_a_type_that_cannot_be_filled_is_refused_by_name():
    with pytest.raises(InputError, match="IQ"):
        synthetic.check_types(tensor_plan(tiny(), "IQ2_XS"))


def test_a_layout_that_llama_cpp_was_not_seen_to_load_is_refused_by_name():
    synthetic.check_types(tensor_plan(tiny(), "Q4_K_M"))
    with pytest.raises(InputError, match="has the layout 'llama4', which cannot be written"):
        synthetic.check_types(tensor_plan(tiny("llama4"), "Q4_K_M"))


def refusal(model: ModelSpec) -> str:
    try:
        synthetic.check_types(tensor_plan(model, "Q4_K_M"))
    except InputError as error:
        return str(error)
    return ""


def test_every_model_of_the_catalogue_is_planned_or_refused_by_name():
    refusals = {model.id: refusal(model) for model in models()}
    for model in models():
        assert not refusals[model.id] or model.id in refusals[model.id] or model.name in refusals[model.id]
    planned = {model.architecture for model in models() if not refusals[model.id]}
    assert {"llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3"} <= planned


def test_a_changed_copy_of_a_model_is_planned_by_its_own_shape_whatever_was_computed_before():
    whole_model = tiny(layers=4)
    tensor_plan(whole_model, "Q4_K_M")  # counts the whole's tensors, which the record keeps
    part = whole_model.model_copy(update={"layers": 2})
    told = ModelSpec.model_validate_json(part.model_dump_json())  # as a child process is told it
    assert tensor_plan(part, "Q4_K_M") == tensor_plan(told, "Q4_K_M")
    assert synthetic.synthetic_path(tensor_plan(part, "Q4_K_M"), Path()) == synthetic.synthetic_path(tensor_plan(told, "Q4_K_M"), Path())
