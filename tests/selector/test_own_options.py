"""A model or server of the user's own in a decision: read, priced, ranked, kept, and refused in one sentence where something is missing."""

import json
import pickle
import subprocess
import sys
from datetime import date

import pytest

from capacity.accelerators import accelerator
from capacity.models import model
from facts.errors import InputError
from selector.catalog import load_catalog
from selector.options import list_options
from selector.quality import Kind
from selector.recommendation import recommend
from selector.results import Arm
from selector.scenarios import Scenario, changes, scenario_from_toml, scenario_sha256, scenario_to_toml

DAY = date(2026, 11, 20)
BASE = """
complexity = "extraction"
tokens_per_day = 40e6
labelled_examples = 3000
"""
SHAPE = """
[own.shape]
id = "x"
name = "Our 8B"
architecture = "qwen3"
layers = 36
hidden = 4096
ffn = 12288
heads = 32
kv_heads = 8
head_dim = 128
vocab = 151936
context_tokens = 40960
tied_embeddings = false
licence = "apache-2.0"
source = { url = "entered by the user", checked = 2026-11-20 }
"""
SHEET = """
[own.sheet]
id = "x"
name = "New card"
memory_kind = "gddr"
memory_gb = 48
mem_bw_gb_per_s = 864
fp16_tflops = 362
fp8_tflops = 733
source = { url = "entered by the user", checked = 2026-11-20 }
"""
OWNED = 'placement = "owned"\nserver_usd_per_gpu = 9000\nserver_kw_per_gpu = 0.6\n'


def own(keys: str, tables: str = "", base: str = BASE) -> Scenario:
    return scenario_from_toml(f"{base}\n[[own]]\n{keys}\n{tables}")


def result_of(scenario: Scenario):
    found = recommend(scenario, load_catalog(DAY, scenario.prices))
    return next(option for option in found.options if option.arm is Arm.OWN)


def test_a_catalogued_model_and_device_stated_as_an_own_option_cost_what_the_catalogues_option_costs():
    """Only where it came from differs: the rent of the day, the plan and the bill are the same to the cent."""
    scenario = own('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\ntuning = "to_do"\n')
    found = recommend(scenario, load_catalog(DAY, scenario.prices))
    mine = next(option for option in found.options if option.arm is Arm.OWN)
    arm = next(option for option in found.options if option.id == "fine-tuned-8b-rented")
    assert (mine.plan.device_id, arm.plan.device_id) == ("nvidia-l4", "nvidia-l4")
    assert mine.total_usd == pytest.approx(arm.total_usd, abs=0.01)
    assert mine.title == "Qwen3 8B in FP8 on NVIDIA L4, rented"


def test_an_own_shape_equal_to_the_catalogues_gives_the_same_speed():
    keys = 'device = "nvidia-l40s"\nplacement = "rented"\n'
    shape = SHAPE.replace("Our 8B", "Our copy")
    copied, known = result_of(own(keys, shape)), result_of(own(f'model = "qwen3-8b"\n{keys}'))
    assert copied.plan.output_tokens_per_s == pytest.approx(known.plan.output_tokens_per_s)
    assert copied.total_usd == pytest.approx(known.total_usd, abs=0.01)


def test_what_was_paid_for_an_own_server_is_its_capital():
    """Twice the price of the one server is 9,000 USD a GPU more in the sum."""
    once = result_of(own(OWNED, SHAPE + SHEET))
    twice = result_of(own(OWNED.replace("9000", "18000"), SHAPE + SHEET))
    servers = once.plan.replicas * once.plan.gpus_per_replica
    assert (once.plan.device_id, once.plan.gpus_per_replica) == (twice.plan.device_id, 1)
    assert twice.upfront_usd - once.upfront_usd == pytest.approx(9000.0 * servers)


def test_a_faster_own_device_never_costs_more():
    slow = result_of(own(OWNED, SHAPE + SHEET, BASE.replace("40e6", "900e6")))
    fast = result_of(own(OWNED, SHAPE + SHEET.replace("864", "3000").replace("733", "2000"), BASE.replace("40e6", "900e6")))
    assert fast.plan.output_tokens_per_s > slow.plan.output_tokens_per_s
    assert fast.total_usd < slow.total_usd


@pytest.mark.parametrize(
    ("model_id", "tuning", "kind", "tuned"),
    [
        ("qwen3-8b", "none", Kind.SMALL_UNTUNED, False),
        ("qwen3-32b", "none", Kind.PROMPTED_MID, False),
        ("llama-3.3-70b", "none", Kind.PROMPTED_70B, False),
        ("qwen3-8b", "to_do", Kind.TUNED_SMALL, True),
        ("qwen3-8b", "done", Kind.TUNED_SMALL, False),
    ],
)
def test_an_own_option_is_read_with_the_published_cases_of_its_class(model_id, tuning, kind, tuned):
    scenario = own(f'model = "{model_id}"\ndevice = "nvidia-h200-sxm"\nplacement = "rented"\ntuning = "{tuning}"\n')
    (option,) = [option for option in list_options(scenario.workload, scenario.own) if option.arm is Arm.OWN]
    assert (option.kind, option.tuned) == (kind, tuned)
    assert "which is assumed until you test it" in option.note


def test_training_stands_in_the_bill_only_where_it_is_still_to_be_done():
    bills = {
        tuning: result_of(own(f'model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\ntuning = "{tuning}"\n'))
        for tuning in ("to_do", "done")
    }
    assert bills["to_do"].total_usd > bills["done"].total_usd
    assert bills["to_do"].quality == bills["done"].quality


def test_the_file_and_what_is_kept_give_the_same_options_back():
    scenario = own(OWNED + 'title = "Ours"\ngpus = 2\nengine = "sglang"\n', SHAPE + SHEET)
    assert scenario_from_toml(scenario_to_toml(scenario)) == scenario
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario


def test_without_own_options_a_scenario_is_what_it_always_was():
    plain = scenario_from_toml(BASE)
    assert plain.own == ()
    assert "own" not in scenario_to_toml(plain)
    assert scenario_sha256(plain) != scenario_sha256(own('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\n'))


def test_an_option_that_came_is_a_change_of_inputs():
    before, after = scenario_from_toml(BASE), own('title = "Ours"\nmodel = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\n')
    assert [(change.table, change.key, change.before, change.after) for change in changes(before, after)] == [("own", "Ours", None, "held")]
    assert [(change.key, change.after) for change in changes(after, before)] == [("Ours", None)]


def test_another_process_finds_what_a_pickled_scenario_describes():
    """The doubt is drawn in a process beside the pages, which gets the scenario and has read no file."""
    scenario = own(OWNED, SHAPE + SHEET)
    told = """
import pickle, sys
from datetime import date
from selector.catalog import load_catalog
from selector.recommendation import recommend
scenario = pickle.loads(sys.stdin.buffer.read())
found = recommend(scenario, load_catalog(date(2026, 11, 20), scenario.prices))
print([option.plan.output_tokens_per_s for option in found.options if option.arm == "own"][0])
"""
    done = subprocess.run([sys.executable, "-c", told], input=pickle.dumps(scenario), capture_output=True, check=True, timeout=120)
    assert float(done.stdout) == result_of(scenario).plan.output_tokens_per_s


@pytest.mark.parametrize(
    ("keys", "tables", "says"),
    [
        ('device = "nvidia-l4"\nplacement = "rented"', "", "give either model, the id of a catalogued one, or shape"),
        ('model = "qwen3-8b"\nplacement = "rented"', "", "give either device, the id of a catalogued one, or sheet"),
        ('model = "qwen3-8x"\ndevice = "nvidia-l4"\nplacement = "rented"', "", "unknown model 'qwen3-8x'"),
        ('model = "qwen3-8b"\ndevice = "nvidia-l5"\nplacement = "rented"', "", "unknown accelerator 'nvidia-l5'"),
        ('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "leased"', "", "placement"),
        ('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\nengine = "ollama"', "", "engine 'ollama' is none of"),
        ('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\nquantization = "q9"', "", "unknown quantization 'q9'"),
        ('model = "qwen3-8b"\nplacement = "rented"', SHEET, "usd_per_gpu_hour is missing"),
        ('model = "qwen3-8b"\nplacement = "owned"', SHEET, "server_usd_per_gpu and server_kw_per_gpu are missing"),
        ('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "owned"\nserver_usd_per_gpu = 5', "", "go together"),
        ('model = "qwen3-8b"\nplacement = "owned"', SHEET.replace("fp16_tflops = 362", ""), "'fp16_tflops' is not known"),
        (
            OWNED,
            SHAPE + SHEET.replace("864", "1e300"),
            "mem_bw_gb_per_s of your own device is 1e[+]300: a data sheet states 0.1 to 1,000,000",
        ),
        (OWNED, SHAPE + SHEET.replace("memory_gb = 48", "memory_gb = 48e9"), "memory_gb of your own device is 4.8e[+]10"),
        (OWNED, SHAPE + SHEET.replace("New card", "x" * 81), "a name of 81 characters is none: give 1 to 80"),
        ('device = "nvidia-l4"\nplacement = "rented"', SHAPE.replace('architecture = "qwen3"', ""), "'architecture' is not known"),
        ('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\ngpus = 0', "", "gpus"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence_that_names_the_place(keys, tables, says):
    with pytest.raises(InputError, match=says) as told:
        own(keys, tables)
    assert "[[own]] 1" in str(told.value)
    assert "\n" not in str(told.value)


def test_own_options_are_a_list_of_eight_at_most_and_none_stands_there_twice():
    with pytest.raises(InputError, match=r"write \[\[own\]\] above the keys of each option"):
        scenario_from_toml(f"{BASE}\n[own]\nplacement = 'rented'")
    row = '\n[[own]]\nmodel = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\ngpus = {}\n'
    assert len(scenario_from_toml(BASE + "".join(row.format(count) for count in range(1, 9))).own) == 8
    with pytest.raises(InputError, match="own"):
        scenario_from_toml(BASE + "".join(row.format(count) for count in range(1, 10)))
    with pytest.raises(InputError, match="stands there twice"):
        scenario_from_toml(BASE + 2 * row.format(1))


def test_rented_from_a_provider_that_is_not_cleared_it_is_refused():
    base = BASE + 'residency = "region"\nallowed_providers = ["aws"]\n'
    keys = 'model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\nusd_per_gpu_hour = 0.5\n'
    assert "residency" in result_of(own(keys, base=base)).refused_because
    assert "residency" not in (result_of(own(f'{keys}provider = "aws"\n', base=base)).refused_because or "")


def test_the_command_line_writes_an_option_that_stands_at_the_end_of_a_workload_file(tmp_path, capsys):
    from selector.__main__ import app

    config, card = tmp_path / "ours" / "config.json", tmp_path / "card.toml"
    config.parent.mkdir()
    spec = {"model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32}
    config.write_text(json.dumps(spec | {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": False}))
    card.write_text(SHEET.replace("[own.sheet]", "[accelerator]"))
    told = ["own", "--model", str(config), "--device", str(card), "--placement", "owned", "--usd-per-gpu", "9000", "--kw-per-gpu", "0.6"]
    app([*told, "--tuning", "done"], standalone_mode=False)
    printed = capsys.readouterr().out
    (option,) = scenario_from_toml(BASE + printed).own
    assert (option.shape.layers, option.sheet.name, option.tuning) == (36, "New card", "done")
    app(["own", "--model", "Qwen/Qwen3-8B", "--device", "NVIDIA L4", "--placement", "rented"], standalone_mode=False)
    (known,) = scenario_from_toml(BASE + capsys.readouterr().out).own
    assert (known.model, known.device) == (model("qwen3-8b").id, accelerator("nvidia-l4").id)
    with pytest.raises(InputError, match=r"your own option: .*usd_per_gpu_hour is missing"):
        app(["own", "--model", "qwen3-8b", "--device", str(card), "--placement", "rented"], standalone_mode=False)
