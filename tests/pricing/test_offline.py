"""Prices need no network: sockets are blocked and a look-up still answers; nor do the commands."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest

BLOCKED = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
from datetime import date
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


def pricing(*words):
    return subprocess.run([sys.executable, "-m", "pricing", *words], capture_output=True, text=True, timeout=120, check=False)


def test_the_command_shows_a_price_with_its_source():
    done = pricing("show", "google:gemini-2.5-pro", "--input-tokens", "200001", "--as-of", "2026-11-22")
    assert done.returncode == 0, done.stderr
    assert "input            2.5\n" in done.stdout
    assert "genai-prices 0.2.3" in done.stdout


def test_the_command_shows_rents_with_the_chosen_one_marked():
    done = pricing("rents", "nvidia-h100-sxm-80", "--as-of", "2026-11-22")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("*")] == [["*", "4.1900", "Lambda"]]


@pytest.mark.parametrize(
    "words",
    [
        ("show", "openai:gpt-4oo"),
        ("show", "gpt-4o"),
        ("show", "openai:gpt-4o", "--as-of", "yesterday"),
        ("rents", "gpu"),
        ("shwo",),
        ("show",),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(words):
    done = pricing(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_the_day_is_an_argument_not_the_clock():
    from pricing.prices import PriceBook

    assert PriceBook.load(date(2025, 6, 9)).api_price("openai:o3", input_tokens=1).input_usd_per_mtok == 10.0
