"""The command line of the probe archive: hardware, endpoint, llamacpp, synthesize, serve, send; its options are the settings' own fields.

It uses nothing but what the archive carries, so that it runs on a server without a network.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import typing
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from facts.errors import InputError
from facts.records import Fact, FactT, validated
from probes import endpoint, environment
from probes.load import LevelProgress
from probes.lock import HostLock
from probes.measurement import LENGTHS_SPREAD, EndpointSettings, LlamaCppSettings, Measurement
from probes.replay import read_trace, trace_name
from probes.selftest import client_limit
from probes.send import TOKEN_VARIABLE, send_measurement
from probes.serving_line import llama_server_lines, serving_lines
from probes.speeds import measure_speeds, with_speeds

INTERRUPTED = 130
NOT_OPTIONS = {"kind", "url", "trace", "model"}


def main(arguments: list[str]) -> int:
    """Run one command; 0, 130 when interrupted, 2 with one line for wrong input."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except InputError as error:
        sys.stderr.write("error: " + " ".join(str(error).split()) + "\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("cancelled\n")
        return INTERRUPTED


# ---- commands ----


def _hardware(parsed: argparse.Namespace) -> int:
    machine = environment.read_environment(environment.contention_over())
    _out(with_speeds(machine, measure_speeds()).model_dump_json(indent=1))
    return 0


def _endpoint(parsed: argparse.Namespace) -> int:
    trace = Path(parsed.trace) if parsed.trace else None
    chosen = _chosen(EndpointSettings, parsed, {"url": endpoint.check_url(parsed.url), "model": parsed.model}, "endpoint")
    replayed = read_trace(trace, most=chosen.max_requests, speed=chosen.trace_speed) if trace else ()
    if trace:
        chosen = chosen.model_copy(update={"trace": trace_name(trace)})
    cost = min(endpoint.estimate_usd(chosen, replayed), chosen.max_usd or float("inf"))
    if cost > 0 and not parsed.yes and input(f"this may cost up to {cost:.2f} USD, go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise KeyboardInterrupt
    created, cancel, lock = datetime.now(UTC), threading.Event(), HostLock()
    target = _target(parsed.out, created, "endpoint")
    lock.take(f"the endpoint {chosen.url}", created)
    before = signal.signal(signal.SIGINT, lambda *_: cancel.set())
    try:
        _say("asking who is there" if parsed.no_self_test else "testing the client itself")
        client = None if parsed.no_self_test else client_limit()
        measurement = endpoint.measure_endpoint(chosen, created=created, cancel=cancel, report=_report, client=client, trace=replayed)
    finally:
        signal.signal(signal.SIGINT, before)
        lock.release()
    return _write(measurement, target, interrupted=cancel.is_set())


def _llamacpp(parsed: argparse.Namespace) -> int:
    try:
        from capacity.models import model
        from probes.runner import ProbeJob, ProbeRequest, State
    except ImportError as error:
        raise InputError(
            f"the llama.cpp probe needs llama-cpp-python and numpy here ({error}): install them, or measure an endpoint"
        ) from None
    from probes import llamacpp

    if not llamacpp.installed():
        raise InputError("llama-cpp-python is not installed here: install it, or build the archive with --llama-wheel")
    chosen = _chosen(LlamaCppSettings, parsed, {}, "llamacpp")
    file = Path(parsed.gguf) if parsed.gguf else None
    if (file is None) == (not parsed.synthetic):
        raise InputError("give either --gguf FILE or --synthetic MODEL")
    shape = model(parsed.synthetic) if parsed.synthetic else None
    created = datetime.now(UTC)
    target = _target(parsed.out, created, parsed.synthetic or Path(parsed.gguf).stem)
    folder = Path(parsed.models_dir)
    request = ProbeRequest(settings=chosen, models_dir=folder, file=file, model=shape, quantization=parsed.quant, keep=parsed.keep)
    job, last = ProbeJob.start(request, created=created), ""
    try:
        while not job.wait(0.5):
            if job.message != last:
                last = job.message
                _say(last)
    except KeyboardInterrupt:
        job.cancel()
        job.wait()
    if job.result is None:
        raise InputError(job.message)
    return _write(job.result, target, interrupted=job.state is State.CANCELLED)


def _synthesize(parsed: argparse.Namespace) -> int:
    try:
        from capacity.models import model
        from capacity.tensors import tensor_plan
        from probes.synthetic import size_lines, synthesize
    except ImportError as error:
        raise InputError(f"random weights need numpy and gguf here ({error}): install them, or write the file elsewhere") from None
    plan = tensor_plan(model(parsed.model), parsed.quant)
    for line in size_lines(plan, servable=True):
        _out(line)
    if parsed.plan:
        return 0
    written = synthesize(plan, Path(parsed.models_dir), servable=True)
    for line in llama_server_lines(written.path, slots=parsed.slots, context_tokens=parsed.context_tokens):
        _out(line)
    return 0


def _serve(parsed: argparse.Namespace) -> int:
    for line in serving_lines(parsed.model, gpus=parsed.gpus, context_tokens=parsed.context_tokens):
        _out(line)
    return 0


def _send(parsed: argparse.Namespace) -> int:
    import os

    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    measurement = Measurement.from_json(_bytes(Path(parsed.file)), parsed.file)
    _out(send_measurement(measurement, parsed.url, SecretStr(token) if token else None))
    return 0


# ---- options from the records ----


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rightsize-probe", description="Measure this machine or a model server, and write one JSON file.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    hardware = commands.add_parser("hardware", help="facts of this machine, measured bandwidth and arithmetic, as JSON")
    hardware.set_defaults(run=_hardware)
    asked = commands.add_parser("endpoint", help="measure an OpenAI-compatible server")
    asked.add_argument("url", help="base address, as http://127.0.0.1:8000/v1")
    asked.add_argument("--model", default="", help="model name; default: the first that the server lists")
    asked.add_argument("--trace", help="replay this trace: the Azure CSV or the Mooncake JSON lines")
    asked.add_argument("--no-self-test", action="store_true", help="do not measure the client first")
    asked.add_argument("--yes", action="store_true", help="do not ask before spending")
    _add_options(asked, EndpointSettings)
    asked.set_defaults(lengths_spread=str(LENGTHS_SPREAD))
    asked.set_defaults(run=_endpoint)
    local = commands.add_parser("llamacpp", help="measure llama.cpp in process, where llama-cpp-python is installed or inside")
    local.add_argument("--gguf", help="a GGUF file")
    local.add_argument("--synthetic", default="", help="model of the catalogue, with random weights at its true shape")
    local.add_argument("--quant", default="Q4_K_M", help="quantization of the random weights")
    local.add_argument("--models-dir", default=".", help="folder of the random weights")
    local.add_argument("--keep", action="store_true", help="keep them")
    _add_options(local, LlamaCppSettings)
    local.set_defaults(run=_llamacpp)
    written = commands.add_parser("synthesize", help="write a GGUF file of random weights that llama-server can serve, and print its line")
    written.add_argument("model", help="model of the catalogue")
    written.add_argument("--quant", default="Q4_K_M", help="quantization of the random weights")
    written.add_argument("--plan", action="store_true", help="only print the exact size")
    written.add_argument("--models-dir", default=".", help="folder of the random weights")
    written.add_argument("--slots", type=int, default=8, help="requests that the server is to answer at once")
    written.add_argument("--context-tokens", type=int, default=2048, help="longest request")
    written.set_defaults(run=_synthesize)
    line = commands.add_parser("serve", help="print the line that starts vLLM or SGLang with dummy weights")
    line.add_argument("model", help="folder with config.json and tokenizer, or a model's name")
    line.add_argument("--gpus", type=int, default=1, help="accelerators of one replica")
    line.add_argument("--context-tokens", type=int, default=8192, help="longest request")
    line.set_defaults(run=_serve)
    sent = commands.add_parser("send", help=f"send a measurement to a dashboard; its token comes from {TOKEN_VARIABLE}")
    sent.add_argument("file")
    sent.add_argument("url")
    sent.set_defaults(run=_send)
    return parser


def _add_options(parser: argparse.ArgumentParser, record: type[Fact]) -> None:
    """One option per field, with the field's own sentence; several values are separated by commas."""
    for name, field in record.model_fields.items():
        if name not in NOT_OPTIONS:
            flag, text = "--" + name.replace("_", "-"), (field.description or "").replace("%", "%%")
            if field.annotation is bool:
                parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
            else:
                parser.add_argument(flag, help=text)
    parser.add_argument("--out", help="where the JSON goes; default: a name with the time, in this folder")


def _chosen(record: type[FactT], parsed: argparse.Namespace, more: dict[str, object], where: str) -> FactT:
    """The settings that were given; the rest keeps its default."""
    given = {name: getattr(parsed, name) for name in record.model_fields if name not in NOT_OPTIONS}
    values = {name: _value(record.model_fields[name], value) for name, value in given.items() if value is not None}
    return validated(record, values | {name: value for name, value in more.items() if value}, where)


def _value(field: FieldInfo, text: object) -> object:
    several = typing.get_origin(field.annotation) is tuple
    return tuple(part for part in str(text).split(",") if part) if several else text


# ---- below: how ----


def _target(out: str | None, created: datetime, what: str) -> Path:
    path = Path(out) if out else Path(f"{created:%Y%m%dT%H%M%SZ}-{what}.json")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"{path} cannot be written: --out wants the path of a file in a folder that is there")
    return path


def _write(measurement: Measurement, target: Path, *, interrupted: bool) -> int:
    try:
        target.write_text(measurement.to_json(), encoding="utf-8")
    except OSError as error:
        _out(measurement.to_json())
        raise InputError(f"{target} could not be written ({error.strerror}): the measurement stands above") from None
    for figure in measurement.derived:
        _out(f"{figure.name:32} {figure.value:12.2f} {figure.unit:12} {figure.formula} (n = {figure.samples})")
    for doubt in measurement.doubts:
        _out(f"doubt: {doubt}")
    _out(f"{measurement.id[:12]} written to {target}: upload it on the Measure page, or send it")
    return INTERRUPTED if interrupted else 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _report(now: LevelProgress) -> None:
    _say(f"{now.name}: {now.elapsed_s:.0f} of {now.expected_s:.0f} s, {now.requests} done, {now.errors} failed")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
