"""Prices need no network: sockets are blocked and a look-up still answers; nor do the commands."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest

from pricing.assumptions import Assumptions
from pricing.prices import PriceBook

BLOCKED = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
from datetime import date
from pricing.assumptions import Assumptions
from pricing.prices import PriceBook
book = PriceBook.load(date(2026, 11, 22))
assert book.api_price("openai:gpt-4o", input_tokens=1000).input_usd_per_mtok == 2.5
assert book.hosts("llama-3.3-70b", 1000)
assert book.rental("nvidia-l40s").usd_per_gpu_hour > 0
print("answered")
"""


def test_a_look_up_opens_no_socket():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "answered"), done.stderr


def test_the_command_shows_a_price_with_its_source(pricing):
    code, out, err = pricing("show", "google:gemini-2.5-pro", "--input-tokens", "200001", "--as-of", "2026-11-22")
    assert code == 0, err
    assert "input            2.5\n" in out
    assert "genai-prices 0.2.3" in out


def test_the_command_shows_rents_with_the_chosen_one_marked(pricing, tmp_path):
    code, out, err = pricing("rents", "nvidia-h100-sxm-80", "--as-of", "2026-11-22")
    assert code == 0, err
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("*")] == [["*", "4.1900", "Lambda"]]
    assert "to own: 37500 USD" in out
    own = tmp_path / "own.csv"
    own.write_text("provider,device_id,gpus,usd_per_hour,term,as_of\nAcme,nvidia-h100-sxm-80,1,0.9,on_demand,2026-11-20\n")
    assert "0.9000  Acme" in pricing("rents", "nvidia-h100-sxm-80", "--as-of", "2026-11-22", "--own", str(own))[1]


def test_the_command_lists_every_assumption(pricing):
    code, out, _ = pricing("assumptions")
    assert code == 0
    rows = [line.split("|") for line in out.splitlines()[2:]]
    assert [row[1].strip().strip("`") for row in rows] == list(Assumptions.model_fields)
    assert {len(row) for row in rows} == {10}


@pytest.mark.parametrize(
    "words",
    [
        ("show", "openai:gpt-4oo"),
        ("show", "gpt-4o"),
        ("show", "openai:gpt-4o", "--as-of", "yesterday"),
        ("show", "openai:gpt-4o", "--input-tokens", "-1"),
        ("rents", "gpu"),
        ("rents", "nvidia-l40s", "--own", "none.csv"),
        ("refresh", "nobody"),
        ("accept", "nothing"),
        ("shwo",),
        ("show",),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(pricing, words):
    code, out, err = pricing(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_the_module_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "pricing", "show", "x"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_day_is_an_argument_not_the_clock():
    assert PriceBook.load(date(2025, 6, 9)).api_price("openai:o3", input_tokens=1).input_usd_per_mtok == 10.0
