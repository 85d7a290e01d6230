"""A row of the batch door as a serving table has it, for tests that change one column of it."""

from capacity.cases import COLUMNS

ROW = dict.fromkeys(COLUMNS, "") | {
    "source_version": "2026",
    "engine": "vllm",
    "model": "Llama 3.1 8B",
    "params_b": "8.03",
    "quant": "bf16",
    "device": "H100 SXM 80GB",
    "device_count": "1",
    "isl": "1000",
    "osl": "200",
    "batch_or_concurrency": "16",
    "metric": "output_tok_s_total",
}
