"""The Measure page: a reported server is opened, applied, taken back and priced; a server is asked only where it may be."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from capacity.accelerators import accelerator
from capacity.models import model
from capacity.throughput import ServingCurve, Throughput
from dashboard import measure_charts
from dashboard.expectation import Expectation, before, context_of, expected, out_of_reach, promised
from facts.records import Basis
from facts.settings import settings
from probes.build import BuildPhase, BuildState
from probes.curves import knee
from probes.ledger import cost_of, ledger
from probes.llamacpp import test_names as names_of_tests
from probes.measurement import Environment, LlamaCppSettings, Proxy
from probes.runner import ProbeRequest, State
from probes.store import list_applied, save_measurement
from tests.dashboard.test_pages import decide, on, said
from tests.probes.test_ledger import H100, in_process, served
from workloads.demand import Workload

__all__ = ["decide"]  # the fixture


def test_a_reported_server_is_opened_and_applied_and_taken_back(decide: AppTest) -> None:
    reported = served(15.0)
    save_measurement(settings(), reported)
    app = on("measure", decide)
    assert "no measurement is applied" in said(app).lower()
    app.selectbox(key="measure.open").select(reported.id).run()
    assert not app.exception
    text = said(app)
    assert "Llama-3.1-8B-Instruct served by vllm" in text
    assert "4 in flight" in text
    app.button(key="measure.opened.apply").click().run()
    assert not app.exception
    assert f"Applied: vllm on 1 x {accelerator(H100).name} is calibrated by measurement {reported.id[:12]}" in " ".join(
        str(element.value) for element in app.success
    )
    ((_, applied),) = list_applied(settings())
    assert (applied.model_id, applied.quantization, applied.device_id, applied.gpus) == ("llama-3.1-8b", "bf16", H100, 1)
    app.button(key=f"measure.drop.{reported.id[:12]}").click().run()
    assert list_applied(settings()) == ()
    app.button(key="undo.button").click().run()
    assert [found for _, found in list_applied(settings())] == [applied]


def test_what_cannot_be_applied_says_why_on_the_page(decide: AppTest) -> None:
    alone = served(60.0, concurrency=1)
    save_measurement(settings(), alone)
    app = on("measure", decide)
    app.selectbox(key="measure.open").select(alone.id).run()
    app.button(key="measure.opened.apply").click().run()
    assert "measure at 2 or more" in " ".join(str(element.value) for element in app.error)
    assert list_applied(settings()) == ()


def test_the_ledger_prices_a_measured_server_at_saturation_and_at_the_offered_load(decide: AppTest) -> None:
    save_measurement(settings(), served(400.0))
    app = on("measure", decide)
    app.number_input(key="measure.usd_per_hour").set_value(3.6).run()
    app.number_input(key="measure.offered").set_value(86.4).run()  # 1,000 tokens/s
    text = said(app)
    assert "c4, saturation" in text
    assert "offered 1000 tokens/s" in text
    # full, at 404 + 3640 tokens/s: 3.60 / (4044 x 3600) x 10^6 = 0.25; at 1,000 tokens/s the same hour is paid: 1.00
    assert "$0.25" in text
    assert "$1.00" in text


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("measure.url", "http://10.0.0.7:8000/v1", "is not on the list of endpoints a page may call"),
        ("measure.url", "file:///etc/passwd", "is not an address"),
        ("measure.url", "http://user:secret@127.0.0.1/v1", "name or password"),
    ],
)
def test_a_server_outside_the_list_is_not_asked(decide: AppTest, field: str, value: str, says: str) -> None:
    app = on("measure", decide)
    app.text_input(key=field).set_value(value).run()
    app.button(key="measure.server_start").click().run()
    assert says in " ".join(str(element.value) for element in app.error)
    assert not app.exception


def test_levels_that_are_no_numbers_are_said_at_once(decide: AppTest) -> None:
    app = on("measure", decide)
    app.radio(key="measure.way").set_value("Levels of my own").run()
    app.text_input(key="measure.levels").set_value("1, four").run()
    assert "is no list of whole numbers" in said(app) + " ".join(str(element.value) for element in app.warning)


def test_spending_is_asked_for_first(decide: AppTest) -> None:
    app = on("measure", decide)
    app.number_input(key="measure.output_price").set_value(10.0).run()
    assert app.button(key="measure.server_start").disabled
    app.checkbox(key="measure.spend").check().run()
    assert not app.button(key="measure.server_start").disabled


@pytest.mark.parametrize("which", ["server_desk", "probe_desk"])
def test_the_last_probe_may_be_opened_among_the_saved_ones_too(decide: AppTest, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    found = served(15.0) if which == "server_desk" else in_process("qwen3-0.6b", 100.0, 50.0)
    save_measurement(settings(), found)
    job = SimpleNamespace(state=State.DONE, message="done", result=found)
    desk = SimpleNamespace(job=job, running=(), not_saved="", saved_id=found.id)
    monkeypatch.setattr(f"dashboard.state.{which}", lambda: desk)
    app = on("measure", decide)
    app.selectbox(key="measure.open").select(found.id).run()
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("ticked", [True, False])
def test_the_probe_measures_at_the_workloads_own_context_too(decide: AppTest, monkeypatch: pytest.MonkeyPatch, ticked: bool) -> None:
    asked: list[ProbeRequest] = []
    desk = SimpleNamespace(job=None, running=(), not_saved="", saved_id="", start=lambda request, created: asked.append(request))
    monkeypatch.setattr("dashboard.state.probe_desk", lambda: desk)
    monkeypatch.setattr("probes.build.build_state", lambda: BuildState(state=BuildPhase.READY))
    fast = Expectation(prompt_tokens_per_s=10_000.0, answer_tokens_per_s=50.0, rests_on="a sheet")
    monkeypatch.setattr("dashboard.probe_form.expected", lambda *_: fast)
    wanted = context_of(decide.session_state["state.scenario"].workload)
    app = on("measure", decide)
    box = app.checkbox(key="measure.depth")
    assert wanted > 0
    assert f"{wanted:,} tokens" in box.label
    (box.check() if ticked else box.uncheck()).run()
    app.button(key="measure.start").click().run()
    assert [request.settings.depths for request in asked] == [(0, wanted) if ticked else (0,)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ProbeRequest]:
    """What the page asks of the desk, with an engine that is built and a machine of 24 GB."""
    found: list[ProbeRequest] = []
    desk = SimpleNamespace(job=None, running=(), not_saved="", saved_id="", start=lambda request, created: found.append(request))
    monkeypatch.setattr("dashboard.state.probe_desk", lambda: desk)
    monkeypatch.setattr("probes.build.build_state", lambda: BuildState(state=BuildPhase.READY))
    machine = Environment(host="a", cpu="Some Processor", usable_cores=8.0, memory_bytes=24 << 30, memory_available_bytes=20 << 30)
    monkeypatch.setattr("probes.environment.read_environment", lambda: machine)
    return found


def test_an_engineer_sets_sequences_a_sweep_threads_and_layers_on_the_page(
    decide: AppTest, asked: list[ProbeRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.probe_form.context_of", lambda _: 0)
    app = on("measure", decide)
    app.multiselect(key="measure.slots").set_value([8, 2]).run()
    app.multiselect(key="measure.sweep").set_value(["kv_type", "repack"]).run()
    app.number_input(key="measure.threads").set_value(4).run()
    app.selectbox(key="measure.layers.qwen3-0.6b").set_value(8).run()
    assert "It writes 8 of the 28 layers to a file" in said(app)
    # one prompt, one answer, two widths, and of three changed settings (q8_0, q4_0, no repacking) a prompt and an answer each: 4 + 6
    assert "10 tests share" not in said(app)  # 6 s each
    app.selectbox(key="measure.budget").select("short, 15 s").run()
    assert "10 tests share 15 s" in said(app)
    app.button(key="measure.start").click().run()
    assert not app.exception
    (request,) = asked
    chosen = request.settings
    assert (chosen.slots, chosen.sweep, chosen.threads, request.proxy_layers) == ((1, 2, 8), ("kv_type", "repack"), 4, 8)


def test_nothing_set_is_the_probe_as_it_always_was(decide: AppTest, asked: list[ProbeRequest]) -> None:
    app = on("measure", decide)
    app.button(key="measure.start").click().run()
    (request,) = asked
    chosen = request.settings
    assert (chosen.slots, chosen.sweep, chosen.threads, request.proxy_layers) == ((1,), (), None, None)


def test_a_model_too_large_for_the_machine_is_measured_by_a_few_layers(decide: AppTest, asked: list[ProbeRequest]) -> None:
    """42.5 GB do not go into 24 GiB: 4 of 80 layers do, and the whole is offered as extrapolated only."""
    app = on("measure", decide)
    app.selectbox(key="measure.model").select("llama-3.3-70b").run()
    assert not app.exception
    layers = app.selectbox(key="measure.layers.llama-3.3-70b")
    assert [option for option in layers.options if option.startswith("all")] == []
    assert "The whole model's speed is extrapolated" in said(app)
    app.button(key="measure.start").click().run()
    assert [(request.model.id, request.proxy_layers) for request in asked] == [("llama-3.3-70b", 4)]


def test_the_tests_of_the_settings_are_known_before_the_probe():
    """At two depths a prompt, one answer and four at once each: 6; a sweep repeats the first prompt and answer: 2 changes, 4 more."""
    chosen = LlamaCppSettings(depths=(0, 1024), slots=(1, 4), sweep=("kv_type",))
    names = names_of_tests(chosen)
    assert names[:6] == ("pp512", "tg128", "tg128x4", "pp512@d1024", "tg128@d1024", "tg128@d1024x4")
    assert len(names) == 10


def test_every_test_has_its_own_prediction():
    """At depth the cache is read too, several answers share the weights: slower than alone at none, and faster in all."""
    plain = in_process("qwen3-0.6b", 100.0, 60.0)
    cost = cost_of(model("qwen3-0.6b"), "Q4_K_M", LlamaCppSettings())
    answer = plain.generation_test
    alone = promised(plain.environment, cost, answer)
    deep = promised(plain.environment, cost, answer.model_copy(update={"depth": 16_384}))
    four = promised(plain.environment, cost, answer.model_copy(update={"slots": 4}))
    assert deep < 0.8 * alone < alone < four < 4 * alone
    small = cost_of(model("qwen3-0.6b"), "Q4_K_M", LlamaCppSettings(kv_type="q4_0"))
    assert deep < promised(plain.environment, small, answer.model_copy(update={"depth": 16_384})) < alone


def test_an_earlier_probe_of_this_very_machine_is_what_the_next_one_is_expected_to_do():
    """On a stand-in sheet 512-token prompts would be read far slower than this machine was seen to."""
    first = in_process("qwen3-0.6b", 1500.0, 90.0)
    machine, spec = first.environment, model("qwen3-0.6b")
    alone, known = expected(machine, spec, "Q4_K_M"), expected(machine, spec, "Q4_K_M", (first,))
    assert alone.prompt_tokens_per_s < 500.0
    assert (known.prompt_tokens_per_s, known.answer_tokens_per_s) == pytest.approx((1500.0, 90.0))
    assert known.rests_on == "1 earlier probe of this machine"
    assert expected(machine, spec, "Q4_K_M", (in_process("qwen3-0.6b", 1500.0, 90.0, host="b"),)) == alone
    doubtful = in_process("qwen3-0.6b", 1200.0, 90.0, verdict_doubts=("something else was running",))
    assert expected(machine, spec, "Q4_K_M", (doubtful, first)) == known
    stand_in = expected(machine, spec, "Q4_K_M", (doubtful,))
    assert (round(stand_in.prompt_tokens_per_s), stand_in.rests_on) == (1200, "1 doubtful earlier probe of this machine")
    later = in_process("qwen3-0.6b", 1500.0, 90.0, day=1)
    assert before(first, (first, later)) == ()
    assert before(later, (first, later)) == (first,)


def test_the_context_of_a_workload_is_its_prompt_and_half_its_answer():
    """1,000 + 200 / 2 = 1,100 tokens, of which whole steps of 256 make 1,024; 200 + 40 / 2 = 220 make none."""
    for prompt, answer, context in ((1000.0, 200.0, 1024), (200.0, 40.0, 0)):
        assert context_of(Workload.model_construct(input_tokens_mean=prompt, output_tokens_mean=answer)) == context


def test_a_context_that_would_take_the_time_away_is_left_out_with_the_reason():
    """4,096 tokens at 1,000 a second are 4.1 s: more than a sixteenth of 60 s (3.75 s), less than one of 180 s (11.25 s)."""
    hoped = Expectation(prompt_tokens_per_s=1000.0, answer_tokens_per_s=50.0, rests_on="a sheet")
    spec = model("qwen3-0.6b")
    assert "4,096 tokens: reading them takes about" in out_of_reach(4096, spec, hoped, 60.0)
    assert out_of_reach(4096, spec, hoped, 180.0) == ""
    assert "cannot be told beforehand" in out_of_reach(4096, spec, None, 180.0)
    room, quick = spec.context_tokens - 512, Expectation(prompt_tokens_per_s=1e6, answer_tokens_per_s=50.0, rests_on="a sheet")
    assert f"has room for {room:,}" in out_of_reach(room + 1, spec, quick, 60.0)
    assert out_of_reach(room, spec, quick, 60.0) == ""


def test_every_test_of_a_measurement_stands_in_its_table_and_a_few_layers_are_not_the_model(decide: AppTest) -> None:
    """14 of 28 layers at 60 tokens/s, a share of 0.5: the whole at 30, and the headline says of what each is."""
    settled = in_process("qwen3-0.6b", 100.0, 60.0)
    deep = settled.generation_test.model_copy(update={"name": "tg128@d4096", "depth": 4096})
    varied = settled.generation_test.model_copy(update={"name": "tg128/kv_type=q8_0", "variant": "kv_type=q8_0"})
    part = Proxy(model_id="qwen3-0.6b", layers=14, layers_of_model=28, prompt_share=0.5, generation_share=0.5)
    whole = settled.model_copy(update={"tests": (*settled.tests, deep, varied)}).sealed()
    few = settled.model_copy(update={"model_id": None, "proxy": part}).sealed()
    for measurement, says in (
        (whole, ("Writing the answer after 4,096 tokens (tg128@d4096)", "kv_type=q8_0")),
        (few, ("14 of 28 layers of qwen3-0.6b", "the whole model, extrapolated, 30", "Extrapolated to the whole")),
    ):
        save_measurement(settings(), measurement)
        app = on("measure", decide)
        app.selectbox(key="measure.open").select(measurement.id).run()
        assert not app.exception
        shown = said(app) + " ".join(table.value.to_string() for table in [*app.table, *app.dataframe])
        assert [text for text in says if text not in shown] == []


# ---- charts ----


def point(concurrency: int, rate: float, ttft_ms: float, tpot_ms: float) -> Throughput:
    return Throughput(
        concurrency=concurrency,
        ttft_ms=ttft_ms,
        tpot_ms=tpot_ms,
        ttft_p95_ms=ttft_ms,
        tpot_p95_ms=tpot_ms,
        input_tokens_per_s=0.0,
        output_tokens_per_s=rate,
        requests_per_s=rate / 128,
        low80=rate,
        high80=rate,
    )


def curve(*points: Throughput) -> ServingCurve:
    return ServingCurve(
        points=points,
        basis=Basis.MEASURED,
        engine="vllm",
        max_concurrency=points[-1].concurrency,
        note="",
        model_id=model("llama-3.1-8b").id,
        quantization="bf16",
        device_id=H100,
        gpus=1,
        layout="",
        input_tokens=512,
        output_tokens=128,
        interval_class="measured",
    )


def test_the_knee_is_where_rate_over_response_time_is_greatest():
    # 100 / (100 + 128 x 10) = 0.072, 380 / (120 + 128 x 10.5) = 0.260, 400 / (900 + 128 x 40) = 0.066
    points = (point(1, 100, 100, 10), point(4, 380, 120, 10.5), point(16, 400, 900, 40))
    assert knee(points) is points[1]
    assert knee(()) is None
    assert knee(points[:1]) is None
    assert measure_charts.load_curve(curve(points[0])).title == "1 in flight: 100 tokens/s, TTFT 100 ms; one level says nothing of a knee"
    drawn = measure_charts.load_curve(curve(*points), curve(point(1, 120, 90, 9), point(64, 4000, 90, 9)))
    assert drawn.title.startswith("The knee is at 4 in flight: 380 tokens/s")
    assert [list(trace.x) for trace in drawn.figure.data[:2]] == [[1], [1, 4, 16]]  # the prediction no further than was measured


def test_a_curve_that_still_rises_says_so():
    assert measure_charts.load_curve(curve(point(1, 100, 100, 10), point(2, 200, 100, 10))).title.startswith("No knee up to 2 in flight")


def test_errors_over_time_have_one_point_per_compared_figure():
    written = ledger((in_process("qwen3-0.6b", 100.0, 50.0), in_process("qwen3-0.6b", 110.0, 55.0, day=1)))
    drawn = measure_charts.error_history(written.lines)
    assert drawn is not None
    assert sum(len(trace.x) for trace in drawn.figure.data) == len(written.lines)
    assert measure_charts.error_history(()) is None
