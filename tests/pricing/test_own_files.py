"""The user's own rents and servers over the bundled ones."""

from __future__ import annotations

from datetime import date

import pytest

from facts.errors import InputError
from facts.records import Basis
from pricing.own_files import read_rents, read_servers
from pricing.prices import PriceBook

AS_OF = date(2026, 11, 22)
RENTS = """provider,instance,device_id,gpu,gpu_memory_gb,gpus,usd_per_hour,usd_per_gpu_hour,term,region,as_of,source,via,notes
Acme Cloud,box,nvidia-l40s,L40S 48GB,48,2,2.4,1.2,on_demand,eu,2026-11-20,quote 17,,
Acme Cloud,box,nvidia-l40s,,,4,4.0,,reserved_1y,,2026-11-20,,,one year
"""


def written(tmp_path, text):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_own_rents_are_read_with_the_columns_of_the_published_table(tmp_path):
    rents = read_rents(written(tmp_path, RENTS))
    assert [(rent.provider, rent.gpus, rent.usd_per_hour, rent.term) for rent in rents] == [
        ("Acme Cloud", 2, 2.4, "on_demand"),
        ("Acme Cloud", 4, 4.0, "reserved_1y"),
    ]
    assert rents[0].source.url == "quote 17"
    assert rents[1].source.url == "entered by the user"
    book = PriceBook.load(AS_OF, own_rents=rents)
    mine = book.rental("nvidia-l40s", providers=["acme cloud"])
    assert mine is not None
    assert (mine.usd_per_gpu_hour, mine.layer) == (1.2, "own file")
    reserved = book.rental("nvidia-l40s", providers=["acme cloud"], term="reserved_1y")
    assert reserved is not None
    assert reserved.usd_per_gpu_hour == 1.0
    assert PriceBook.load(AS_OF).rental("nvidia-l40s", providers=["acme cloud"]) is None


def test_own_servers_lie_over_the_street_price(tmp_path):
    text = "device_id,price_usd,host_usd,power_kw,as_of\nnvidia-l40s,7000,1500,0.55,2026-11-20\n"
    book = PriceBook.load(AS_OF, own_servers=read_servers(written(tmp_path, text)))
    server = book.server("nvidia-l40s")
    assert server is not None
    assert (server.capex_usd_per_gpu, server.power_kw_per_gpu, server.basis) == (8_500, 0.55, Basis.ASSUMED)
    assert book.server("nvidia-h100-sxm-80") == PriceBook.load(AS_OF).server("nvidia-h100-sxm-80")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("provider,price\nA,1\n", "unknown column 'price'"),
        ("provider,device_id\nA,b\n", "column 'gpus' is missing"),
        (RENTS.splitlines()[0] + "\n", "holds no row"),
        ("", "column 'provider' is missing"),
        (RENTS.replace("2.4,1.2", "2.4,2.4"), "line 2: usd_per_hour 2.4 is for the whole instance, but 2 GPUs"),
        (RENTS.replace("2.4,1.2", "-2.4,"), "usd_per_hour"),
        (RENTS.replace("2.4,1.2", "2.4,x"), "'x' is no number"),
        (RENTS.replace("2026-11-20,quote 17", "yesterday,quote 17"), "no date"),
        (RENTS.replace("one year", "one,year"), "more values than the 14 columns"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as error:
        read_rents(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_missing_or_binary_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_rents(tmp_path / "none.csv")
    binary = tmp_path / "own.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not UTF-8"):
        read_rents(binary)
    with pytest.raises(InputError, match="cannot be read"):
        read_rents(tmp_path)
