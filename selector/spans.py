"""Numbers that may be ranges: how they are multiplied, divided and put into words."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from math import isfinite
from typing import Any, TypeAlias

from facts.errors import InputError
from selector.claims import (
    Bound,
    Span,
)

Pair: TypeAlias = "tuple[float, float]"
"""Low and high end; the same number twice where it is no range."""


def ends_of(span: Span) -> Pair:
    """The ends of what a claim gives."""
    return span.low, span.high


def scaled(pair: Pair, factor: float) -> Pair:
    """Both ends times a factor."""
    return pair[0] * factor, pair[1] * factor


def product(one: Pair, other: Pair) -> Pair:
    """Range of the product of two ranges of positive numbers."""
    return one[0] * other[0], one[1] * other[1]


def quotient(one: Pair, other: Pair) -> Pair:
    """Range of the quotient of two ranges; InputError where the divisor may be 0."""
    if other[0] <= 0.0:
        raise InputError(f"{text(one)} is to be divided by {text(other)}: a number above 0 is wanted there")
    return one[0] / other[1], one[1] / other[0]


def difference(one: Pair, other: Pair) -> Pair:
    """Range of the difference of two ranges."""
    return one[0] - other[1], one[1] - other[0]


def number(value: float) -> str:
    """Thousands with commas and at most two decimals from 100 on, four figures below."""
    if not isfinite(value):
        return "never"
    if abs(value) < 100.0 or abs(value) >= 1e15:
        return f"{value:.4g}"
    return f"{_half_up(value):,}".removesuffix(".00")


def _half_up(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def text(pair: Pair, key: str = "") -> str:
    """A number or a range in words; USD where the key says so."""
    if "usd" in key:
        return usd(pair)
    return number(pair[0]) if pair[0] == pair[1] else f"{number(pair[0])} to {number(pair[1])}"


def usd(pair: Pair) -> str:
    """An amount or a range of amounts."""
    ends = (_amount(pair[0]),) if pair[0] == pair[1] else (_amount(pair[0]), _amount(pair[1]))
    return " to ".join(ends)


def _amount(value: float) -> str:
    """Cents from a dollar on, four figures below; whole dollars without cents."""
    text = f"{_half_up(abs(value)):,}".removesuffix(".00") if 1.0 <= abs(value) < 1e15 else number(abs(value))
    return f"-${text}" if value < 0 else f"${text}"


def span_text(span: Span, key: str) -> str:
    """What a claim states, with its bound."""
    words = {Bound.EXACT: "", Bound.AT_MOST: "at most ", Bound.AT_LEAST: "at least "}[span.bound]
    return words + text(ends_of(span), key)


def given_text(value: Any) -> str:
    """What a claim gives under any key."""
    return text(ends_of(value)) if isinstance(value, Span) else str(value)
