"""The scores of two models on the same cases, read strictly from a CSV file: what the gap gate decides on."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facts.errors import InputError
from facts.records import nearest

Scores: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]

MINIMUM_ITEMS: Final = 20
"""Below it no margin in use can be shown, whatever the scores."""
MAXIMUM_ROWS: Final = 5_000_000
SPELLINGS: Final = {
    "item": ("item", "item_id", "id", "case"),
    "baseline": ("baseline", "baseline_score", "reference", "reference_score"),
    "candidate": ("candidate", "candidate_score", "option", "option_score"),
    "cluster": ("cluster",),
    "slice": ("slice",),
    "seed": ("seed",),
}
"""Columns of a results file and the headings under which each is found."""
COUNTS: Final = ("tp", "fp", "fn")
"""True positives, false positives and false negatives of one item, for F1 over the whole corpus."""


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Two models on the same cases, one entry per item.

    name: what is compared with the baseline
    items: each item's label
    baseline, option: score of each item, 0 to 1, the mean over its seeds; for corpus counts each item's own F1
    cluster: number of the item's cluster (document, customer, template), None without that column
    slice: number of the item's slice, None without that column
    slices: names of the slices by number
    seed_differences: option less baseline over all items, by seed, empty without that column
    baseline_counts, option_counts: true positives, false positives, false negatives per item (items, 3), None for plain scores
    """

    name: str
    items: NDArray[np.str_]
    baseline: Scores
    option: Scores
    cluster: Codes | None = None
    slice: Codes | None = None
    slices: tuple[str, ...] = ()
    seed_differences: tuple[tuple[str, float], ...] = ()
    baseline_counts: Scores | None = None
    option_counts: Scores | None = None

    @property
    def n(self) -> int:
        """Items."""
        return len(self.baseline)

    @property
    def right_or_wrong(self) -> bool:
        """Whether every score is 0 or 1."""
        return self.baseline_counts is None and all(bool(np.isin(scores, (0.0, 1.0)).all()) for scores in (self.baseline, self.option))

    def part(self, chosen: NDArray[np.bool_]) -> CaseScores:
        """The chosen items alone, without slices and seeds."""
        return CaseScores(
            name=self.name,
            items=self.items[chosen],
            baseline=self.baseline[chosen],
            option=self.option[chosen],
            cluster=None if self.cluster is None else self.cluster[chosen],
            baseline_counts=None if self.baseline_counts is None else self.baseline_counts[chosen],
            option_counts=None if self.option_counts is None else self.option_counts[chosen],
        )


def read_scores(path: Path, *, seed: str | None = None) -> CaseScores:
    """A results file; with `seed`, only the rows of that seed (the one that ships)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, a CSV file of scores is wanted") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text, so it is no CSV file of scores") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return scores_from_csv(text, where=str(path), name=path.stem, seed=seed)


def scores_from_csv(text: str, *, where: str = "the table", name: str = "the candidate", seed: str | None = None) -> CaseScores:
    """CSV text with the columns item, baseline, candidate and, where wanted, cluster, slice, seed; `where` begins every error.

    Scores run from 0 to 1. For corpus F1 the two scores are six columns of counts: baseline_tp, baseline_fp, baseline_fn and
    candidate_tp, candidate_fp, candidate_fn. An item stands once, or once per seed.
    """
    rows, lines = _rows(text, where)
    columns = _columns(rows[0], where)
    body = rows[1:]
    if "seed" in columns and seed is not None:
        at = columns["seed"]
        kept = [number for number, row in enumerate(body) if row[at].strip() == seed]
        if not kept:
            known = sorted({row[at].strip() for row in body})
            raise InputError(f"{where}: no row has seed '{seed}', there are {', '.join(known[:10])}")
        body, lines = [body[number] for number in kept], [lines[number] for number in kept]
    elif seed is not None:
        raise InputError(f"{where}: seed '{seed}' is asked for, but there is no column 'seed'")
    items = _labels(body, lines, columns["item"], "item", where)
    seeds = _labels(body, lines, columns["seed"], "seed", where) if "seed" in columns else None
    _no_duplicates(items, seeds, lines, where)
    baseline_counts: Scores | None = None
    option_counts: Scores | None = None
    if "baseline_tp" in columns:
        baseline_counts = np.column_stack([_numbers(body, lines, columns[f"baseline_{kind}"], where, counts=True) for kind in COUNTS])
        option_counts = np.column_stack([_numbers(body, lines, columns[f"candidate_{kind}"], where, counts=True) for kind in COUNTS])
        baseline, option = item_f1(baseline_counts), item_f1(option_counts)
    else:
        baseline = _numbers(body, lines, columns["baseline"], where, counts=False)
        option = _numbers(body, lines, columns["candidate"], where, counts=False)
    found = _one_row_per_item(
        name, items, seeds, baseline, option, (baseline_counts, option_counts), _optional(body, lines, columns, where)
    )
    return _usable(found, where)


def item_f1(counts: Scores) -> Scores:
    """F1 of each row of (true positives, false positives, false negatives): 2 tp / (2 tp + fp + fn), 1 where there is nothing to find."""
    hits, wrong = 2.0 * counts[..., 0], counts[..., 1] + counts[..., 2]
    total = hits + wrong
    return np.asarray(np.where(total > 0, hits / np.where(total > 0, total, 1.0), 1.0))


# ---- below: how ----


def _rows(text: str, where: str) -> tuple[list[list[str]], list[int]]:
    """The non-empty rows and, for the rows below the heading, their line numbers."""
    first = text.split("\n", 1)[0]
    delimiter = next((mark for mark in (",", ";", "\t") if mark in first), ",")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            rows.append(row)
            lines.append(reader.line_num)
            if len(rows) > MAXIMUM_ROWS + 1:
                raise InputError(f"{where} has more than {MAXIMUM_ROWS:,} rows: draw a random sample of them")
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: not a CSV row ({error}); check its quotes") from None
    if not rows:
        raise InputError(f"{where} is empty: a heading item,baseline,candidate and a row per case are wanted")
    width = len(rows[0])
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise InputError(f"{where}, line {line}: {len(row)} fields where the heading has {width}; quote a field that holds a separator")
    return rows, lines[1:]


def _columns(heading: Sequence[str], where: str) -> dict[str, int]:
    known = {spelling: column for column, spellings in SPELLINGS.items() for spelling in spellings}
    counted = [f"{side}_{kind}" for side in ("baseline", "candidate") for kind in COUNTS]
    known |= {column: column for column in counted}
    columns: dict[str, int] = {}
    for place, raw in enumerate(heading):
        name = raw.strip().lower().replace(" ", "_").replace("-", "_")
        if name not in known:
            raise InputError(f"{where}: unknown column '{raw.strip()}'{nearest(name, known)}")
        if known[name] in columns:
            raise InputError(f"{where}: column '{raw.strip()}' stands twice")
        columns[known[name]] = place
    by_counts = any(column in columns for column in counted)
    if by_counts and ("baseline" in columns or "candidate" in columns):
        raise InputError(f"{where}: scores and counts (baseline_tp, ...) state the same thing twice: keep one of the two")
    for column in ("item", *(counted if by_counts else ("baseline", "candidate"))):
        if column not in columns:
            have = ", ".join(cell.strip() for cell in heading)
            raise InputError(f"{where}: column '{column}' is missing; the heading has {have}")
    return columns


def _labels(body: Sequence[Sequence[str]], lines: Sequence[int], at: int, column: str, where: str) -> list[str]:
    labels = [row[at].strip() for row in body]
    if "" in labels:
        raise InputError(f"{where}, line {lines[labels.index('')]}: no {column}; every row needs one")
    return labels


def _no_duplicates(items: Sequence[str], seeds: Sequence[str] | None, lines: Sequence[int], where: str) -> None:
    keys: Sequence[object] = items if seeds is None else list(zip(items, seeds, strict=True))
    if len(set(keys)) == len(keys):
        return
    seen: dict[object, int] = {}
    for key, item, line in zip(keys, items, lines, strict=True):
        if key in seen:
            way_out = "add a column 'seed' if it was run more than once" if seeds is None else "one row per item and seed"
            raise InputError(f"{where}, line {line}: item '{item}' already stands in line {seen[key]}; {way_out}")
        seen[key] = line


def _numbers(body: Sequence[Sequence[str]], lines: Sequence[int], at: int, where: str, *, counts: bool) -> Scores:
    cells = [row[at] for row in body]
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError:
        raise InputError(_not_a_number(cells, lines, where)) from None
    highest = np.inf if counts else 1.0
    wrong = ~((numbers >= 0.0) & (numbers <= highest) & np.isfinite(numbers))
    if counts:
        wrong |= numbers != np.floor(numbers)
    if wrong.any():
        place = int(np.argmax(wrong))
        cell, value = cells[place].strip(), float(numbers[place])
        if counts:
            raise InputError(f"{where}, line {lines[place]}: {cell} is no count; whole numbers from 0 are wanted")
        way_out = "; divide percentages by 100" if 1.0 < value <= 100.0 else ""
        raise InputError(f"{where}, line {lines[place]}: score {cell} is outside 0 to 1{way_out}")
    return numbers


def _not_a_number(cells: Sequence[str], lines: Sequence[int], where: str) -> str:
    for cell, line in zip(cells, lines, strict=True):
        try:
            float(cell)
        except ValueError:
            shown = f"'{cell.strip()}' is no number" if cell.strip() else "a score is empty"
            return f"{where}, line {line}: {shown}; scores run from 0 to 1, leave out cases that one of the models did not answer"
    return f"{where}: the scores cannot be read as numbers"


_Labels: TypeAlias = "dict[str, list[str]]"


def _optional(body: Sequence[Sequence[str]], lines: Sequence[int], columns: dict[str, int], where: str) -> _Labels:
    return {column: _labels(body, lines, columns[column], column, where) for column in ("cluster", "slice") if column in columns}


def _one_row_per_item(
    name: str,
    items: list[str],
    seeds: list[str] | None,
    baseline: Scores,
    option: Scores,
    counts: tuple[Scores | None, Scores | None],
    labels: _Labels,
) -> CaseScores:
    """One entry per item: the mean over its seeds; counts are added up. Cluster and slice are those of its first row."""
    coded = {column: _coded(values) for column, values in labels.items()}
    cluster = coded["cluster"][0] if "cluster" in coded else None
    part, names = coded.get("slice", (None, ()))
    if seeds is None:
        return CaseScores(
            name=name,
            items=np.array(items),
            baseline=baseline,
            option=option,
            cluster=cluster,
            slice=part,
            slices=names,
            baseline_counts=counts[0],
            option_counts=counts[1],
        )
    codes, _ = _coded(items)
    first = np.unique(codes, return_index=True)[1]
    times = np.bincount(codes).astype(np.float64)
    by_seed = np.array(seeds)
    differences = tuple((str(one), float((option - baseline)[by_seed == one].mean())) for one in np.unique(by_seed)[:100])
    summed = [
        None if table is None else np.column_stack([np.bincount(codes, column) for column in table.T]).astype(np.float64)
        for table in counts
    ]
    return CaseScores(
        name=name,
        items=np.array(items)[first],
        baseline=np.bincount(codes, baseline) / times,
        option=np.bincount(codes, option) / times,
        cluster=None if cluster is None else cluster[first],
        slice=None if part is None else part[first],
        slices=names,
        seed_differences=differences if len(differences) > 1 else (),
        baseline_counts=summed[0],
        option_counts=summed[1],
    )


def _coded(labels: list[str]) -> tuple[Codes, tuple[str, ...]]:
    names, codes = np.unique(np.array(labels), return_inverse=True)
    return codes.astype(np.int64), tuple(str(name) for name in names)


def _usable(found: CaseScores, where: str) -> CaseScores:
    if found.n < MINIMUM_ITEMS:
        raise InputError(f"{where}: {found.n} items, at least {MINIMUM_ITEMS} are needed for any verdict; several hundred is usual")
    first = float(found.baseline[0])
    if bool((found.baseline == first).all() and (found.option == first).all()):
        same = f"both models score {first:g} on all {found.n} items"
        raise InputError(f"{where}: {same}, so the set cannot tell them apart: check the scorer, add harder cases")
    if not found.baseline.any():
        raise InputError(
            f"{where}: the baseline scores 0 on all {found.n} items, so there is nothing to hold: check the scorer and its prompt"
        )
    return found
