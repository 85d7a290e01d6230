"""A request log summarised: rows per second and peak memory beside bare DuckDB and pandas, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.timing import Timing

ROWS = int(os.environ.get("BENCH_LOG_ROWS", "5000000"))
ROOT = Path(__file__).resolve().parents[2]
MAKE = """
import duckdb, sys
duckdb.sql(f'''COPY (SELECT make_timestamp(1760000000000000 + i * 250000 + (hash(i) % 200000)::BIGINT) AS "TIMESTAMP",
    (hash(i * 3) % 4000)::INT + 1 AS "ContextTokens", (hash(i * 7) % 800)::INT + 1 AS "GeneratedTokens"
    FROM range({sys.argv[1]}) t(i)) TO '{sys.argv[2]}' {"(FORMAT parquet)" if sys.argv[2].endswith("parquet") else "(HEADER)"}''')
"""
OURS = """
from pathlib import Path
from workloads.traces import summarize
found = summarize(Path(path))
answer = [found.requests, found.input_lengths.total_tokens, found.output_lengths.quantile_tokens(0.95), round(found.gap_cv, 9),
          round(found.peaks[1].requests_to_mean, 9)]
"""
BARE = """
import duckdb, tempfile
with tempfile.TemporaryDirectory() as folder:
    db = duckdb.connect(config={"memory_limit": "1GiB", "temp_directory": folder})
    read = "read_parquet(?)" if path.endswith("parquet") else ("read_csv(?, header = true, delim = ',', quote = '\\"', escape = '\\"', "
        "auto_detect = false, columns = {'TIMESTAMP': 'TIMESTAMPTZ', 'ContextTokens': 'UINTEGER', 'GeneratedTokens': 'UINTEGER'})")
    db.execute("SET TimeZone = 'UTC'")
    db.execute("SET enable_progress_bar = false")  # it is printed over the answer
    db.execute(f"CREATE TEMP TABLE r AS SELECT epoch_us(TIMESTAMP) AS t, ContextTokens AS i, GeneratedTokens AS o FROM {read}", [path])
    count, first, last = db.execute("SELECT count(*), min(t), max(t) FROM r").fetchone()
    jumps = db.execute("SELECT count(*) FROM (SELECT t - lag(t) OVER () AS g FROM r) WHERE g < 0").fetchone()
    ins = db.execute("SELECT i, count(*) FROM r GROUP BY 1 ORDER BY 1").fetchall()
    outs = db.execute("SELECT o, count(*) FROM r GROUP BY 1 ORDER BY 1").fetchall()
    peaks = []
    for width in (10, 60, 3600):
        n = (last - first) // (width * 1000000)
        most, all_, tokens, all_tokens = db.execute("SELECT max(c), sum(c), max(k), sum(k) FROM (SELECT (t - ?) // ? AS w, count(*) AS c, "
            "sum(i::BIGINT + o) AS k FROM r GROUP BY 1) WHERE w < ?", [first, width * 1000000, n]).fetchone()
        peaks.append(most * n / all_)
    cv = db.execute("SELECT stddev_pop(g) / avg(g) FROM (SELECT t - lag(t) OVER (ORDER BY t) AS g FROM r)").fetchone()[0]
    hours = db.execute("SELECT t // 3600000000 AS h, count(*), sum(i::BIGINT + o) FROM r GROUP BY 1").fetchall()
seen, p95 = 0, None
for length, number in outs:
    seen += number
    if p95 is None and seen >= 0.95 * count:
        p95 = length
answer = [count, sum(a * b for a, b in ins), p95, round(cv, 9), round(peaks[1], 9)]
"""
PANDAS = """
import numpy as np, pandas as pd
r = pd.read_parquet(path) if path.endswith("parquet") else pd.read_csv(path)
t = pd.to_datetime(r["TIMESTAMP"], utc=True, format="ISO8601").to_numpy().astype("datetime64[us]").astype(np.int64)
i, o = r["ContextTokens"].to_numpy(np.int64), r["GeneratedTokens"].to_numpy(np.int64)
jumps = int((np.diff(t) < 0).sum())
s = np.sort(t)
gaps = np.diff(s)
outs = np.bincount(o)
ins = np.bincount(i)
peaks = []
for width in (10, 60, 3600):
    n = int((s[-1] - s[0]) // (width * 1000000))
    w = (t - s[0]) // (width * 1000000)
    c, k = np.bincount(w)[:n], np.bincount(w, weights=i + o)[:n]
    peaks.append(int(c.max()) * n / int(c.sum()))
hours = np.bincount(t // 3600000000 - s[0] // 3600000000, weights=i + o)
p95 = int(np.searchsorted(np.cumsum(outs), 0.95 * len(r)))
answer = [len(r), int(i.sum()), p95, round(float(gaps.std() / gaps.mean()), 9), round(peaks[1], 9)]
"""
RUN = """
import json, resource, sys, time
path = sys.argv[1]
start = time.perf_counter()
{work}
print(json.dumps([time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, answer]))
"""


def main() -> list[Timing]:
    """The same figures three ways, from Parquet and from CSV; different figures are an error."""
    timings = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("parquet", "csv"):
            path = Path(folder) / f"log.{kind}"
            subprocess.run([sys.executable, "-c", MAKE, str(ROWS), str(path)], check=True)
            answers = []
            for name, work in (("summarize", OURS), ("bare DuckDB", BARE), ("pandas", PANDAS)):
                seconds, peak_bytes, answer = measured(work, path)
                answers.append(answer)
                label = f"{name}, {ROWS / 1e6:g} M rows of {kind}: {ROWS / seconds / 1e6:.2f} M rows/s, peak {peak_bytes / 2**20:,.0f} MiB"
                timings.append(Timing(name=label, seconds=(seconds,)))
            if any(answer != answers[0] for answer in answers):
                raise RuntimeError(f"the three ways differ: {answers}")
            path.unlink()
    return timings


def measured(work: str, path: Path) -> tuple[float, int, list[float]]:
    """Seconds without the interpreter's start, peak memory, and what was found."""
    ended = subprocess.run(
        [sys.executable, "-c", RUN.replace("{work}", work), str(path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    seconds, peak_bytes, answer = json.loads(ended.stdout.splitlines()[-1])
    return seconds, peak_bytes, answer
