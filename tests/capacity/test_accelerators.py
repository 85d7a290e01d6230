"""The device catalogue: names, blanks, both sheets joined."""

from __future__ import annotations

import csv

import pytest

from capacity.accelerators import Server, accelerator, accelerators, find_accelerator, largest_built
from facts.errors import InputError


def test_names_match_by_exact_words():
    names = {
        text: getattr(find_accelerator(text), "id", None) for text in ("NVIDIA GeForce RTX 4060", "RTX 4060 Ti", "RTX 4090", "RTX 4090 D")
    }
    assert names == {
        "NVIDIA GeForce RTX 4060": "nvidia-rtx-4060",
        "RTX 4060 Ti": "nvidia-rtx-4060-ti-16",
        "RTX 4090": "nvidia-rtx-4090",
        "RTX 4090 D": "nvidia-rtx-4090-d",
    }
    assert find_accelerator("RTX 4060 Super Deluxe") is None


@pytest.mark.parametrize("text", ["NVIDIA H100 80GB HBM3", "H100 SXM 80GB", "H100"])
def test_driver_names_find_the_card(text):
    found = find_accelerator(text)
    assert found is not None
    assert found.id == "nvidia-h100-sxm-80"


@pytest.mark.parametrize(
    ("text", "device_id"),
    [
        ("H100 80GB PCIe", "nvidia-h100-pcie-80"),
        ("NVIDIA H200 141GB HBM3e", "nvidia-h200-sxm"),
        ("B200 192GB", "nvidia-b200-sxm"),
        ("DGX B200", "nvidia-b200-sxm"),
        ("NVIDIA GeForce RTX5090 32GB", "nvidia-rtx-5090"),
        ("RTX PRO 6000 Server Edition", "nvidia-rtx-pro-6000-server"),
        ("MI355X 288GB", "amd-mi355x"),
        ("MacBook Pro M4 Max", "apple-m4-max"),
        ("Apple M4 Max (40-core GPU, 64GB)", "apple-m4-max"),
        ("Framework Desktop Ryzen AI Max+ 395", "amd-ryzen-ai-max-395"),
    ],
)
def test_words_of_packaging_and_its_own_memory_tell_no_devices_apart(text, device_id):
    found = find_accelerator(text)
    assert found is not None
    assert found.id == device_id


@pytest.mark.parametrize(
    "text", ["RTX 3080 12GB", "RTX 5060 Ti 8GB", "RTX 4090 Laptop", "RTX 4070 Ti D", "H100 40GB PCIe", "M4 Max Ultra", "32GB"]
)
def test_another_memory_or_word_is_another_device(text):
    assert find_accelerator(text) is None


def test_an_apple_chip_is_sold_with_the_memory_of_its_largest():
    assert largest_built(accelerator("apple-m1-max-24c")).memory_gb == accelerator("apple-m1-max").memory_gb == 64
    assert largest_built(accelerator("nvidia-rtx-4090")).memory_gb == 24


def test_a_blank_in_the_sources_stays_none():
    assert accelerator("nvidia-a10g").fp16_tflops is None
    with pytest.raises(InputError, match="nvidia-a10g: 'fp16_tflops' is not known"):
        accelerator("nvidia-a10g").need("fp16_tflops")


def test_a_blank_in_one_sheet_is_filled_from_the_other():
    assert accelerator("nvidia-gh200-96").mem_bw_gb_per_s == 4000
    assert accelerator("nvidia-dgx-spark").fp16_tflops == 125


def test_a_server_needs_a_device_and_holds_binary_gigabytes():
    assert Server(accelerator=accelerator("nvidia-rtx-4090"), gpus=2).memory_bytes == 2 * 24 * 2**30
    with pytest.raises(InputError, match="at least 1"):
        Server(accelerator=accelerator("nvidia-rtx-4090"), gpus=0)


def test_every_link_is_stated_or_typical():
    assert {device.link_kind for device in accelerators()} <= {"nvlink", "infinity_fabric", "ethernet", "pcie", "none"}


@pytest.mark.shared
def test_every_row_of_both_sheets_is_in_the_catalogue(shared_data):
    for file, column in (("hardware_specs.csv", "device"), ("calibration/hardware.csv", "device")):
        for row in csv.DictReader((shared_data / file).open(encoding="utf-8")):
            found = find_accelerator(row[column])
            assert found is not None, row[column]
            if "device_id" in row:
                assert found.id == row["device_id"]
