"""python -m probes: measure llama.cpp on this machine or an endpoint, write synthetic models, send or apply a result, keep the ledger."""

from __future__ import annotations

import csv
import getpass
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from capacity.accelerators import accelerator
from capacity.gguf_header import read_gguf_header
from capacity.models import ModelSpec, find_model, model, models, quantization
from capacity.tensors import tensor_plan
from facts import commandline
from facts.errors import InputError
from facts.records import validated
from facts.settings import settings
from facts.units import BYTES_PER_GB, BYTES_PER_GIB, SECONDS_PER_DAY
from pricing.prices import PriceBook
from probes import applying, bundle, endpoint, environment, ledger, llamacpp, send, timing
from probes.build import BuildPhase, build_state, installed_version
from probes.curves import knee, measured_curve
from probes.load import LevelProgress
from probes.lock import HostLock, owner_of, queue_of, take_or_wait, wait_for_lock
from probes.measurement import LENGTHS_SPREAD, EndpointSettings, Environment, LlamaCppSettings, Measurement
from probes.progress import Estimate, Event, Loaded, Repetition
from probes.replay import read_trace, trace_name
from probes.runner import DEFAULT_QUANTIZATION, ProbeJob, ProbeRequest, State
from probes.selftest import client_limit
from probes.serving_line import llama_server_lines
from probes.speeds import measure_speeds, with_speeds
from probes.store import (
    applied_calibration,
    drop_applied,
    get_measurement,
    list_applied,
    list_measurements,
    save_applied,
    save_measurement,
)
from probes.synthetic import check_room, size_lines, synthesize, synthetic_path
from workloads.store import session

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__)
out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
INTERRUPTED = 130
TOP_SHARES = (0.7, 0.9)
"""Open-loop levels after a sweep, as shares of its highest request rate."""


@app.command("llamacpp")
def llamacpp_command(
    synthetic: Annotated[str, typer.Option(help="Model of the catalogue, measured with random weights at its true shape.")] = "",
    model_file: Annotated[Path | None, typer.Option("--model", help="A GGUF file of yours.")] = None,
    quant: Annotated[str, typer.Option(help="Quantization of the random weights, as Q4_K_M.")] = "",
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Where the JSON goes; default: the measurements folder of the data folder.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the physical cores that may be used.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Time budget of the measuring, without loading.")] = 60.0,
    depth: Annotated[list[int] | None, typer.Option(min=0, help="Tokens already in the context; may be given more than once.")] = None,
    slots: Annotated[list[int] | None, typer.Option(min=1, help="Sequences generated at once; may be given more than once.")] = None,
    prompt: Annotated[int, typer.Option(min=0, help="Length of the prompt test, 0 for none.")] = 512,
    output: Annotated[int, typer.Option(min=0, help="Length of the generation test, 0 for none.")] = 128,
    repetitions: Annotated[int, typer.Option(min=1, help="Most repetitions of a test.")] = 50,
    kv_type: Annotated[str, typer.Option(help="f16, q8_0 or q4_0.")] = "f16",
    flash_attention: Annotated[str, typer.Option(help="auto, on or off.")] = "auto",
    repack: Annotated[bool, typer.Option(help="Lay weights out anew for this processor at load.")] = True,
    mmap: Annotated[bool, typer.Option(help="Map the file instead of reading it.")] = True,
    gpu_layers: Annotated[int, typer.Option(min=-1, help="Layers on the accelerator, -1 for all.")] = -1,
    sweep: Annotated[
        list[str] | None, typer.Option(help="Measure this setting's other values too: kv_type, flash_attention, repack; more than once.")
    ] = None,
    proxy_layers: Annotated[
        int | None, typer.Option(min=1, help="With --synthetic: so few layers at true width stand for the whole, scaled and extrapolated.")
    ] = None,
    passive: Annotated[bool, typer.Option(help="Let idle threads sleep: slower alone, steadier beside other work.")] = False,
    keep: Annotated[bool, typer.Option("--keep/--delete", help="Keep a synthetic model for the next probe.")] = True,
    save: Annotated[bool, typer.Option(help="Keep the measurement in the database.")] = True,
    wait: Annotated[bool, typer.Option(help="Wait for another probe on this machine instead of refusing.")] = False,
) -> int:
    """Measure prompt processing and generation of llama.cpp on this machine, and write the measurement as JSON."""
    if bool(synthetic) == (model_file is not None):
        raise InputError("give either --synthetic MODEL (random weights) or --model FILE.gguf" + ("" if synthetic else ", one of them"))
    if not prompt and not output:
        raise InputError("--prompt 0 and --output 0 leave nothing to measure: give one of them a length")
    chosen = _settings(
        prompt_tokens=prompt,
        output_tokens=output,
        depths=tuple(depth or (0,)),
        slots=tuple(slots or (1,)),
        threads=threads,
        seconds=seconds,
        repetitions=repetitions,
        kv_type=kv_type,
        flash_attention=flash_attention,
        repack=repack,
        mmap=mmap,
        gpu_layers=gpu_layers,
        passive_wait=passive,
        sweep=tuple(sweep or ()),
    )
    if model_file is not None:
        llamacpp.check_gguf(model_file)
    shape = _model(synthetic) if synthetic else _shape_of(model_file)
    if quant:
        quantization(quant)
    request = ProbeRequest(
        settings=chosen,
        models_dir=settings().models_dir,
        file=model_file,
        model=shape,
        quantization=quant,
        keep=keep,
        wait=wait,
        proxy_layers=proxy_layers,
    )
    if not llamacpp.installed():
        raise InputError(_not_installed())
    created = datetime.now(UTC)
    target = _writable(out_file or _default_path(created, request))
    if save:
        with session(settings()):
            pass  # a database that cannot be written is said before the measuring, not after
    return _measure(request, created, target, save=save)


@app.command("endpoint")
def endpoint_command(
    url: Annotated[str, typer.Argument(help="Base address, as http://127.0.0.1:8000/v1.")],
    model_name: Annotated[str, typer.Option("--model", help="Default: the first that the server lists.")] = "",
    input_tokens: Annotated[int, typer.Option(min=1, help="Prompt length.")] = 512,
    output_tokens: Annotated[int, typer.Option(min=1, help="Answer length.")] = 128,
    concurrency: Annotated[list[int] | None, typer.Option(min=1, help="Requests in flight; may be given more than once.")] = None,
    rate: Annotated[list[float] | None, typer.Option(help="Requests a second, open loop; may be given more than once.")] = None,
    arrivals: Annotated[str, typer.Option(help="poisson or constant.")] = "poisson",
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Double the load until it adds less than 5 %, then 70 % and 90 % of the top as an open loop.")
    ] = False,
    search: Annotated[bool, typer.Option("--search", help="Search for the highest rate that meets the limits.")] = False,
    ttft_limit_ms: Annotated[float | None, typer.Option(help="A good request's longest wait for its first token.")] = None,
    tpot_limit_ms: Annotated[float | None, typer.Option(help="A good request's longest time per following token.")] = None,
    latency_limit_ms: Annotated[float | None, typer.Option(help="A good request's longest time from due to whole.")] = None,
    good_share: Annotated[float, typer.Option(help="Share of all requests, failed ones too, that must be good.")] = 0.95,
    trace: Annotated[Path | None, typer.Option(help="Replay this trace: the Azure CSV or the Mooncake JSON lines.")] = None,
    speed: Annotated[float, typer.Option(help="Replay it so many times faster.")] = 1.0,
    lengths_spread: Annotated[
        float, typer.Option(help="Answers are up to so much shorter and longer, as a share; equal ones (0) march in step and wait longer.")
    ] = LENGTHS_SPREAD,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that ask; default: as many as the load needs.")] = None,
    self_test: Annotated[bool, typer.Option(help="First measure how many events a second this client can read.")] = True,
    seconds: Annotated[float, typer.Option(min=1, help="How long each level is held.")] = 30.0,
    max_requests: Annotated[int, typer.Option(min=1, help="Cap on all requests together.")] = 2_000,
    max_tokens: Annotated[int, typer.Option(min=1, help="Cap on all tokens together.")] = 5_000_000,
    max_usd: Annotated[float | None, typer.Option(help="Cap on the cost; needs the two prices.")] = None,
    input_price: Annotated[float, typer.Option(min=0, help="USD per million prompt tokens.")] = 0.0,
    output_price: Annotated[float, typer.Option(min=0, help="USD per million answer tokens.")] = 0.0,
    out_file: Annotated[Path | None, typer.Option("--out", help="Where the JSON goes.")] = None,
    save: Annotated[bool, typer.Option(help="Keep the measurement in the database.")] = True,
    wait: Annotated[bool, typer.Option(help="Wait for another probe on this machine instead of refusing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")] = False,
) -> int:
    """Measure any OpenAI-compatible server; its key, if it needs one, comes from RIGHTSIZE_ENDPOINT_KEY and is never stored."""
    other = rate or trace or (search and not sweep)
    ladder = tuple(2**step for step in range(11)) if sweep and not concurrency else tuple(concurrency or (() if other else (1, 2, 4, 8)))
    given = {
        "url": endpoint.check_url(url),
        "model": model_name,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "concurrencies": ladder,
        "rates_per_s": tuple(rate or ()),
        "arrivals": arrivals,
        "sweep": sweep,
        "top_shares": TOP_SHARES if sweep else (),
        "search": search,
        "ttft_limit_ms": ttft_limit_ms,
        "tpot_limit_ms": tpot_limit_ms,
        "latency_limit_ms": latency_limit_ms,
        "good_share": good_share,
        "trace": trace_name(trace) if trace and trace.is_file() else "",
        "trace_speed": speed,
        "processes": processes,
        "lengths_spread": lengths_spread,
        "seconds_per_level": seconds,
        "max_requests": max_requests,
        "max_tokens": max_tokens,
        "max_usd": max_usd,
        "input_usd_per_mtok": input_price,
        "output_usd_per_mtok": output_price,
    }
    chosen = validated(EndpointSettings, given, "endpoint")
    replayed = read_trace(trace, most=max_requests, speed=speed) if trace else ()
    cost = endpoint.estimate_usd(chosen, replayed)
    if max_usd is not None:
        cost = min(cost, max_usd)
    if cost > 0 and not yes and not typer.confirm(f"this may cost up to {cost:.2f} USD, go on?"):
        raise KeyboardInterrupt
    created = datetime.now(UTC)
    target = _writable(out_file or settings().data_dir / "measurements" / f"{created:%Y%m%dT%H%M%SZ}-endpoint.json")
    lock, what, cancel = HostLock(), f"the endpoint {chosen.url}", threading.Event()
    queued = take_or_wait(lock, what, created, wait=wait)
    before = signal.signal(signal.SIGINT, lambda *_: cancel.set())
    try:
        if queued:
            err.print(queued)
            if not wait_for_lock(lock, what, created, cancel, _once(err.print)):
                raise KeyboardInterrupt
        with _bar() as bar:
            task = bar.add_task("testing the client itself", total=1.0)
            measurement = endpoint.measure_endpoint(
                chosen,
                created=created,
                cancel=cancel,
                report=lambda now: bar.update(task, **_level_bar(now)),
                client=client_limit() if self_test else None,
                trace=replayed,
            )
    finally:
        signal.signal(signal.SIGINT, before)
        lock.release()
    _keep(measurement, target, save=save)
    return INTERRUPTED if cancel.is_set() else 0


@app.command("send")
def send_command(
    file: Annotated[Path, typer.Argument(help="The JSON file of a measurement.")],
    url: Annotated[str, typer.Argument(help="Address of the dashboard, as https://rightsize.example.org.")],
) -> None:
    """Send a measurement to a dashboard; its token comes from RIGHTSIZE_INTAKE_TOKEN."""
    print(send.send_measurement(_read(str(file)), url, settings().intake_token))


@app.command("synthesize")
def synthesize_command(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Model of the catalogue.")],
    quant: Annotated[str, typer.Option(help="Quantization, as Q4_K_M.")] = DEFAULT_QUANTIZATION,
    plan: Annotated[bool, typer.Option("--plan", help="Only print the exact size.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the file instead of writing it.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Default: the models folder of the data folder.")] = None,
    servable: Annotated[
        bool, typer.Option("--servable", help="With a made-up vocabulary, so that llama-server can serve it; prints its line.")
    ] = False,
) -> None:
    """Write a model's GGUF file with random weights at its true shape."""
    tensors = tensor_plan(_model(name), quant)
    for line in size_lines(tensors, servable=servable):
        print(line)
    if plan:
        return
    place = folder or settings().models_dir
    path = synthetic_path(tensors, place, servable=servable)
    if delete:
        there = path.exists()
        path.unlink(missing_ok=True)
        print(f"{'deleted' if there else 'not there:'} {path}")
        return
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        check_room(tensors, place, servable=servable)
        if not yes and not typer.confirm(f"write it to {path}?"):
            raise KeyboardInterrupt
    with _bar() as bar:
        task = bar.add_task("writing", total=None)
        written = synthesize(tensors, place, lambda done, total: bar.update(task, completed=done, total=total), servable=servable)
    print(f"{'already there:' if written.reused else 'written:'} {written.path}")
    if servable:
        print("\n".join(llama_server_lines(written.path, slots=8, context_tokens=2048)))


@app.command("hardware")
def hardware_command(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    speeds: Annotated[bool, typer.Option("--speeds", help="Measure memory bandwidth and matrix product, about two seconds.")] = False,
) -> None:
    """Show what a probe records of this machine, and what is running on it now."""
    machine = environment.read_environment(environment.contention_over())
    if speeds:
        machine = with_speeds(machine, measure_speeds())
    if as_json:
        print(machine.model_dump_json(indent=1))
        return
    for label, text in _hardware_lines(machine):
        print(f"{label:22} {text}")


@app.command("bundle")
def bundle_command(
    out_file: Annotated[Path, typer.Option("--out", help="Where the archive goes.")] = Path("dist") / bundle.DEFAULT_NAME,
    this_machine: Annotated[bool, typer.Option("--this-machine", help="For this processor and Python only, without the network.")] = False,
    wheels: Annotated[Path | None, typer.Option(help="Folder of compiled wheels, instead of downloading them.")] = None,
    llama_wheel: Annotated[Path | None, typer.Option(help="A llama-cpp-python wheel to carry, with what it imports.")] = None,
) -> None:
    """Write the archive that measures a candidate server: Python 3.11 to 3.13 is all it needs there."""
    kept = settings().data_dir / "bundle-wheels"
    compiled = tuple(bundle.wheels_in(wheels)) if wheels else () if this_machine else bundle.download_wheels(kept)
    if llama_wheel is not None:
        compiled += bundle.llama_wheels(llama_wheel, kept / "llama")
    written = bundle.write_bundle(out_file, wheels=compiled, this_machine=this_machine)
    print(f"{written.path}: {written.bytes / 1e6:.1f} MB, for {', '.join(written.machines)}")
    print(f"there: python3 {written.path.name} hardware; python3 {written.path.name} endpoint http://127.0.0.1:8000/v1")


@app.command("queue")
def queue_command() -> None:
    """Show who measures on this machine now, and who waits."""
    now, owner = datetime.now(UTC), owner_of()
    out.print(owner.sentence(now) if owner else "nobody measures on this machine now")
    for place, waiting in enumerate(queue_of(), 1):
        out.print(f"{place}. {waiting.user} (process {waiting.pid}) waits to measure {waiting.what} since {waiting.since:%H:%M:%S} UTC")


@app.command("list")
def list_command(limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20) -> None:
    """List the measurements in the database, newest first."""
    found = list_measurements(settings(), limit=limit)
    for measurement in found:
        what = f"{measurement.model_id or measurement.model_name} {measurement.quantization}".strip()
        line = f"{measurement.id[:12]}  {measurement.created:%Y-%m-%d %H:%M}  {measurement.status.value:8}  {measurement.engine}  {what}"
        print(f"{line}  {_headline(measurement)}")
    if not found:
        print("no measurements yet: python -m probes llamacpp --synthetic qwen3-0.6b")


@app.command("ledger")
def ledger_command(
    usd_per_hour: Annotated[float | None, typer.Option(min=0, help="What one measured machine costs an hour; default: its rent.")] = None,
    tokens_per_day: Annotated[float | None, typer.Option(min=0, help="Offered load, prompt and output together.")] = None,
    doubtful: Annotated[bool, typer.Option("--doubtful", help="Count measurements that doubt themselves too.")] = False,
) -> None:
    """Compare predictions with measurements over time and machines, and price the tokens of each measured machine."""
    kept = list_measurements(settings())
    applied = list_applied(settings())
    written = ledger.ledger(kept, {found.measurement_id: found for _, found in applied})
    lines = [replace(line, doubtful=False) for line in written.lines] if doubtful else list(written.lines)
    table = _table("measured", "machine", "engine", "model", "metric", "predicted", "measured", "error", "basis", "doubtful")
    for line in lines:
        what, numbers = f"{line.model_id} {line.quantization}", (f"{line.predicted:.2f}", f"{line.measured:.2f} {line.unit}")
        error, doubt = f"{line.error_share:+.0%}", "yes" if line.doubtful else ""
        table.add_row(
            f"{line.created:%Y-%m-%d %H:%M}", line.machine, line.engine, what, line.metric, *numbers, error, line.basis.value, doubt
        )
    out.print(table if lines else "no prediction can be compared with a measurement yet")
    for off in ledger.errors(lines):
        spread = f"typically {off.typical_share:.0%} off, at worst {off.worst_share:.0%}"
        out.print(f"{off.quantity}, {off.engine}, {off.basis.value}: {spread} ({off.lines} figures, {off.machines} machines)")
    for sentence in written.left_out:
        out.print(f"left out: {sentence}")
    for measurement, found in applied:
        what = f"{found.engine}, {found.model_id} {found.quantization}, {found.gpus} x {found.device_id}"
        out.print(f"applied: {measurement.id[:12]} ({what}) on {found.applied:%Y-%m-%d %H:%M} UTC by {found.who or 'someone'}")
    prices = {one.id: price for one in kept if (price := usd_per_hour or _rent_usd_per_hour(one)) is not None}
    for cost in ledger.machine_costs(kept, prices, tokens_per_day / SECONDS_PER_DAY if tokens_per_day else None):
        what = f"{cost.machine}, {cost.engine}, {cost.model} {cost.quantization}, {cost.load}"
        out.print(f"{what}: {cost.usd_per_mtok:.3f} USD per Mtok ({cost.servers} x {cost.usd_per_hour:.2f} USD/h)")


def _headline(measurement: Measurement) -> str:
    """Median of each test in tokens/s, or the highest output rate of a server's levels."""
    if measurement.tests:
        return "  ".join(f"{test.name} {test.median:.1f}" for test in measurement.tests if test.samples_tokens_per_s)
    rates = [
        (figure.value, figure.name.removesuffix(".output_rate")) for figure in measurement.derived if figure.name.endswith(".output_rate")
    ]
    return f"{max(rates)[0]:.1f} tokens/s out at {max(rates)[1]}" if rates else ""


def _write_rows(path: Path, rows: tuple[dict[str, str], ...]) -> None:
    if not rows:
        raise InputError("a measurement of a processor without a spec sheet has no rows: capacity has no device to move")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _rent_usd_per_hour(measurement: Measurement) -> float | None:
    """The rent of the measured accelerators today, or None where there are none or none of them is rented out."""
    gpus = measurement.environment.gpus
    if not gpus or not gpus[0].catalog_id or not (measurement.gpu_offload or measurement.kind == "endpoint"):
        return None
    rent = PriceBook.load(datetime.now(UTC).date()).rental(gpus[0].catalog_id)
    return None if rent is None else rent.usd_per_gpu_hour * len(gpus)


@app.command("apply")
def apply_command(
    which: Annotated[str, typer.Argument(metavar="FILE_OR_ID", help="A kept measurement, by the beginning of its id, or a JSON file.")],
    device: Annotated[str, typer.Option(help="What the server runs on; default: the accelerator the probe saw beside it.")] = "",
    gpus: Annotated[int | None, typer.Option(min=1, max=1024, help="How many of them serve one copy of the model.")] = None,
    engine: Annotated[str, typer.Option(help="Engine; default: what the server says of itself.")] = "",
    model_name: Annotated[str, typer.Option("--model", help="Model of the catalogue; default: the served name.")] = "",
    quant: Annotated[str, typer.Option(help="Its precision; default: of the file, or bf16 for a server.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Although the measurement doubts itself.")] = False,
    rows: Annotated[Path | None, typer.Option(help="Also write its figures as rows for python -m capacity estimate --probe.")] = None,
) -> None:
    """Let the model follow a measurement: every option with that engine on that device is calibrated by it from now on."""
    measurement = _read(which)
    found = applying.applied_to(
        measurement,
        applied=datetime.now(UTC),
        who=getpass.getuser(),
        engine=engine,
        model_name=model_name,
        quantization=quant,
        device=device,
        gpus=gpus,
        accept_doubtful=yes,
    )
    if rows is not None:
        _write_rows(_writable(rows), applying.rows_of(measurement, found))
    save_measurement(settings(), measurement)
    save_applied(settings(), found)
    where = "this machine" if found.device_id == applying.THIS_MACHINE else f"{found.gpus} x {accelerator(found.device_id).name}"
    out.print(f"{measurement.id[:12]} is applied: {found.engine} with {found.model_id} in {found.quantization} on {where}")
    out.print("python -m selector decide shows what it changes; python -m probes unapply takes it back")
    for sentence in applied_calibration(settings()).contradictions:
        out.print(f"doubt: {sentence}")


@app.command("unapply")
def unapply_command(which: Annotated[str, typer.Argument(metavar="ID", help="The beginning of its id.")]) -> None:
    """Let the model follow a measurement no longer."""
    measurement = get_measurement(settings(), which)
    if not drop_applied(settings(), measurement.id):
        raise InputError(f"measurement {measurement.id[:12]} is not applied: python -m probes ledger shows which are")
    out.print(f"{measurement.id[:12]} is not applied any more")


@app.command("show")
def show_command(which: Annotated[str, typer.Argument(metavar="FILE_OR_ID", help="A JSON file or the beginning of an id.")]) -> None:
    """Print a measurement with its doubts, from a file or from the database."""
    _print(_read(which))


# ---- below: how ----


def _measure(request: ProbeRequest, created: datetime, target: Path, *, save: bool) -> int:
    """Run the probe with its progress on screen; what was measured is written even when it did not come to its end."""
    with _bar() as bar:
        task = bar.add_task("starting", total=1.0)
        job = ProbeJob.start(request, created=created, listen=_say)
        interrupted = False
        while True:
            try:
                over = job.wait(0.2)
                bar.update(task, completed=job.progress, description=job.message)
                if over:
                    break
            except KeyboardInterrupt:
                interrupted = True
                job.cancel()
    if job.result is not None:
        _keep(job.result, target, save=save)
    if job.state is State.FAILED:
        raise InputError(job.message)
    if interrupted:
        err.print(job.message)
    return INTERRUPTED if job.state is State.CANCELLED else 0


def _keep(measurement: Measurement, target: Path, *, save: bool) -> None:
    _write(target, measurement)
    _print(measurement)
    out.print(f"written to {target}")
    if save:
        save_measurement(settings(), measurement)
        out.print(f"kept in the database as {measurement.id[:12]}")


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Says what changes and not its repetition; the age in a sentence alone is no change."""
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        bare = text.rpartition(" (")[0]
        if bare != last:
            last = bare
            say(text)

    return tell


def _level_bar(now: LevelProgress) -> dict[str, Any]:
    rate = f"{now.output_tokens_per_s:.0f} tokens/s"
    return {
        "completed": min(1.0, now.elapsed_s / now.expected_s),
        "description": f"{now.name}: {now.requests} done, {now.errors} failed, {rate}",
    }


def _say(event: Event) -> None:
    """Events as lines where there is no screen to draw a bar on."""
    if isinstance(event, Loaded):
        err.print(f"loaded {event.model_name} in {event.load_s:.1f} s, {event.threads} threads")
    elif isinstance(event, Estimate):
        err.print(f"measuring {', '.join(event.tests)}: about {event.seconds:.0f} s")
    elif isinstance(event, Repetition) and not err.is_terminal:
        err.print(f"{event.name}{' (warm-up)' if event.warmup else ''}: {event.tokens_per_s:.2f} tokens/s")


def _print(measurement: Measurement) -> None:
    out.print(f"{_what(measurement)}, {_engine(measurement)}, {measurement.environment.cpu}, {measurement.status.value}")
    if isinstance(measurement.settings, LlamaCppSettings):
        out.print(_how(measurement, measurement.settings))
    out.print(_tests_table(measurement) if measurement.tests else _levels_table(measurement))
    told = _engine_table(measurement)
    if told is not None:
        out.print(told)
    generation = measurement.generation_test
    if generation is not None and measurement.weights_bytes and measurement.proxy is None and not _is_mixture(measurement):
        weights_gb = measurement.weights_bytes / BYTES_PER_GB
        rate = f"{weights_gb * generation.median:.1f} GB/s"
        out.print(f"{weights_gb:.2f} GB of weights x {generation.median:.2f} tokens/s = {rate}, if every token reads them all.")
    values = {figure.name: figure for figure in measurement.derived}
    if (best := values.get("goodput.highest_rate")) is not None:
        out.print(f"highest rate that met the limits: {best.value:.3g} requests/s ({best.formula})")
    held = [level for level in measurement.levels if level.concurrency]
    if len(held) > 1:
        with suppress(InputError):
            points = measured_curve(measurement, model_id="").points
            if (top := knee(points)) is not None:
                rate = f"{top.output_tokens_per_s:.0f} tokens/s, TTFT {top.ttft_ms:.0f} ms"
                beyond = "a higher load may still pay" if top is points[-1] else "beyond it answers wait more than throughput grows"
                out.print(f"knee at {top.concurrency} in flight: {rate}; {beyond}")
    if measurement.client is not None:
        limit = measurement.client
        out.print(f"one process of this client reads {limit.events_per_s:,.0f} events/s in time (p99 {limit.delay_p99_ms:.1f} ms late)")
    if (proxy := measurement.proxy) is not None:
        out.print(f"{proxy.layers} of {proxy.layers_of_model} layers of {proxy.model_id} were measured; of the whole, extrapolated:")
        for figure in measurement.derived:
            if figure.name.endswith(".extrapolated"):
                out.print(f"  {figure.name.removesuffix('.extrapolated')} {figure.value:.2f} tokens/s ({figure.formula})")
    if (power := measurement.power) is not None:
        out.print(f"accelerators: {power.mean_w:.0f} W in the mean, {power.tokens_per_j:.2f} output tokens per joule")
    out.print(measurement.supports)
    for doubt in measurement.doubts:
        out.print(f"doubt: {doubt}")
    if measurement.verdict_doubts:
        out.print("A verdict will not rest on it without an explicit yes.")


def _what(measurement: Measurement) -> str:
    """The catalogue's name and the precision where they are known, else what the file or the server calls itself."""
    if measurement.model_id is None:
        return measurement.model_name or measurement.quantization
    random = " (random weights)" if measurement.model_file and measurement.model_file.synthetic else ""
    return f"{measurement.model_id} {measurement.quantization}".strip() + random


def _how(measurement: Measurement, used: LlamaCppSettings) -> str:
    """The columns that llama-bench prints beside a figure, in words."""
    size = measurement.weights_bytes or 0
    loaded = f"{size / BYTES_PER_GB:.2f} GB ({size / BYTES_PER_GIB:.2f} GiB), {(measurement.parameters or 0) / 1e6:,.0f} M parameters"
    layers = "all layers" if used.gpu_layers < 0 else f"{used.gpu_layers} layers"
    place = f"{layers} on the accelerator" if measurement.gpu_offload and used.gpu_layers else "on the processor"
    kept = f"KV {used.kv_type}, flash attention {used.flash_attention}"
    ways = f"{'mapped' if used.mmap else 'read'}, repack {'on' if used.repack else 'off'}"
    return f"{loaded}; {measurement.threads} threads, batch {used.batch}/{used.ubatch}, {kept}, {ways}, {place}"


def _is_mixture(measurement: Measurement) -> bool:
    spec = find_model(measurement.model_id) if measurement.model_id else None
    return bool(spec.experts) if spec else "moe" in measurement.model_name.lower()


def _engine(measurement: Measurement) -> str:
    return measurement.engine + (f" ({measurement.engine_version})" if measurement.engine_version else "")


def _tests_table(measurement: Measurement) -> Table:
    table = _table("test", "median tokens/s", "95 % interval", "mean", "sd", "n")
    for test in measurement.tests:
        if test.samples_tokens_per_s:
            around = timing.median_interval(test.samples_tokens_per_s)
            interval = f"{around.low:.2f} to {around.high:.2f}" if len(test.samples_tokens_per_s) > 1 else "-"
            table.add_row(
                test.name, f"{test.median:.2f}", interval, f"{test.mean:.2f}", f"{test.sd:.2f}", str(len(test.samples_tokens_per_s))
            )
    return table


def _levels_table(measurement: Measurement) -> Table:
    columns = ("output_rate", "request_rate", "ttft.p50", "ttft.p95", "tpot.p50", "tpot.p95", "error_share")
    table = _table("level", "tokens/s out", "requests/s", "TTFT p50 ms", "p95", "TPOT p50 ms", "p95", "errors", "n")
    return _with_levels(table, measurement, columns)


def _engine_table(measurement: Measurement) -> Table | None:
    """What the engine says of itself; None where it says nothing."""
    if not any(figure.name.endswith(".engine_prompt.p50") for figure in measurement.derived):
        return None
    columns = ("engine_prompt.p50", "outside_engine.p50", "engine_tpot.p50")
    return _with_levels(_table("by its own clock", "prompt p50 ms", "TTFT beside it", "TPOT p50 ms", "n"), measurement, columns)


def _with_levels(table: Table, measurement: Measurement, columns: tuple[str, ...]) -> Table:
    values = {figure.name: figure.value for figure in measurement.derived}
    for level in measurement.levels:
        found = [values.get(f"{level.name}.{column}") for column in columns]
        table.add_row(level.name, *("-" if value is None else f"{value:.2f}" for value in found), str(len(level.requests)))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for position, name in enumerate(columns):
        table.add_column(name, justify="right" if position else "left")
    return table


def _model(text: str) -> ModelSpec:
    return find_model(text) or model(text)


def _shape_of(file: Path | None) -> ModelSpec | None:
    """The catalogue's model of a user's file: the same shape, and the same name where several share it; None when there is none."""
    if file is None:
        return None
    try:
        header = read_gguf_header(file, as_of=datetime.now(UTC).date()).model
    except InputError:
        return None  # llama.cpp's own loader says what is wrong with it
    fields = ("architecture", "layers", "hidden", "heads", "kv_heads", "head_dim", "vocab", "experts")
    same = [known for known in models() if all(getattr(known, field) == getattr(header, field) for field in fields)]
    named = find_model(header.name)
    return named if named in same else next(iter(same), None)


def _settings(**chosen: object) -> LlamaCppSettings:
    return validated(LlamaCppSettings, chosen, "llamacpp")


def _not_installed() -> str:
    state = build_state()
    if state.running:
        return f"llama-cpp-python is being built: {state.message} Wait for it, the Measure page shows how far it is"
    if state.state is BuildPhase.FAILED:
        return f"llama-cpp-python could not be built: {state.message} {state.remedy}".strip()
    return f"{(state.message or 'llama-cpp-python is not installed').rstrip('.')}: {llamacpp.REMEDY}"


def _default_path(created: datetime, request: ProbeRequest) -> Path:
    name = (
        request.file.stem if request.file else f"{request.model.id if request.model else ''}-{request.quantization or DEFAULT_QUANTIZATION}"
    )
    return settings().data_dir / "measurements" / f"{created:%Y%m%dT%H%M%SZ}-{name}.json"


def _writable(path: Path) -> Path:
    """The path, once it is known that a file can be written there."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: --out wants the path of a file")
    there = path.exists()
    try:
        if path.is_relative_to(settings().data_dir):
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): give --out a path that you may write") from None
    return path


def _write(path: Path, measurement: Measurement) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(measurement.to_json(), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        print(measurement.to_json())
        raise InputError(f"{path} could not be written ({error.strerror}): the measurement stands above") from None


def _read(which: str) -> Measurement:
    path = Path(which)
    if path.suffix == ".json" or path.is_file():
        try:
            return Measurement.from_json(path.read_bytes(), which)
        except OSError as error:
            raise InputError(f"{which} cannot be read: {error.strerror}") from None
    return get_measurement(settings(), which)


def _hardware_lines(machine: Environment) -> list[tuple[str, str]]:
    cores = f"{machine.physical_cores} physical, {machine.logical_cores} logical, {machine.usable_cores:g} usable"
    memory = f"{machine.memory_bytes / BYTES_PER_GB:.1f} GB, {machine.memory_available_bytes / BYTES_PER_GB:.1f} GB available"
    gpus = "; ".join(f"{gpu.name}, {gpu.memory_bytes / BYTES_PER_GB:.0f} GB, driver {gpu.driver}" for gpu in machine.gpus)
    lines = [
        ("processor", machine.cpu + (" (virtual machine)" if machine.virtual_machine else "")),
        ("instructions", " ".join(machine.cpu_flags) or "not known"),
        ("cores", f"{cores}, {machine.sockets_numa} NUMA"),
        ("quota", f"{machine.quota_cores:g} processors" if machine.quota_cores else "none"),
        ("memory", memory),
        ("memory limit", f"{machine.memory_limit_bytes / BYTES_PER_GB:.1f} GB" if machine.memory_limit_bytes else "none"),
        ("accelerators", gpus or "none"),
        ("system", f"{machine.os}, Python {machine.python}"),
        ("probe threads", str(environment.default_threads())),
        ("llama-cpp-python", installed_version() or ("being built" if build_state().running else "not installed")),
    ]
    if machine.copy_gb_per_s is not None:
        lines.append(("memory copies", f"{machine.copy_gb_per_s:.1f} GB/s, read and written together"))
    if machine.matrix_gflops is not None:
        lines.append(("matrix product", f"{machine.matrix_gflops:.0f} GFLOP/s, float32"))
    if machine.before is not None:
        lines.append(("now", f"{machine.before.idle_share:.0%} idle, {machine.before.steal_share:.1%} stolen"))
    return lines


def _bar() -> Progress:
    return Progress(
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=err,
        disable=not err.is_terminal,
        transient=True,
    )


if __name__ == "__main__":
    commandline.run(app)
