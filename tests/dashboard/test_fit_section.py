"""Before measuring: a model of the catalogue, of a config.json or a GGUF header, on a device of the catalogue or of a data sheet."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from capacity.accelerators import Accelerator, Server, accelerator
from capacity.hf_config import read_config
from capacity.memory import fit
from capacity.models import benchmark_attribution, benchmark_scores, model
from capacity.throughput import serving_curve
from dashboard import forms, state
from facts.errors import InputError
from facts.records import Source
from tests.capacity.test_headers_and_configs import LLAMA, TODAY, write_header
from tests.dashboard.test_pages import decide, on, plain, said
from tests.selector.test_own_options import own

__all__ = ["decide"]  # the fixture

H100 = "nvidia-h100-sxm-80"


def asked(app: AppTest, device: str = H100) -> AppTest:
    app = on("measure", app)
    return app.selectbox(key="fit.device").select(device).run()


def speeds(app: AppTest) -> list[str]:
    """Tokens a second of the curve's table."""
    tables = [element.value for element in app.table if "Tokens/s out" in element.value.columns]
    return [] if not tables else [plain(cell) for cell in tables[0]["Tokens/s out"]]


def test_a_catalogued_model_is_answered_as_the_estimate_says(decide: AppTest) -> None:
    app = asked(decide)
    server = Server(accelerator=accelerator(H100))
    curve = serving_curve(model("llama-3.1-8b"), "bf16", server, engine="vllm", input_tokens=1000, output_tokens=200)
    assert not app.exception
    assert speeds(app)[-1] == f"{curve.points[-1].output_tokens_per_s:,.0f}"
    assert fit(model("llama-3.1-8b"), "bf16", server, 1200).sentence in said(app)
    app.selectbox(key="fit.engine").select("llama.cpp").run()
    app.number_input(key="fit.gpus").set_value(2).run()
    assert not app.exception
    assert "on 2 x" in said(app)
    assert app.selectbox(key="fit.precision.True").value == "fp16"


def test_published_scores_stand_beside_a_model_with_who_reports_them_and_whose_list_it_is(decide: AppTest) -> None:
    app = asked(decide)
    tables = [element.value for element in app.table if "Benchmark" in element.value.columns]
    assert len(tables) == 1
    assert len(tables[0]) == len(benchmark_scores("llama-3.1-8b")) > 0
    assert {plain(cell) for cell in tables[0]["By"]} == {"its own maker"}
    assert benchmark_attribution() in said(app).replace("\\", "")
    app.selectbox(key="fit.model").select("modernbert-large").run()
    assert not [element for element in app.table if "Benchmark" in element.value.columns]


def test_a_pasted_config_is_the_same_as_the_catalogued_shape_and_what_is_wrong_with_it_is_a_sentence(decide: AppTest) -> None:
    app = asked(decide)
    catalogued = speeds(app)
    app.radio(key="fit.model_from").set_value("Its config.json").run()
    assert "Paste the file's text." in said(app)
    app.text_area(key="fit.config").set_value(json.dumps(LLAMA)).run()
    app.text_input(key="fit.config_name").set_value("Our Llama").run()
    assert not app.exception
    assert "Our Llama, 8.03 B parameters, on" in said(app)
    assert speeds(app) == catalogued
    app.text_area(key="fit.config").set_value("{not json").run()
    assert "the pasted text is not JSON" in " ".join(str(element.value) for element in app.warning)
    app.text_area(key="fit.config").set_value(json.dumps({"hidden_size": 4096})).run()
    assert "'num_hidden_layers' is missing" in " ".join(str(element.value) for element in app.warning)
    assert speeds(app) == []


def test_a_repository_is_asked_only_when_the_button_is_pressed_and_its_refusal_is_a_sentence(
    decide: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[str] = []

    def fetched(repository: str, *, as_of):
        asked_for.append(repository)
        if repository == "some/gone":
            raise InputError("some/gone has no config.json, or there is no such repository (404); paste a config.json instead")
        return read_config(json.dumps(LLAMA), name="Fetched", as_of=as_of)

    monkeypatch.setattr("dashboard.fit_section.fetch_config", fetched)
    app = asked(decide)
    catalogued = speeds(app)
    app.radio(key="fit.model_from").set_value("Its name on Hugging Face").run()
    app.text_input(key="fit.hub").set_value("some/gone").run()
    assert asked_for == []
    app.button(key="fit.hub_fetch").click().run()
    assert "there is no such repository (404)" in " ".join(str(element.value) for element in app.warning)
    app.text_input(key="fit.hub").set_value(" some/model ").run()
    app.button(key="fit.hub_fetch").click().run()
    assert not app.exception
    assert asked_for == ["some/gone", "some/model"]
    assert "Fetched, 8.03 B parameters, on" in said(app)
    assert speeds(app) == catalogued


def test_an_uploaded_gguf_header_is_read_and_kept_for_the_session(decide: AppTest, tmp_path) -> None:
    path = tmp_path / "tiny.gguf"
    write_header(path, model("llama-2-7b"), ["token_embd.weight", "output.weight"])
    app = asked(decide)
    app.radio(key="fit.model_from").set_value("Its GGUF file").run()
    app.file_uploader(key="fit.gguf").set_value([("tiny.gguf", path.read_bytes(), "application/octet-stream")]).run()
    assert not app.exception
    assert "6.74 B parameters" in said(app)
    assert "Q4_K_M file type" in said(app)
    app.file_uploader(key="fit.gguf").set_value([("zip.gguf", b"PK\x03\x04", "application/octet-stream")]).run()
    assert "zip.gguf is not a GGUF file" in " ".join(str(element.value) for element in app.warning)


def test_an_own_model_on_an_own_device_stands_in_the_decision_and_is_taken_out_again(decide: AppTest) -> None:
    app = asked(decide)
    app.radio(key="fit.model_from").set_value("Its config.json").run()
    app.text_area(key="fit.config").set_value(json.dumps(LLAMA)).run()
    app.text_input(key="fit.config_name").set_value("Our Llama").run()
    app.radio(key="fit.device_from").set_value("From its data sheet").run()
    for field, value in (("memory_gb", 48.0), ("mem_bw_gb_per_s", 900.0), ("fp16_tflops", 180.0)):
        app.number_input(key=f"fit.{field}").set_value(value).run()
    app.selectbox(key="own.placement").select("owned").run()
    app.button(key="own.add").click().run()
    assert "server_usd_per_gpu and server_kw_per_gpu are missing" in " ".join(str(element.value) for element in app.error)
    app.number_input(key="own.server_usd_per_gpu").set_value(9000.0).run()
    app.number_input(key="own.server_kw_per_gpu").set_value(0.5).run()
    app.text_input(key="own.licence").set_value("apache-2.0").run()
    app.button(key="own.add").click().run()
    assert not app.exception
    name = "Our Llama in BF16 on My device, own servers"
    assert f"{name} is an option of the decision now." in " ".join(str(element.value) for element in app.success)
    (option,) = app.session_state[state.OWN]
    assert (option.server_usd_per_gpu, option.shape.name, option.sheet.name) == (9000.0, "Our Llama", "My device")
    assert option.shape.licence == "apache-2.0"
    app.button(key="own.add").click().run()
    assert "is in the decision already" in " ".join(str(element.value) for element in app.error)
    decision = on("decide", app)
    assert not decision.exception
    shown = said(decision) + " ".join(table.value.to_string() for table in decision.table)
    assert name in shown
    assert f"Your own option, {name}, costs $" in said(decision)
    assert decision.session_state["state.scenario"].own == (option,)
    assert "Your own options do not fit into an address" in said(on("report", decision))
    back = on("measure", decision)
    assert name in said(back)
    back.button(key="own.drop.0").click().run()
    assert back.session_state[state.OWN] == ()
    back.button(key="undo.button").click().run()
    assert back.session_state[state.OWN] == (option,)


def test_an_example_begins_without_own_options(decide: AppTest) -> None:
    decide.session_state[state.OWN] = own('model = "qwen3-8b"\ndevice = "nvidia-l4"\nplacement = "rented"\n').own
    decide.run()
    assert len(decide.session_state["state.scenario"].own) == 1
    decide.button(key=f"form.example.{forms.example_workloads()[1].name}").click().run()
    assert decide.session_state["state.scenario"].own == ()


def test_a_device_from_its_data_sheet_names_what_is_missing_and_then_answers(decide: AppTest) -> None:
    app = asked(decide)
    app.radio(key="fit.device_from").set_value("From its data sheet").run()
    assert "Still wanted from the data sheet: memory, memory bandwidth, 16-bit TFLOPS." in said(app)
    app.number_input(key="fit.memory_gb").set_value(48.0).run()
    app.number_input(key="fit.mem_bw_gb_per_s").set_value(900.0).run()
    assert "Still wanted from the data sheet: 16-bit TFLOPS." in said(app)
    app.number_input(key="fit.fp16_tflops").set_value(180.0).run()
    app.text_input(key="fit.device_name").set_value("Our card").run()
    assert not app.exception
    own = Accelerator(
        id="our-card",
        name="Our card",
        memory_gb=48.0,
        mem_bw_gb_per_s=900.0,
        fp16_tflops=180.0,
        link_kind="none",
        source=Source(url="entered by the user", checked=TODAY),
    )
    curve = serving_curve(model("llama-3.1-8b"), "bf16", Server(accelerator=own), engine="vllm", input_tokens=1000, output_tokens=200)
    assert "on Our card" in said(app)
    assert speeds(app)[-1] == f"{curve.points[-1].output_tokens_per_s:,.0f}"
    app.number_input(key="fit.memory_gb").set_value(4.0).run()
    assert not app.exception
    assert fit(model("llama-3.1-8b"), "bf16", Server(accelerator=own.model_copy(update={"memory_gb": 4.0})), 1200).sentence in said(app)
    assert speeds(app) == []
