"""python -m capacity: show a model or device, fit it in memory, answer row files, report accuracy, refit the parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from capacity.accelerators import Accelerator, Server, accelerators, find_accelerator
from capacity.accuracy import evaluate, intervals_of, priors, report
from capacity.choices import precision_choices
from capacity.described import described_device, described_model
from capacity.estimate import estimate_file
from capacity.fitting import fit_all
from capacity.intervals import intervals
from capacity.memory import kv_cache_bytes_per_token, require_fit
from capacity.models import ModelSpec, benchmark_attribution, benchmark_scores, models, quantizations
from capacity.roofline import efficiencies
from capacity.tensors import tensor_plan
from capacity.throughput import engine_fit, serving_curve
from capacity.write import write_efficiencies, write_intervals
from facts.commandline import run
from facts.errors import InputError
from facts.units import BYTES_PER_GB, BYTES_PER_GIB

app = typer.Typer(add_completion=False, no_args_is_help=True, help="What a server carries.")

MODEL_HELP = "model, or its config.json ('-' reads a pasted one), its GGUF file, or hf:owner/name to fetch one"
DEVICE_HELP = r"device, or a TOML file with an \[accelerator] table: name, memory_gb, mem_bw_gb_per_s, fp16_tflops, ..."
RowFile = Annotated[Path, typer.Argument(help="CSV with the columns of the calibration tables, without value")]
DataFolder = Annotated[Path, typer.Option("--data", help="folder with the calibration tables")]


@app.command()
def show(name: Annotated[str, typer.Argument(help="model or device, as for fit; 'all' lists both")] = "all") -> None:
    """A model's or device's facts."""
    if name == "all":
        print("models:", ", ".join(spec.id for spec in models()))
        print("devices:", ", ".join(device.id for device in accelerators()))
        return
    device = described_device(name) if name.endswith(".toml") else find_accelerator(name)
    if device is not None:
        _print_fields(device)
        return
    _show_model(described_model(name))


@app.command("fit")
def fit_command(
    name: Annotated[str, typer.Argument(help=MODEL_HELP)],
    quantization: Annotated[str, typer.Argument(help="precision, as in Q4_K_M or fp8")],
    device: Annotated[str, typer.Argument(help=DEVICE_HELP)],
    gpus: Annotated[int, typer.Option(help="devices of the server")] = 1,
    context: Annotated[int, typer.Option(help="tokens of one request, prompt and answer")] = 4096,
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, llama.cpp, mlx")] = "vllm",
) -> None:
    """Whether a model fits a server, with how many requests, and what it serves then."""
    server = Server(accelerator=described_device(device), gpus=gpus)
    spec = described_model(name)
    result = engine_fit(spec, quantization, server, context, engine=engine)
    require_fit(result)
    print(result.sentence)
    curve = serving_curve(spec, quantization, server, engine=engine, input_tokens=context * 0.8, output_tokens=context * 0.2)
    doubts = curve.note.removeprefix(result.sentence).lstrip("; ")
    print(f"{curve.engine}, {curve.layout}" + (f": {doubts}" if doubts else ""))
    print(f"{'in flight':>9} {'TTFT ms':>9} {'TPOT ms':>9} {'tok/s out':>10}   80 % interval")
    for point in curve.points:
        interval = f"{point.low80:,.0f} to {point.high80:,.0f}"
        print(f"{point.concurrency:9d} {point.ttft_ms:9,.0f} {point.tpot_ms:9,.1f} {point.output_tokens_per_s:10,.0f}   {interval}")


@app.command()
def precisions(
    name: Annotated[str, typer.Argument(help=MODEL_HELP)],
    device: Annotated[str, typer.Argument(help=DEVICE_HELP)],
    gpus: Annotated[int, typer.Option(help="devices of the server")] = 1,
    context: Annotated[int, typer.Option(help="tokens of one request, prompt and answer")] = 4096,
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, llama.cpp, mlx")] = "llama.cpp",
) -> None:
    """Size, speed and published loss of quality of a model's usual precisions on a server."""
    server = Server(accelerator=described_device(device), gpus=gpus)
    choices = precision_choices(described_model(name), server, engine=engine, input_tokens=context * 0.8, output_tokens=context * 0.2)
    print(f"{'precision':10s} {'GB':>7} {'at once':>8} {'tok/s of one':>13} {'tok/s of all':>13}  perplexity")
    for choice in choices:
        size = f"{choice.quantization:10s} {choice.weights_bytes / BYTES_PER_GB:7.1f}"
        if choice.one_tokens_per_s is None or choice.most_tokens_per_s is None:
            speed = f"{'does not fit':>36}"
        else:
            speed = f"{choice.max_concurrency:8d} {choice.one_tokens_per_s:13.1f} {choice.most_tokens_per_s:13,.0f}"
        loss = "nothing published" if choice.loss_share is None else f"{choice.loss_share:+.1%} ({choice.loss_of})"
        print(f"{size} {speed}  {loss}")


@app.command()
def estimate(
    rows: RowFile,
    out: Annotated[Path, typer.Option("--out", help="where the rows with predictions go")],
    probe: Annotated[Path | None, typer.Option("--probe", help="measured rows: the same columns and value")] = None,
    fit_report: Annotated[bool, typer.Option("--fit-report", help="print the parameters in use and where they come from")] = False,
) -> None:
    """Predict every row of a file."""
    total, refused, contradictions = estimate_file(rows, out, probe)
    for sentence in contradictions:
        print(f"doubt: {sentence}")
    print(f"{total} rows, {total - refused} predicted, {refused} refused: {out}")
    if fit_report:
        for entry in efficiencies():
            origin = "fitted" if entry.fitted else "prior"
            shares = f"bandwidth {entry.bandwidth_share:.2f}, FLOP/s {entry.flops_share:.2f}, {entry.layer_s * 1e6:.0f} us per layer"
            print(f"{entry.engine:10s} {entry.memory_kind:6s} {origin:7s} {shares}; {entry.source.note}")


@app.command()
def accuracy(
    out: Annotated[Path, typer.Option("--out", help="where the report goes")] = Path("docs/accuracy.md"),
    data: DataFolder = Path("../shared/data/calibration"),
) -> None:
    """Leave-one-device-out and leave-one-model-out errors on the calibration rows, as a document."""
    rows, residuals = evaluate(data)
    out.write_text(report(rows, residuals, efficiencies()), encoding="utf-8")
    print(f"{len(rows)} rows: {out}")


@app.command()
def refit(
    data: DataFolder = Path("../shared/data/calibration"),
    out: Annotated[Path, typer.Option("--out", help="where the report goes")] = Path("docs/accuracy.md"),
) -> None:
    """Fit the shipped parameters and intervals again from the calibration rows and the priors, and report as `accuracy` does."""
    rows, residuals = evaluate(data)
    before = priors()
    write_efficiencies({**before, **fit_all(rows, before)}, len(rows))
    write_intervals(intervals_of(residuals))
    efficiencies.cache_clear()
    intervals.cache_clear()
    out.write_text(report(rows, residuals, efficiencies()), encoding="utf-8")
    print(f"{len(rows)} rows fitted: {out}")


def _print_fields(record: Accelerator | ModelSpec) -> None:
    for key, text in record.model_dump(exclude_none=True, exclude_defaults=True, mode="json").items():
        print(f"{key:28s} {_plain(text)}")


def _plain(text: Any) -> str:
    return text["url"] if isinstance(text, dict) else str(text)


def _show_model(spec: ModelSpec) -> None:
    _print_fields(spec)
    print(f"{'parameters':28s} {spec.params_total / 1e9:.3f} B, active {spec.params_active / 1e9:.3f} B")
    try:
        print(f"{'cache per token':28s} {kv_cache_bytes_per_token(spec):,.0f} bytes in 16 bits")
        for entry in quantizations():
            if entry.gguf and entry.id in {"q4_k_m", "q5_k_m", "q8_0", "fp16"}:
                plan = tensor_plan(spec, entry.id)
                print(f"{entry.name:28s} {plan.bytes / BYTES_PER_GIB:.2f} GiB, {plan.bits_per_weight:.2f} bits per weight")
    except InputError as error:
        print(f"{'not known':28s} {error}")
    scores = benchmark_scores(spec.id)
    for score in scores:
        mark = "claim" if score.claim else ("self-reported" if score.self_reported else "measured")
        print(f"{score.benchmark:28s} {score.score:g} ({mark}; never used to rank)")
    if scores:
        print(benchmark_attribution())


if __name__ == "__main__":
    run(app)
