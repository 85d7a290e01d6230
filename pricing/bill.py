"""Tokens times price, with cached, cache-write, batch, reasoning and retried tokens each at their own rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facts.units import DAYS_PER_YEAR, MONTHS_PER_YEAR, TOKENS_PER_MTOK
from pricing.costs import Amount, CostLine
from pricing.prices import ApiPrice
from workloads.demand import TokenVolume


@dataclass(frozen=True, kw_only=True)
class TokenBill:
    """One month's tokens in USD, arrays of shape (..., months). A blended price fills `tokens_usd` alone, list prices the other four.

    tokens_input_usd: prompt tokens, neither cached nor written to the cache
    tokens_cached_input_usd: prompt tokens read from the cache
    tokens_cache_write_usd: prompt tokens written to the cache
    tokens_output_usd: answer and reasoning tokens
    tokens_usd: everything, at one blended price
    """

    tokens_input_usd: NDArray[np.float64]
    tokens_cached_input_usd: NDArray[np.float64]
    tokens_cache_write_usd: NDArray[np.float64]
    tokens_output_usd: NDArray[np.float64]
    tokens_usd: NDArray[np.float64] | None = None

    @property
    def lines(self) -> tuple[CostLine, ...]:
        """The lines of a bill: `tokens`, or its parts (cached ones only where there are any), never both."""
        if self.tokens_usd is not None:
            return (CostLine(name="tokens", usd=self.tokens_usd),)
        rare = (("tokens_cached_input", self.tokens_cached_input_usd), ("tokens_cache_write", self.tokens_cache_write_usd))
        return (
            CostLine(name="tokens_input", usd=self.tokens_input_usd),
            *(CostLine(name=name, usd=usd) for name, usd in rare if np.any(usd != 0.0)),
            CostLine(name="tokens_output", usd=self.tokens_output_usd),
        )

    @property
    def total_usd(self) -> NDArray[np.float64]:
        """All tokens, shape (..., months)."""
        return np.asarray(sum((line.usd for line in self.lines), np.float64(0.0)))


def token_bill_usd(
    volume: TokenVolume,
    price: ApiPrice,
    *,
    output_multiplier: Amount = 1.0,
    retry_share: Amount = 0.0,
    cache_write_share: Amount = 0.0,
    price_factor: Amount = 1.0,
) -> TokenBill:
    """(1 + retries) x (uncached x p + cached x p_cached + written x p_write + output x multiplier x p_out) / 1e6.

    output_multiplier: output tokens billed per visible output token; reasoning tokens are billed as output and never seen
    retry_share: requests sent again, all their tokens billed again, input and output
    cache_write_share: of the uncached input, written to the cache and billed at the cache-write rate
    price_factor: price path around the price given, (..., months)

    A cached rate lowers the cached input only, never the whole bill. Where the provider has no cached or cache-write rate those tokens
    cost the input rate. With a blended price every token, reasoning and retries included, costs the blended rate.
    """
    scale = (1.0 + np.asarray(retry_share, dtype=np.float64)) * np.asarray(price_factor, dtype=np.float64)
    output = volume.output_tokens * np.asarray(output_multiplier, dtype=np.float64)
    zero = np.zeros(np.broadcast_shapes(np.shape(volume.requests), scale.shape, np.shape(output)))
    if price.blended_usd_per_mtok is not None:
        tokens = volume.input_tokens + volume.cached_input_tokens + output
        usd = tokens / TOKENS_PER_MTOK * price.blended_usd_per_mtok * scale
        return TokenBill(
            tokens_input_usd=zero, tokens_cached_input_usd=zero, tokens_cache_write_usd=zero, tokens_output_usd=zero, tokens_usd=usd
        )
    written = volume.input_tokens * np.asarray(cache_write_share, dtype=np.float64)
    rates = (
        price.input_usd_per_mtok,
        price.cached_or_input_usd_per_mtok,
        price.cache_write_or_input_usd_per_mtok,
        price.output_usd_per_mtok,
    )
    amounts = (volume.input_tokens - written, volume.cached_input_tokens, written, output)
    uncached, cached, cache_write, answers = (
        np.asarray(tokens / TOKENS_PER_MTOK * rate * scale) for tokens, rate in zip(amounts, rates, strict=True)
    )
    return TokenBill(
        tokens_input_usd=uncached, tokens_cached_input_usd=cached, tokens_cache_write_usd=cache_write, tokens_output_usd=answers
    )


def linear_usd_per_month(tokens_per_day: float, usd_per_mtok: float) -> float:
    """The article's method: tokens x one price per million, for any arm, over a month of 365/12 days.

    For comparison only. It has no servers, so a self-hosted model seems to cost nothing when idle and to grow without a step; no people, no
    one-off work; and a price per million that a server reaches only when full. The bills of `tco` say what those cost.

    >>> linear_usd_per_month(50e6, 15.0)
    22812.5
    """
    return tokens_per_day / TOKENS_PER_MTOK * usd_per_mtok * DAYS_PER_YEAR / MONTHS_PER_YEAR
