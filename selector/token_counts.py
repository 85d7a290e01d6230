"""How many tokens an option makes of the text of which the user's counts are: another tokenizer cuts the same text into more or fewer.

Only where it is said whose tokens were counted (`tokens_counted_with`), or the user states a factor: a number typed by hand means what it
says for every option, and its bill can be done by hand (docs/decisions/0004).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from facts.errors import InputError
from facts.records import Basis, Source, nearest
from selector.languages import code_of
from selector.results import TokenCount
from selector.scenarios import Scenario
from workloads.demand import Complexity, TaskType, Workload
from workloads.text_tokens import counted_samples, relative_tokens, tokenizer_names, tokenizer_of

UNSAID: Final = TokenCount(factor=1.0, low=1.0, high=1.0, because="", basis=Basis.ASSUMED)
"""Where nothing is said of whose tokens were counted."""
CODE_TASKS: Final = frozenset({TaskType.CODE, TaskType.SQL})


def tokens_of(model: str, scenario: Scenario) -> TokenCount:
    """Tokens of a model (an API's provider:model, or an id of the catalogue) for one of the user's counts."""
    workload, stated = scenario.workload, scenario.assumptions.tokenizer_factor
    if not workload.tokens_counted_with and stated is None:
        return UNSAID
    code = workload.complexity is Complexity.CODE or workload.task_type in CODE_TASKS
    return _tokens(model, workload.tokens_counted_with or workload.baseline_model, workload.languages, code, stated)


def check_counted_with(workload: Workload) -> None:
    """An InputError where `tokens_counted_with` is neither a model nor a tokenizer that was counted."""
    name = workload.tokens_counted_with
    if name and ":" not in name and name not in tokenizer_names():
        known = ", ".join(tokenizer_names())
        raise InputError(
            f"tokens_counted_with '{name}' is no tokenizer counted here{nearest(name, list(tokenizer_names()))}: "
            f"write a model as provider:model, or one of {known}"
        )


def unsaid(scenario: Scenario) -> tuple[str, ...]:
    """What a decision leaves out where nothing is said of whose tokens were counted; nothing where it is."""
    workload = scenario.workload
    if workload.tokens_counted_with or scenario.assumptions.tokenizer_factor is not None:
        return ()
    return (
        "tokenizers: your counts are taken as every option's own; another cuts the same English into up to 17 % more tokens, and other "
        f"languages into half as many again: say whose they are with tokens_counted_with, as in {workload.baseline_model}, to count that",
    )


def counted_source() -> Source:
    """Where the texts that were counted stand, and when they were."""
    return Source(url="workloads/data/text_tokens.toml", checked=counted_samples()[0].source.checked)


# ---- below: how ----


@lru_cache(maxsize=1024)
def _tokens(model: str, counted_with: str, languages: tuple[str, ...], code: bool, stated: float | None) -> TokenCount:
    base = counted_with if counted_with in tokenizer_names() else tokenizer_of(counted_with)
    own = tokenizer_of(model)
    if model == counted_with or (own is not None and own == base):
        return _one_for_one(f"its tokenizer is that of your counts ({base or counted_with})", Basis.PUBLISHED)
    if stated is not None:
        because = f"{stated:g} tokens of its tokenizer for one of your counts, as you state"
        return TokenCount(factor=stated, low=stated, high=stated, because=because, basis=Basis.ASSUMED)
    if own is None or base is None:
        unknown = model if own is None else counted_with
        because = f"the tokenizer of {unknown} was not counted here: as many tokens are taken as of your counts ({base or counted_with})"
        return _one_for_one(because, Basis.ASSUMED)
    found = relative_tokens(own, base, [code_of(text) or text for text in languages], code=code)
    because = (
        f"its tokenizer ({own}) makes {found.factor:.2f} tokens ({found.low:.2f} to {found.high:.2f}) of a text of which that of your "
        f"counts ({base}) makes one: {found.basis}"
    )
    return TokenCount(factor=found.factor, low=found.low, high=found.high, because=because, basis=Basis.MEASURED)


def _one_for_one(because: str, basis: Basis) -> TokenCount:
    return TokenCount(factor=1.0, low=1.0, high=1.0, because=because, basis=basis)
