"""Claims as people write them: 240 of every kind, in many spellings and units, each with the verdict that its arithmetic gives by hand."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from facts.errors import InputError
from selector.__main__ import app
from selector.audit import AuditVerdict, audit_claim, audit_json
from selector.catalog import load_catalog
from selector.claim_keys import meant_by
from selector.claims import CLAIMS, ClaimKind, claim_of, keys_of

CATALOG = load_catalog(date(2026, 11, 22))
YES, NO, OPEN = AuditVerdict.REPRODUCES, AuditVerdict.DOES_NOT, AuditVerdict.UNDECIDABLE
COST = frozenset(CLAIMS[ClaimKind.COST_PER_PERIOD].model_fields)


def audit(kind, facts):
    return audit_claim(claim_of({"id": "x", "kind": kind, **facts}), CATALOG)


CLAIMED = (
    (YES, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_year": 273750}),
    (NO, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_year": 3285000}),
    (YES, "cost_per_period", {"tokens_per_month": 1000000000, "usd_per_mtok": 2.5, "stated_usd_per_month": 2500}),
    (YES, "cost_per_period", {"tokens_per_year": 1.2e10, "usd_per_mtok": 2.5, "stated_usd_per_year": 30000}),
    (YES, "cost_per_period", {"queries_per_day": 1000000, "tokens_per_query": 500, "usd_per_mtok": 1, "stated_usd_per_day": 500}),
    (YES, "cost_per_period", {"requests_per_month": 30000000, "tokens_per_request": 500, "usd_per_mtok": 1, "stated_usd_per_month": 15000}),
    (
        YES,
        "cost_per_period",
        {
            "input_tokens_per_day": 40000000,
            "output_tokens_per_day": 10000000,
            "input_usd_per_mtok": 2.5,
            "output_usd_per_mtok": 10,
            "stated_usd_per_month": 6083.33,
        },
    ),
    (
        YES,
        "cost_per_period",
        {
            "requests_per_day": 1000,
            "input_tokens_per_request": 1000,
            "output_tokens_per_request": 200,
            "input_usd_per_mtok": 2.5,
            "output_usd_per_mtok": 10,
            "stated_usd_per_day": 4.5,
        },
    ),
    (YES, "cost_per_period", {"tokens_per_query": 1333, "usd_per_mtok": 3.75, "stated_usd_per_query": 0.005}),
    (YES, "cost_per_period", {"gpus": 2, "usd_per_hour": 2.99, "stated_usd_per_month": 4365.4}),
    (NO, "cost_per_period", {"gpus": 2, "usd_per_hour": 2.99, "stated_usd_per_month": 52384.8}),
    (OPEN, "cost_per_period", {"usd_per_mtok": 15, "stated_usd_per_month": 1000}),
    (OPEN, "cost_per_period", {"tokens_per_day": 50000000, "stated_usd_per_month": 1000}),
    (OPEN, "cost_per_period", {"stated_usd_per_month": 1000}),
    (YES, "cost_per_period", {"tokens_per_day": 0, "usd_per_mtok": 15, "stated_usd_per_month": 0}),
    (NO, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_month": 0}),
    (YES, "cost_per_period", {"tokens_per_day": [10000000, 50000000], "usd_per_mtok": 1, "stated_usd_per_day": [10, 50]}),
    (OPEN, "cost_per_period", {"tokens_per_day": 50000000, "tokens_per_month": 50000000, "usd_per_mtok": 1, "stated_usd_per_day": 50}),
    (YES, "cost_per_period", {"tokens_per_week": 7000000, "usd_per_mtok": 1, "stated_usd_per_week": 7}),
    (YES, "cost_per_period", {"mtok_per_day": 50, "usd_per_mtok": 15, "stated_usd_per_day": 750}),
    (YES, "cost_per_period", {"tokens_per_day": 1000000, "usd_per_1k_tokens": 0.002, "stated_usd_per_day": 2}),
    (
        YES,
        "cost_per_period",
        {"quote": "about $65k a year", "tokens_per_day": 50000000, "usd_per_mtok": 3.75, "stated_usd_per_year": 68000},
    ),
    (YES, "cost_per_period", {"power_kw": 1.73, "usd_per_kwh": 0.144, "pue": 1.0, "stated_usd_per_year": 2182}),
    (YES, "cost_per_period", {"tokens": 15000000, "usd_per_mtok": 0.5, "stated_usd": 7.5}),
    (YES, "cost_per_period", {"training_tokens": 15000000, "usd_per_mtok": 0.5, "stated_usd": 7.5}),
    (YES, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_quarter": 68437.5}),
    (
        YES,
        "saving_per_period",
        {"tokens_per_day": 100000000, "baseline_usd_per_mtok": 15, "option_usd_per_mtok": 0.15, "stated_usd_per_year": 542025},
    ),
    (
        NO,
        "saving_per_period",
        {
            "tokens_per_day": 100000000,
            "baseline_usd_per_mtok": [3.75, 15],
            "option_usd_per_mtok": [0.1, 0.2],
            "stated_usd_per_year": [270000, 1400000],
        },
    ),
    (OPEN, "saving_per_period", {"queries_per_day": 10000000, "stated_usd_per_day": 50000}),
    (YES, "saving_per_period", {"queries_per_day": 10000000, "saving_usd_per_query": 0.005, "stated_usd_per_day": 50000}),
    (YES, "saving_per_period", {"queries_per_day": 10000000, "saving_usd_per_query": 0.005, "stated_saving_usd_per_year": 18250000}),
    (YES, "saving_per_period", {"baseline_usd_per_month": 22812.5, "option_usd_per_month": 228.13, "stated_saving_usd_per_month": 22584}),
    (YES, "saving_per_period", {"baseline_usd_per_year": 68437.5, "option_usd_per_year": 3650, "stated_usd_per_year": 64787.5}),
    (
        YES,
        "saving_per_period",
        {"quote": "≈$65k/yr saved", "baseline_usd_per_day": 187.5, "option_usd_per_day": 10, "stated_usd_per_year": 65000},
    ),
    (
        YES,
        "saving_per_period",
        {"baseline_usd_per_query": 0.006, "option_usd_per_query": 0.001, "queries_per_day": 10000000, "stated_usd_per_day": 50000},
    ),
    (
        YES,
        "saving_per_period",
        {"baseline_usd_per_mtok": 37.5, "option_usd_per_mtok": 2.5, "tokens_per_query": 143, "stated_usd_per_query": 0.005},
    ),
    (
        YES,
        "saving_per_period",
        {
            "baseline_usd_per_mtok": 37.5,
            "option_usd_per_mtok": 2.5,
            "tokens_per_query": 143,
            "queries_per_day": 10000000,
            "stated_usd_per_day": 50000,
        },
    ),
    (NO, "saving_per_period", {"baseline_usd_per_month": 1000, "option_usd_per_month": 2000, "stated_usd_per_month": 1000}),
    (YES, "saving_per_period", {"queries_per_day": 1000, "saving_usd_per_query": 0.005, "stated_saving_usd_per_query": 0.005}),
    (NO, "saving_per_period", {"baseline_usd_per_month": 10000, "option_usd_per_month": 2000, "stated_saving_share": 0.9}),
    (YES, "saving_per_period", {"saving_usd_per_month": 1000, "stated_usd_per_year": 12000}),
    (YES, "payback", {"upfront_usd": 50000, "saving_usd_per_month": 10000, "stated_payback_months": 5}),
    (
        NO,
        "payback",
        {
            "upfront_usd": [50000, 150000],
            "tokens_per_day": 50000000,
            "baseline_usd_per_mtok": 15,
            "option_usd_per_mtok": 0.15,
            "stated_payback_months_at_most": 2,
        },
    ),
    (
        YES,
        "payback",
        {
            "upfront_usd": [50000, 150000],
            "tokens_per_day": 50000000,
            "baseline_usd_per_mtok": 15,
            "option_usd_per_mtok": 0.15,
            "stated_payback_months": [2.2, 6.6],
        },
    ),
    (
        NO,
        "payback",
        {
            "upfront_usd": [50000, 150000],
            "tokens_per_day": 50000000,
            "baseline_usd_per_mtok": 1.5,
            "option_usd_per_mtok": 0.15,
            "stated_payback_months": [4, 6],
        },
    ),
    (YES, "payback", {"upfront_usd": [50000, 150000], "saving_usd_per_year": 87425, "stated_payback_months": [6.9, 20.6]}),
    (OPEN, "payback", {"saving_usd_per_month": 10000, "stated_payback_months": 5}),
    (OPEN, "payback", {"upfront_usd": 10000, "stated_payback_months": 5}),
    (NO, "payback", {"upfront_usd": 10000, "saving_usd_per_month": 0, "stated_payback_months": 5}),
    (NO, "payback", {"upfront_usd": 10000, "baseline_usd_per_month": 100, "option_usd_per_month": 300, "stated_payback_months": 5}),
    (YES, "payback", {"upfront_usd": 0, "saving_usd_per_month": 100, "stated_payback_months": 0}),
    (YES, "payback", {"upfront_usd": 36500, "saving_usd_per_day": 100, "stated_payback_days": 365}),
    (YES, "payback", {"upfront_usd": 36500, "saving_usd_per_day": 100, "stated_payback_years": 1}),
    (YES, "payback", {"upfront_usd": 1000, "queries_per_day": 1000, "saving_usd_per_query": 0.01, "stated_payback_weeks": 14.3}),
    (YES, "payback", {"upfront_usd": 50000, "monthly_saving_usd": 10000, "stated_payback_months": 5}),
    (NO, "implied_rent", {"stated_usd_per_month": 50}),
    (YES, "implied_rent", {"stated_usd_per_month": 15000, "gpus": 8}),
    (NO, "implied_rent", {"stated_usd_per_year": 2737.5, "device": "L4"}),
    (NO, "implied_rent", {"tokens_per_day": 50000000, "usd_per_mtok": 0.15, "device": "H100"}),
    (YES, "implied_rent", {"gpus": 1, "stated_usd_per_month": 2182.7, "stated_usd_per_hour": 2.99}),
    (NO, "implied_rent", {"gpus": 1, "stated_usd_per_month": 2182.7, "stated_usd_per_hour": 29.9}),
    (OPEN, "implied_rent", {}),
    (NO, "implied_rent", {"stated_usd_per_hour": 0.02}),
    (NO, "implied_rent", {"stated_usd_per_month": 0}),
    (YES, "implied_rent", {"stated_usd_per_month": 50, "hours_per_month": 100, "device": "L4"}),
    (NO, "implied_rent", {"stated_usd_per_month": 1000, "params_b": 70, "bits_per_weight": 16}),
    (YES, "implied_rent", {"usd_per_month": 15000, "stated_usd_per_hour": 20.5}),
    (YES, "implied_rent", {"usd_per_month": 15000, "gpus": 7, "device": "H100", "stated_usd_per_hour": 2.94}),
    (NO, "implied_rent", {"stated_usd_per_day": 5, "device": "H100"}),
    (YES, "implied_speed", {"usd_per_mtok": 0.15, "usd_per_hour": 2.99, "stated_tokens_per_day": 478000000}),
    (YES, "implied_speed", {"usd_per_mtok": 1.5, "usd_per_hour": 2.99, "gpus": 2, "stated_tokens_per_day": 96000000}),
    (YES, "implied_speed", {"tokens_per_s": 144.5, "usd_per_hour": 2.99, "stated_usd_per_mtok": 5.75}),
    (YES, "implied_speed", {"tokens_per_s": 15220, "usd_per_hour": 2.99, "stated_usd_per_mtok": 0.055}),
    (YES, "implied_speed", {"tokens_per_month": [4000000000, 2e10], "stated_tokens_per_s": [1522, 7610]}),
    (NO, "implied_speed", {"stated_tokens_per_s": 1000000, "device": "L4", "params_b": 8}),
    (YES, "implied_speed", {"stated_tokens_per_s": 100, "device": "H100", "params_b": 8, "bits_per_weight": 16}),
    (NO, "implied_speed", {"stated_tokens_per_s": 4000, "device": "RTX 4090", "params_b": 70, "bits_per_weight": 4, "concurrency": 1}),
    (OPEN, "implied_speed", {"stated_tokens_per_s": 100}),
    (OPEN, "implied_speed", {"usd_per_mtok": 0.15, "stated_tokens_per_s": 5000}),
    (YES, "implied_speed", {"tokens_per_day": 50000000, "stated_tokens_per_s": 579}),
    (NO, "implied_speed", {"tokens_per_day": 50000000, "stated_tokens_per_s": 5790}),
    (YES, "implied_speed", {"usd_per_mtok": 5.75, "usd_per_hour": 2.99, "stated_tokens_per_s": 144.5}),
    (NO, "implied_speed", {"stated_tokens_per_s": 100, "device": "RTX 4090", "params_b": 70, "bits_per_weight": 16, "concurrency": 1}),
    (NO, "implied_speed", {"usd_per_mtok": 0.01, "usd_per_hour": 2.99, "device": "H100", "params_b": 70, "bits_per_weight": 8}),
    (YES, "memory", {"params_b": 70.55, "bits_per_weight": 16, "stated_gb": 141}),
    (YES, "memory", {"params_b": 70.55, "bits_per_weight": 16, "stated_gib": 131.4}),
    (NO, "memory", {"params_b": 7.6, "bits_per_weight": 4.85, "stated_gb_at_most": 4}),
    (NO, "memory", {"params_b": 7, "bits_per_weight": 4, "stated_gb_at_most": 4}),
    (YES, "memory", {"params_b": 14.66, "bits_per_weight": 4.85, "stated_gb": 10}),
    (YES, "memory", {"quote": "~3 GB", "params_b": 3.84, "bits_per_weight": 4.85, "stated_gb": 3}),
    (YES, "memory", {"quote": "~5 GB", "params_b": 7.25, "bits_per_weight": 4.85, "stated_gb": 5}),
    (OPEN, "memory", {"params_b": 70, "stated_gb": [80, 140]}),
    (OPEN, "memory", {"bits_per_weight": 4, "stated_gb": 4}),
    (NO, "memory", {"params_b": 70, "bits_per_weight": 16, "stated_gb": 24}),
    (NO, "memory", {"params_b": 70, "bits_per_weight": 8, "stated_gb": 560}),
    (YES, "memory", {"params_b": 70, "bits_per_weight": 4.8, "stated_gb": 42}),
    (YES, "memory", {"params_m": 350, "bits_per_weight": 16, "stated_mb": 700}),
    (YES, "memory", {"params_b": 70, "bytes_per_weight": 2, "stated_gb": 140}),
    (YES, "memory", {"params_b": 8, "bits_per_weight": 16, "kv_gb": 4, "stated_gb": 20}),
    (NO, "memory", {"params_b": 70, "bits_per_weight": 16, "stated_vram_gb": 80}),
    (OPEN, "latency", {"stated_latency_ms": [50, 150]}),
    (NO, "latency", {"output_tokens": 200, "params_b": 7, "stated_latency_ms": [50, 150]}),
    (YES, "latency", {"output_tokens": 200, "tokens_per_s": 50, "stated_latency_s": 4}),
    (NO, "latency", {"output_tokens": 200, "tokens_per_s": 50, "stated_latency_ms": 100}),
    (YES, "latency", {"output_tokens": 200, "tokens_per_s": 100, "ttft_ms": 300, "stated_latency_ms": 2300}),
    (OPEN, "latency", {"output_tokens": 200, "stated_latency_ms": 100}),
    (YES, "latency", {"output_tokens": 500, "tpot_ms": 20, "ttft_ms": 200, "stated_latency_ms": 10200}),
    (NO, "latency", {"output_tokens": 200, "tokens_per_s": 144.5, "stated_latency_ms": 150}),
    (None, "latency", {"output_tokens": 0, "tokens_per_s": 50, "stated_latency_ms": 100}),
    (NO, "latency", {"output_tokens": 200, "tokens_per_s": 50, "stated_latency_ms_at_most": 150}),
    (YES, "latency", {"output_tokens": 100, "tokens_per_second": 50, "stated_latency_s": 2}),
    (YES, "latency", {"output_tokens": 200, "tokens_per_s": 50, "ttft_s": 0.5, "stated_latency_ms": 4500}),
    (YES, "ratio", {"numerator": 3.75, "denominator": 0.13, "stated_ratio": 28}),
    (YES, "ratio", {"numerator": 84.3, "denominator": 42.4, "stated_ratio": 2}),
    (YES, "ratio", {"numerator": 86.4, "denominator": 6.6, "stated_ratio": 13.1}),
    (YES, "ratio", {"baseline_usd_per_mtok": 30, "option_usd_per_mtok": 1, "years": 3, "stated_ratio_per_year": 3.1}),
    (NO, "ratio", {"baseline_usd_per_mtok": 30, "option_usd_per_mtok": 1, "years": 3, "stated_ratio_per_year": [10, 100]}),
    (YES, "ratio", {"baseline_params_b": 400, "option_params_b": 7, "stated_ratio": 57}),
    (YES, "ratio", {"numerator": 2.5, "denominator": 0.3, "stated_ratio": 8.3}),
    (YES, "ratio", {"numerator": 16, "denominator": 4, "stated_saving_share": 0.75}),
    (OPEN, "ratio", {"numerator": 16, "stated_ratio": 4}),
    (OPEN, "ratio", {"stated_ratio": 10}),
    (YES, "ratio", {"numerator": 1.5, "denominator": 0.15, "stated_ratio": [10, 100]}),
    (None, "ratio", {"numerator": 1.5, "denominator": 0, "stated_ratio": 10}),
    (YES, "ratio", {"baseline_usd_per_month": 75000, "option_usd_per_month": 150, "stated_ratio": 500}),
    (YES, "ratio", {"baseline_usd_per_month": [15000, 75000], "option_usd_per_month": [150, 800], "stated_ratio": [19, 500]}),
    (YES, "ratio", {"numerator": 3, "denominator": 70, "stated_share": 0.043}),
    (YES, "ratio", {"numerator": 16, "denominator": 4, "stated_saving_percent": 75}),
    (YES, "ratio", {"baseline_usd_per_year": 1200, "option_usd_per_year": 100, "stated_ratio": 12}),
    (YES, "ratio", {"baseline_gb": 16, "option_gb": 4, "stated_ratio": 4}),
    (YES, "ratio", {"baseline_tokens_per_s": 100, "option_tokens_per_s": 10, "stated_ratio": 10}),
    (None, "cost", {"tokens_per_day": 1}),
    (None, "cost_per_period", {"tokens_per_day": -1, "usd_per_mtok": 1, "stated_usd_per_day": 1}),
    (None, "cost_per_period", {"token_per_dag": 1, "usd_per_mtok": 1, "stated_usd_per_day": 1}),
    (None, "cost_per_period", {"tokens_per_day": "50M", "usd_per_mtok": 1, "stated_usd_per_day": 1}),
    (None, "payback", {"upfront_usd": -5, "saving_usd_per_month": 10, "stated_payback_months": 1}),
    (YES, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_month": 22500}),
    (NO, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_month": 22900}),
    (NO, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_month": 270000}),
    (YES, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_year": 270000}),
    (YES, "cost_per_period", {"gpus": 1, "usd_per_hour": 2.0, "stated_usd_per_month": 1440}),
    (YES, "cost_per_period", {"gpus": 1, "usd_per_hour": 2.0, "stated_usd_per_year": 17520}),
    (NO, "cost_per_period", {"gpus": 8, "usd_per_hour": 2.0, "stated_usd_per_month": 17520}),
    (
        YES,
        "cost_per_period",
        {
            "requests_per_day": 10000,
            "input_tokens_per_request": 1000,
            "output_tokens_per_request": 200,
            "model": "openai:gpt-4o",
            "stated_usd_per_day": 45,
        },
    ),
    (YES, "cost_per_period", {"model": "openai:gpt-4o", "input_tokens_per_output_token": 5, "stated_usd_per_mtok": 3.75}),
    (YES, "cost_per_period", {"model": "openai:gpt-4o", "input_tokens_per_output_token": 3, "stated_usd_per_mtok": 4.375}),
    (YES, "cost_per_period", {"model": "openai:gpt-4o", "input_tokens_per_output_token": 73, "stated_usd_per_mtok": 2.6}),
    (NO, "cost_per_period", {"model": "openai:gpt-5", "stated_usd_per_mtok": 15}),
    (OPEN, "cost_per_period", {"model": "openai:gpt-4o", "stated_usd_per_mtok": 3.75}),
    (None, "cost_per_period", {"model": "openai:gpt-99", "stated_usd_per_mtok": 3.75}),
    (YES, "cost_per_period", {"tokens_per_month": [4000000000, 2e10], "usd_per_mtok": 3.75, "stated_usd_per_month": [15000, 75000]}),
    (
        YES,
        "cost_per_period",
        {"tokens_per_day": 50000000, "usd_per_mtok": [0.15, 15], "stated_usd_per_month_low": 228, "stated_usd_per_month_high": 22812},
    ),
    (NO, "cost_per_period", {"tokens_per_day": 50000000, "usd_per_mtok": 0.15, "stated_usd_per_month": 2737}),
    (
        NO,
        "cost_per_period",
        {"tokens_per_day": 50000000, "usd_per_mtok": 15, "stated_usd_per_month": 22812.5, "stated_usd_per_year": 3285000},
    ),
    (YES, "cost_per_period", {"requests_per_second": 10, "tokens_per_request": 1000, "usd_per_mtok": 1, "stated_usd_per_day": 864}),
    (YES, "cost_per_period", {"tokens_per_s": 579, "usd_per_mtok": 15, "stated_usd_per_day": 750}),
    (YES, "cost_per_period", {"power_w": 700, "usd_per_kwh": 0.12, "pue": 1.4, "stated_usd_per_year": 1030}),
    (OPEN, "cost_per_period", {"power_kw": 0.7, "stated_usd_per_year": 1030}),
    (OPEN, "cost_per_period", {"gpus": 2, "stated_usd_per_month": 4000}),
    (YES, "cost_per_period", {"tokens_per_month": 5000000000, "usd_per_mtok": 3.75, "stated_usd_per_month_at_least": 15000}),
    (NO, "cost_per_period", {"tokens_per_month": 5000000000, "usd_per_mtok": 3.75, "stated_usd_per_month_at_most": 1000}),
    (YES, "cost_per_period", {"training_tokens": 30000000, "usd_per_mtok": [0.48, 1.35], "stated_usd": [14, 41]}),
    (YES, "cost_per_period", {"examples": 10000, "tokens_per_example": 500, "epochs": 3, "usd_per_mtok": 0.5, "stated_usd": 7.5}),
    (
        YES,
        "saving_per_period",
        {"tokens_per_day": 50000000, "baseline_usd_per_mtok": 15, "option_usd_per_mtok": 0.15, "stated_usd_per_month": 22584},
    ),
    (
        NO,
        "saving_per_period",
        {"tokens_per_day": 50000000, "baseline_usd_per_mtok": 15, "option_usd_per_mtok": 0.15, "stated_usd_per_month": 271012},
    ),
    (
        YES,
        "saving_per_period",
        {"tokens_per_day": 50000000, "api_usd_per_mtok": 15, "self_hosted_usd_per_mtok": 1.5, "stated_saving_usd_per_year": 246375},
    ),
    (OPEN, "saving_per_period", {"tokens_per_day": 50000000, "baseline_usd_per_mtok": 15, "stated_usd_per_year": 246375}),
    (OPEN, "saving_per_period", {"baseline_usd_per_mtok": 15, "option_usd_per_mtok": 1.5, "stated_usd_per_year": 246375}),
    (
        YES,
        "saving_per_period",
        {
            "queries_per_day": 10000000,
            "tokens_per_query": 143,
            "baseline_usd_per_mtok": 35,
            "option_usd_per_mtok": 0,
            "stated_usd_per_day": 50000,
        },
    ),
    (OPEN, "saving_per_period", {"queries_per_day": 10000000, "tokens_per_query": 143, "stated_usd_per_day": 50000}),
    (
        NO,
        "saving_per_period",
        {
            "queries_per_day": 10000000,
            "tokens_per_query": 143,
            "baseline_usd_per_mtok": 2.5,
            "option_usd_per_mtok": 0.15,
            "stated_usd_per_day": 50000,
        },
    ),
    (OPEN, "saving_per_period", {"saving_usd_per_month": 1000, "saving_usd_per_year": 1000, "stated_usd_per_year": 12000}),
    (YES, "saving_per_period", {"baseline_usd_per_mtok": 15, "option_usd_per_mtok": 1.5, "stated_saving_percent": 90}),
    (
        YES,
        "payback",
        {"upfront_usd": 100000, "baseline_usd_per_month": 22812.5, "option_usd_per_month": 2812.5, "stated_payback_months": 5},
    ),
    (
        NO,
        "payback",
        {"upfront_usd": 100000, "baseline_usd_per_month": 22812.5, "option_usd_per_month": 2812.5, "stated_payback_months": 0.4},
    ),
    (NO, "payback", {"upfront_usd": 100000, "saving_usd_per_year": 240000, "stated_payback_months": 0.42}),
    (YES, "payback", {"upfront_usd": 100000, "saving_usd_per_year": 240000, "stated_payback_months": 5}),
    (YES, "payback", {"quote": "in about 5 months", "upfront_usd": 100000, "saving_usd_per_year": 230000, "stated_payback_months": 5}),
    (OPEN, "payback", {"upfront_usd": 100000, "baseline_usd_per_month": 22812.5, "stated_payback_months": 5}),
    (
        NO,
        "payback",
        {
            "upfront_usd": [50000, 150000],
            "tokens_per_day": 50000000,
            "baseline_usd_per_mtok": 0.2,
            "option_usd_per_mtok": 0.15,
            "stated_payback_months": [2, 7],
        },
    ),
    (NO, "implied_rent", {"device": "H100", "stated_usd_per_month": 26192}),
    (NO, "implied_rent", {"device": "L40S", "stated_usd_per_month": [590, 1300]}),
    (NO, "implied_rent", {"device": "H100", "stated_usd_per_month": 200}),
    (YES, "implied_rent", {"tokens_per_s": 1000, "usd_per_mtok": 0.5, "stated_usd_per_hour": 1.8}),
    (NO, "implied_rent", {"tokens_per_s": 100, "usd_per_mtok": 0.15, "device": "L4"}),
    (YES, "implied_rent", {"tokens_per_day": 50000000, "usd_per_mtok": 1.5, "gpus": 1, "stated_usd_per_hour": 3.125}),
    (NO, "implied_rent", {"tokens_per_day": 50000000, "usd_per_mtok": 0.15, "stated_usd_per_hour": 0.3125, "device": "H100"}),
    (YES, "implied_rent", {"stated_usd_per_year": 27375, "stated_usd_per_hour": 3.125}),
    (NO, "implied_rent", {"stated_usd_per_month": 27375, "stated_usd_per_hour": 3.125}),
    (None, "implied_rent", {"stated_usd_per_month": 27375, "device": "H900"}),
    (NO, "implied_rent", {"stated_usd_per_month": 50, "gpus": 1, "hours_per_month": 730}),
    (YES, "implied_rent", {"stated_usd_per_month": 50, "gpus": 1, "hours_per_month": 100}),
    (NO, "implied_speed", {"usd_per_mtok": 0.15, "usd_per_hour": 2.99, "stated_tokens_per_s": 55}),
    (YES, "implied_speed", {"usd_per_mtok": 0.15, "usd_per_hour": 2.99, "stated_tokens_per_s": 5537}),
    (YES, "implied_speed", {"quote": "~5,500", "usd_per_mtok": 0.15, "usd_per_hour": 2.99, "stated_tokens_per_s": 5500}),
    (NO, "implied_speed", {"tokens_per_day": 478000000, "device": "L4", "params_b": 70, "bits_per_weight": 16}),
    (YES, "implied_speed", {"tokens_per_s": 1000, "usd_per_mtok": 0.5, "stated_usd_per_hour": 1.8}),
    (NO, "implied_speed", {"gpu": "RTX 4090", "params_b": 8, "bits_per_weight": 16, "batch_size": 1, "stated_tokens_per_s": 500}),
    (YES, "implied_speed", {"gpu": "RTX 4090", "params_b": 8, "bits_per_weight": 16, "batch_size": 1, "stated_tokens_per_s": 50}),
    (NO, "implied_speed", {"gpu": "H100", "params_b": 8, "bits_per_weight": 8, "tokens_per_s": 1000000}),
    (OPEN, "implied_speed", {"usd_per_hour": 2.99, "stated_tokens_per_s": 5537}),
    (YES, "implied_speed", {"tokens_per_s": 5537, "stated_tokens_per_day": 478000000}),
    (NO, "implied_speed", {"tokens_per_s": 5537, "stated_tokens_per_month": 478000000}),
    (YES, "memory", {"params_b": 7, "bits_per_weight": 16, "stated_gb": 14}),
    (NO, "memory", {"params_b": 7, "bits_per_weight": 16, "stated_gb": 7}),
    (YES, "memory", {"params_b": 70, "bits_per_weight": 16, "overhead_share": 0.2, "stated_gb": 168}),
    (NO, "memory", {"params_b": 70, "bits_per_weight": 16, "device": "H100"}),
    (YES, "memory", {"params_b": 70, "bits_per_weight": 8, "device": "H100", "gpus": 2}),
    (NO, "memory", {"params_b": 13, "bits_per_weight": 16, "available_gb": 24}),
    (YES, "memory", {"params_b": 13, "bits_per_weight": 4, "gpu_memory_gb": 24}),
    (YES, "memory", {"model": "llama-3.3-70b", "bits_per_weight": 16, "stated_gib": 131.4}),
    (NO, "memory", {"model": "llama-3.3-70b", "bits_per_weight": 4.85, "stated_gb_at_most": 24}),
    (YES, "memory", {"params_b": 7, "bits_per_weight": 4, "stated_gb": 3.5}),
    (NO, "memory", {"params_b": 7, "bits_per_weight": 4, "stated_gb": 28}),
    (YES, "memory", {"params_b": 671, "bits_per_weight": 8, "stated_gb": 671}),
    (None, "memory", {"params_b": 0, "bits_per_weight": 8, "stated_gb": 671}),
    (OPEN, "memory", {"model": "llama-3.3-70b", "stated_gb": 140}),
    (YES, "memory", {"params_b": 400, "bits_per_weight": 16, "stated_tb": 0.8}),
    (
        NO,
        "latency",
        {"output_tokens": 500, "model": "llama-3.3-70b", "device": "RTX 4090", "bits_per_weight": 16, "stated_latency_ms": 500},
    ),
    (YES, "latency", {"output_tokens": 200, "tokens_per_s": 100, "stated_latency_s": 2}),
    (YES, "latency", {"output_tokens": 200, "tpot_ms": 10, "ttft_ms": 500, "stated_latency_s": 2.5}),
    (NO, "latency", {"output_tokens": 200, "tpot_ms": 10, "ttft_ms": 500, "stated_latency_ms": 250}),
    (
        YES,
        "latency",
        {"input_tokens": 2000, "prefill_tokens_per_s": 4000, "output_tokens": 100, "tokens_per_s": 50, "stated_latency_ms": 2500},
    ),
    (NO, "latency", {"output_tokens": 1000, "params_b": 70, "stated_latency_ms_at_most": 200}),
    (OPEN, "latency", {"tokens_per_s": 100, "stated_latency_ms": 200}),
    (YES, "latency", {"output_tokens": [100, 200], "tokens_per_s": 50, "stated_latency_s": [2, 4]}),
    (NO, "latency", {"output_tokens": 200, "tokens_per_s": [20, 50], "stated_latency_ms": [50, 150]}),
    (NO, "ratio", {"numerator": 3.75, "denominator": 0.13, "stated_ratio": 280}),
    (YES, "ratio", {"baseline_usd_per_mtok": 15, "option_usd_per_mtok": 0.15, "stated_ratio": 100}),
    (YES, "ratio", {"baseline_usd_per_mtok": 15, "option_usd_per_mtok": 0.15, "stated_ratio_at_most": 100}),
    (YES, "ratio", {"baseline_usd_per_mtok": 30, "option_usd_per_mtok": 1, "stated_ratio": 30}),
    (NO, "ratio", {"baseline_usd_per_mtok": 30, "option_usd_per_mtok": 1, "years": 3, "stated_ratio_per_year": 30}),
    (YES, "ratio", {"baseline_usd_per_mtok": 30, "option_usd_per_mtok": 1, "months": 36, "stated_ratio_per_year": 3.1}),
    (YES, "ratio", {"api_usd_per_mtok": 3.75, "self_hosted_usd_per_mtok": 0.13, "stated_times": 28.8}),
    (None, "ratio", {"baseline_gb": 3.75, "option_tokens": 0.13, "stated_times": 28.8}),
    (NO, "ratio", {"numerator": 16, "denominator": 4.85, "stated_saving_share": 0.9}),
    (YES, "ratio", {"numerator": 9, "denominator": 117, "stated_ratio": 0.077}),
    (NO, "ratio", {"numerator": 400, "denominator": 7, "stated_ratio": 5.7}),
    (YES, "ratio", {"baseline_accuracy": 0.843, "option_accuracy": 0.424, "stated_ratio": 1.99}),
    (YES, "ratio", {"numerator": [0.1, 0.2], "denominator": 0.1, "stated_ratio": [1, 2]}),
    (OPEN, "ratio", {"years": 3, "stated_ratio_per_year": 3.1}),
)
"""Verdict, kind and facts; None where the claim is refused with a sentence."""


@pytest.mark.parametrize(("verdict", "kind", "facts"), CLAIMED)
def test_a_claim_has_its_verdict(verdict, kind, facts):
    if verdict is None:
        with pytest.raises(InputError):
            audit(kind, facts)
        return
    result = audit(kind, facts)
    assert result.verdict is verdict, result.arithmetic
    assert bool(result.missing) == (verdict is OPEN)
    assert result.arithmetic
    json.dumps(audit_json(result), allow_nan=False)


# ---- units ----


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_a_bill_is_the_same_whichever_unit_its_facts_and_its_figure_stand_in(mtok_per_day, cents):
    """USD a day = million tokens x price: written by week, quarter, thousand tokens or cents, right stays right and double stays wrong."""
    day = mtok_per_day * cents / 100
    facts = (
        {"tokens_per_day": mtok_per_day * 1e6, "usd_per_mtok": cents / 100},
        {"mtok_per_week": mtok_per_day * 7, "cents_per_mtok": cents},
        {"ktok_per_day": mtok_per_day * 1e3, "usd_per_1k_tokens": cents / 1e5},
        {"tokens_per_year": mtok_per_day * 365e6, "price_per_mtok_usd": cents / 100},
    )
    figures = {"stated_usd_per_week": day * 7, "stated_usd_per_quarter": day * 365 / 4, "stated_cost_usd_per_year": day * 365}
    for given_facts in facts:
        for key, value in figures.items():
            assert audit("cost_per_period", {**given_facts, key: value}).verdict is YES
            assert audit("cost_per_period", {**given_facts, key: value * 2}).verdict is NO


def test_a_stated_figure_keeps_its_own_unit_and_digits():
    result = audit("payback", {"upfront_usd": 1_000, "saving_usd_per_day": 10, "stated_payback_weeks": 14})
    assert result.verdict is YES  # 14.3 weeks; in months it would be 3.2877 against 3.22, and no digit of it stated
    assert audit_json(result)["stated"] == 14
    assert audit_json(result)["recomputed"] == pytest.approx(100 / 7)


def test_a_month_of_thirty_days_is_no_mistake_and_is_said():
    result = audit("cost_per_period", {"tokens_per_day": 50e6, "usd_per_mtok": 15, "stated_usd_per_month": 22_500})
    assert result.verdict is YES
    assert "with a month of 30 days" in result.arithmetic
    off = audit("cost_per_period", {"tokens_per_day": 50e6, "usd_per_mtok": 15, "stated_usd_per_month": 22_200})
    assert off.verdict is NO


def test_two_facts_that_exclude_each_other_decide_nothing_and_are_named():
    result = audit("cost_per_period", {"tokens_per_day": 50e6, "tokens_per_month": 50e6, "usd_per_mtok": 1, "stated_usd_per_day": 50})
    assert result.missing == ("tokens_per_day", "tokens_per_month")
    assert "contradict each other" in result.arithmetic


def test_what_is_missing_is_said_in_the_claims_own_words():
    assert audit("saving_per_period", {"queries_per_day": 10e6, "stated_usd_per_day": 50_000}).missing[0] == "tokens_per_query"
    assert audit("saving_per_period", {"requests_per_day": 10e6, "stated_usd_per_day": 50_000}).missing[0] == "tokens_per_request"


def test_no_key_of_a_record_means_another_one():
    for kind in ClaimKind:
        known = frozenset(CLAIMS[kind].model_fields)
        for key in known:
            found = meant_by(key, known)
            assert found is not None
            assert (found.key, found.factor, found.inverse) == (key, 1.0, False)
        assert all(meaning for meaning in keys_of(kind).values())


@pytest.mark.parametrize("key", ["tokens_per_dag", "usd", "price", "stated", "per_day", "mtok_per", "x", "", "stated_usd_per_fortnight"])
def test_what_nothing_means_stays_unknown(key):
    assert meant_by(key, COST) is None


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"tokens_per_day": 1, "mtok_per_day": 1}, "'tokens_per_day' and 'mtok_per_day' give the same number twice"),
        ({"stated_usd_per_week": 1, "stated_usd_per_week_at_most": 1}, "state the same figure twice"),
        ({"tokens_per_week": "7"}, "give a number"),
        ({"tokens_per_week": [7, 1]}, "is no range"),
        ({"stated_usd_per_week": [7, 1]}, "the lower number of a range comes first"),
        ({"tokens_per_week_low": 7}, "'tokens_per_week_low' without"),
        ({"usd_per_mtok": float("nan")}, "usd_per_mtok"),
        ({"usd_per_mtok": float("inf")}, "usd_per_mtok"),
    ],
)
def test_a_number_in_another_unit_is_checked_as_strictly(facts, message):
    with pytest.raises(InputError, match=message):
        claim_of({"id": "x", "kind": "cost_per_period", **facts})


# ---- one wrong claim among others ----


def test_a_claim_that_cannot_be_read_does_not_silence_the_others(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text(
        '[[claim]]\nid = "a"\nkind = "ratio"\nnumerator = 6\ndenominator = 3\nstated_ratio = 2\n'
        '[[claim]]\nid = "b"\nkind = "ratioo"\n'
        '[[claim]]\nid = "c"\nkind = "implied_rent"\ndevice = "H9000"\nstated_usd_per_month = 5\n'
    )
    ended = CliRunner().invoke(app, ["audit", str(path), "--json"])
    assert isinstance(ended.exception, InputError)
    assert str(ended.exception).startswith("2 of 3 claims cannot be read; the first: ")
    a, b, c = json.loads(ended.stdout)
    assert (a["verdict"], b["verdict"], c["verdict"]) == ("reproduces", "undecidable", "undecidable")
    assert "unknown kind 'ratioo' (nearest known: 'ratio')" in b["arithmetic"]
    assert "unknown device 'H9000'" in c["arithmetic"]
    assert "cannot be read" in CliRunner().invoke(app, ["audit", str(path)]).stdout


def test_every_key_is_printed_with_its_meaning():
    shown = CliRunner().invoke(app, ["audit", "--keys"]).stdout
    assert all(f"    {key}: {meaning}" in shown for kind in ClaimKind for key, meaning in keys_of(kind).items())
