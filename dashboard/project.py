"""The scenario's project as the pages read it: what is kept of its tests and stages, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard import format as fmt
from facts.errors import InputError
from facts.settings import settings
from selector.gap_gate import GateVerdict
from selector.looks import GateLook, Stage, counted
from selector.playbook import Entry, Playbook, playbook_of
from selector.results import OptionResult, Recommendation
from selector.store import list_entries, list_gates

VERDICT_NAMES = {
    GateVerdict.WITHIN: "Shown good enough",
    GateVerdict.OUTSIDE: "Shown not good enough",
    GateVerdict.UNDECIDED: "Not decided",
}
VERDICT_COLOURS = {GateVerdict.WITHIN: "green", GateVerdict.OUTSIDE: "red", GateVerdict.UNDECIDED: "orange"}
STAGE_NAMES = {
    Stage.TASK: "task definition",
    Stage.DATA: "data audit",
    Stage.BASELINE: "baseline",
    Stage.EXPERIMENT: "before tuning",
    Stage.TUNING: "after tuning",
    Stage.PRODUCTION: "fresh sample in production",
}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is kept of a scenario's project.

    entries: stages done or opened again, oldest first
    looks: every test, oldest first, a pass on cases that were used up before turned into 'not decided'
    """

    entries: tuple[Entry, ...]
    looks: tuple[GateLook, ...]

    def playbook(self, recommendation: Recommendation, option_id: str | None = None) -> Playbook:
        """Where the project stands for an option, or for the one that the decision would try."""
        return playbook_of(recommendation, self.entries, self.looks, option_id=option_id)


def kept(scenario_name: str) -> Kept:
    """What the database holds of a project; when it cannot be read, the page says so and goes on with nothing."""
    environment = settings()
    try:
        return Kept(entries=list_entries(environment, scenario_name), looks=counted(list_gates(environment, scenario_name)))
    except InputError as error:
        st.warning(fmt.markdown_literal(str(error)), title="Tests and stages that were kept cannot be read")
        return Kept(entries=(), looks=())


def testable(recommendation: Recommendation) -> tuple[OptionResult, ...]:
    """Options that a project can pursue: not today's model, with a price; those that may be chosen first."""
    baseline_id = recommendation.choice.baseline_option_id
    found = [option for option in recommendation.options if option.id != baseline_id and option.total_usd is not None]
    return tuple(sorted(found, key=lambda option: not option.feasible))


def tested_name(look: GateLook, recommendation: Recommendation) -> str:
    """What a test was of: the option's title, or the arm's name where it names no option."""
    option = recommendation.option(look.result.option_id)
    if option is not None:
        return option.title
    return look.result.option_id or (fmt.arm_name(look.result.arm) if look.result.arm else look.result.name)


def option_choice(recommendation: Recommendation, label: str, key: str, first: str | None) -> OptionResult | None:
    """The option that is chosen on the page; None where there is nothing to choose."""
    options = {option.id: option for option in testable(recommendation)}
    if not options:
        st.info("There is nothing to try: no option but today's model can be priced. Decide says why each is refused.")
        return None
    if st.session_state.get(key) not in options:
        st.session_state[key] = first if first in options else next(iter(options))
    chosen = st.selectbox(
        label, list(options), format_func=lambda name: _marked(options[name], recommendation), key=key, persist_state="session"
    )
    return options[chosen]


def _marked(option: OptionResult, recommendation: Recommendation) -> str:
    if option.id == recommendation.choice.option_id:
        return f"{option.title} (recommended)"
    return option.title if option.feasible else f"{option.title} (refused for now)"
