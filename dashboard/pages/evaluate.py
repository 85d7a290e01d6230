"""Evaluate: whether a model holds on the user's own cases. The result first, then the next test, then how many cases one takes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pandas as pd
import streamlit as st

from dashboard import charts, parts, project, state, uploads
from dashboard import format as fmt
from dashboard.report import Card
from facts.errors import InputError
from facts.settings import settings
from selector.case_scores import CaseScores, scores_from_csv
from selector.gap_gate import GateResult, GateVerdict, Margin, TestPlan, gate, gate_by_holm, gate_sealed, plan_test
from selector.looks import GateLook, Stage, sketch
from selector.playbook import READERS, UNTUNED_FORM, is_tuned, next_alpha
from selector.results import OptionResult, Recommendation
from selector.store import save_gates

UPLOAD_MB = 64
MOST_CASES = 10_000_000  # nobody labels more: the true difference is as good as at the limit
SHOWN, NEWEST, MESSAGE = "evaluate.shown", "evaluate.newest", "evaluate.message"
OF_SCORE, IN_POINTS = "% of today's score", "points"
HOLM, SEALED = "all of them (Holm)", "only the best (sealed split)"
ALL_SEEDS = "mean over all seeds"
TEMPLATE = "item,baseline,candidate,cluster,slice\ncase-001,1,1,document-1,invoices\ncase-002,1,0,document-1,invoices\n"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be tested.

    stage: which look of the playbook it is
    option_id, arm: what the result will be for; for the untuned form of a tuned option '' and its arm
    title: as the sentence will name it
    """

    stage: Stage
    option_id: str
    arm: str
    title: str


def page() -> None:
    recommendation = state.decided(datetime.now(UTC).date()).recommendation
    name = recommendation.scenario.workload.name
    kept = project.kept(name)
    st.title("Evaluate", anchor=False)
    problem = st.session_state.pop(MESSAGE, "")
    if problem:
        st.error(fmt.markdown_literal(problem), title="The test was not run")
    look = shown_look(kept.looks, recommendation)
    if look is None:
        st.markdown(
            "Is a smaller model good enough on **your own cases**? Score it and today's model on the same cases, and the answer is one of "
            "three: shown good enough, shown not good enough, or not decided. Until a test is kept, Decide rests on published cases."
        )
    else:
        result(look, recommendation)
    new_test(recommendation, kept)
    planner(recommendation, look)
    history(kept.looks, recommendation)


# ---- the result ----


def shown_look(looks: Sequence[GateLook], recommendation: Recommendation) -> GateLook | None:
    """The newest test, or the one that was chosen."""
    if not looks:
        return None
    by_id = {look.id: look for look in reversed(looks)}
    wanted = st.session_state.pop(NEWEST, st.session_state.get(SHOWN))
    st.session_state[SHOWN] = wanted if wanted in by_id else next(iter(by_id))
    if len(by_id) == 1:
        return looks[-1]
    chosen = st.selectbox(
        "Result shown",
        list(by_id),
        format_func=lambda look_id: (
            f"{tested_day(by_id[look_id])}: {project.tested_name(by_id[look_id], recommendation)}, "
            f"{project.VERDICT_NAMES[by_id[look_id].result.verdict].lower()}"
        ),
        key=SHOWN,
        persist_state="session",
    )
    return by_id[chosen]


def result(look: GateLook, recommendation: Recommendation) -> None:
    found = look.result
    with st.container(border=True, key="evaluate.result"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(project.VERDICT_NAMES[found.verdict], color=project.VERDICT_COLOURS[found.verdict])  # type: ignore[arg-type]
            by = f" · by {look.who}" if look.who else ""
            said = f"{project.tested_name(look, recommendation)} · {project.STAGE_NAMES[look.stage]} · {tested_day(look)}{by}"
            st.caption(fmt.markdown_literal(said))
        st.subheader(fmt.markdown_literal(found.sentence), anchor=False)
    parts.chart(charts.gap(found), "")
    parts.cards(cards(found))
    what_decide_says(recommendation)
    right = right_answer_sentence(look, recommendation)
    if right:
        parts.text(right)
    if found.counts is not None:
        parts.table(counts_table(found), "How often each of the two is right on the same cases")
    if found.notes:
        parts.points([f"{note[:1].upper()}{note[1:]}." for note in found.notes])
    details(found)


def cards(found: GateResult) -> tuple[Card, ...]:
    """The two scores, the chance, and what is missing."""
    score = Card(
        label="The option's score",
        value=one_digit(found.option_mean),
        note=f"today's model {one_digit(found.baseline_mean)}; limit {one_digit(found.baseline_mean + found.limit)}",
    )
    chance = (
        Card(label="Chance of being within the limit", value=fmt.share(found.probability), note="given these cases; the bar is 95%")
        if found.probability is not None
        else Card(label="Keeps of today's score", value=one_digit(found.kept_share), note=f"at least {one_digit(max(found.kept_low, 0.0))}")
    )
    more = (
        Card(label="More cases to settle it", value=f"{found.extra_items:,}", note="with 80% chance, if the gap is as it looks")
        if found.extra_items is not None
        else Card(label="Cases", value=f"{found.n:,}", note=f"in {found.clusters:,} clusters" if found.clusters else "taken as unrelated")
    )
    return score, chance, more


def one_digit(share: float) -> str:
    """0.8625 as '86.2%': two scores that differ by half a point must not look alike."""
    return f"{100 * share:.1f}%"


def what_decide_says(recommendation: Recommendation) -> None:
    """What the decision is with every kept test inside."""
    parts.text(f"With what is kept, Decide says: {recommendation.choice.sentence}")
    with st.container(horizontal=True):
        st.page_link("dashboard/pages/decide.py", label="See it on Decide")
        st.page_link("dashboard/pages/playbook_page.py", label="What comes next")


def right_answer_sentence(look: GateLook, recommendation: Recommendation) -> str:
    """What a right answer costs with either model, from the rates that this test measured; '' where there is no such rate."""
    option, today = recommendation.option(look.result.option_id), recommendation.option(recommendation.choice.baseline_option_id)
    if option is None or today is None or option.usd_per_right_answer is None or today.usd_per_right_answer is None:
        return ""
    mine, theirs = (1000.0 * one.usd_per_right_answer for one in (option, today) if one.usd_per_right_answer is not None)
    return (
        f"A thousand right answers cost {fmt.usd(mine, cents=True)} with {option.title} and {fmt.usd(theirs, cents=True)} with "
        f"{today.title}, everything in the bill counted, at the rates measured here."
    )


def counts_table(found: GateResult) -> pd.DataFrame:
    counts = found.counts
    assert counts is not None
    rows = (
        ("Both right", counts.both),
        ("Only today's model right", counts.baseline_only),
        ("Only the option right", counts.option_only),
        ("Both wrong", counts.neither),
    )
    return pd.DataFrame([{"On the same case": what, "Cases": f"{many:,}", "Share": fmt.share(many / counts.n)} for what, many in rows])


def details(found: GateResult) -> None:
    if found.slices:
        with st.expander(f"By slice ({len(found.slices)}): exploratory, never a verdict", key="evaluate.slices"):
            parts.table(slices_table(found), "Gap by slice, with intervals that are not corrected for their number")
    if found.worst:
        with st.expander(f"Cases with the largest loss ({len(found.worst)})", key="evaluate.losses"):
            parts.text(", ".join(found.worst))
    with st.expander("How it was tested"):
        rows = [{"Interval": one.method, "From": points(one.low), "To": points(one.high)} for one in found.intervals]
        if found.cross_check is not None:
            rows.append(
                {
                    "Interval": f"{found.cross_check.method} (second opinion)",
                    "From": points(found.cross_check.low),
                    "To": points(found.cross_check.high),
                }
            )
        parts.table(pd.DataFrame(rows), "Every interval that had to agree")
        spread = [f"seed {seed} {points(difference)}" for seed, difference in found.seed_differences]
        parts.text(
            f"Two-sided confidence {found.confidence * 100:.3g}%, limit {found.margin.words}; one-sided p-value of a gap at least as "
            f"bad as the limit: {found.p_value:.2g}." + (f" By seed: {', '.join(spread)}." if spread else "")
        )


def slices_table(found: GateResult) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Slice": one.name,
                "Cases": f"{one.n:,}",
                "Today": one_digit(one.baseline_mean),
                "Option": one_digit(one.option_mean),
                "Gap": points(one.difference),
                "Interval": f"{points(one.low)} to {points(one.high)}",
            }
            for one in found.slices
        ]
    )


# ---- the next test ----


def new_test(recommendation: Recommendation, kept: project.Kept) -> None:
    st.subheader("Test a model on your own cases", anchor=False)
    with st.container(border=True, key="evaluate.form"):
        option = project.option_choice(
            recommendation, "Option that was run on the cases", "evaluate.option", kept.playbook(recommendation).option_id
        )
        if option is None:
            return
        asked = what_was_tested(option, recommendation, kept)
        margin = limit()
        files = st.file_uploader(
            "Results per case (CSV): item, baseline, candidate; if you have them cluster, slice, seed",
            type=["csv", "tsv", "txt"],
            accept_multiple_files=True,
            key="evaluate.files",
            max_upload_size=UPLOAD_MB,
            help="Scores run from 0 to 1 (right is 1). One row per case. Several files on the same cases are tested together (Holm).",
        )
        with st.expander("Paste them instead, or see the columns"):
            pasted = st.text_area("Results as text", key="evaluate.pasted", height=140, placeholder=TEMPLATE)
            st.download_button(
                "Template (CSV)",
                TEMPLATE,
                file_name="results-per-case.csv",
                mime="text/csv",
                on_click="ignore",
                key="evaluate.template",
            )
        with st.expander("Planned looks, and who tested"):
            planned = st.number_input(
                "Cases planned in all, when this is an early look",
                min_value=1,
                value=None,
                step=100,
                key="evaluate.planned",
                placeholder="one look",
                help="Looking early costs something: the bar is stricter until the planned number is reached.",
            )
            who = st.text_input("Tested by", key="evaluate.who", max_chars=80, persist_state="session", help="Kept with the result.")
        try:
            texts = [(file.name, uploads.content(file, UPLOAD_MB)) for file in files or []]
        except InputError as error:
            st.error(fmt.markdown_literal(str(error)), title="This file was not read")
            return
        if not texts and pasted.strip():
            texts = [("the pasted text", pasted.encode())]
        if texts:
            ready(texts, asked, margin, planned, who, recommendation, kept)


def what_was_tested(option: OptionResult, recommendation: Recommendation, kept: project.Kept) -> Asked:
    """The option as it would ship; before tuning its untuned form; once it has passed, a fresh sample in production."""
    own = Asked(stage=Stage.TUNING if is_tuned(option) else Stage.EXPERIMENT, option_id=option.id, arm=option.arm.value, title=option.title)
    choices = {"as it would ship": own}
    if is_tuned(option) and option.arm in UNTUNED_FORM:
        arm = UNTUNED_FORM[option.arm].value
        choices["its untuned form"] = Asked(stage=Stage.EXPERIMENT, option_id="", arm=arm, title=fmt.arm_name(arm))
    decided = kept.playbook(recommendation, option.id).stage(own.stage).gate
    if decided is not None and decided.verdict is GateVerdict.WITHIN:
        choices["a fresh sample"] = replace(own, stage=Stage.PRODUCTION)
    if len(choices) == 1:
        return own
    key = f"evaluate.form.{'.'.join(words.split()[-1] for words in choices)}"
    names = list(choices)
    chosen = st.segmented_control(
        "What was tested",
        names,
        default="a fresh sample" if "a fresh sample" in choices else names[0],
        required=True,
        key=key,
        help="Test the untuned form where tuning may not be needed; a fresh sample tells whether a model in production still holds.",
    )
    return choices[chosen]


def limit() -> Margin:
    left, right = st.columns(2, vertical_alignment="bottom")
    amount = left.number_input(
        "How much worse is still good enough",
        min_value=0.5,
        max_value=49.0,
        value=5.0,
        step=0.5,
        format="%g",
        key="evaluate.margin",
        persist_state="session",
        help="Agree on it before you see the scores.",
    )
    kind = right.segmented_control(
        "Measured in", [OF_SCORE, IN_POINTS], default=OF_SCORE, required=True, key="evaluate.kind", persist_state="session"
    )
    return Margin(share=amount / 100.0, relative=kind == OF_SCORE)


def ready(
    texts: list[tuple[str, bytes]],
    asked: Asked,
    margin: Margin,
    planned: int | None,
    who: str,
    recommendation: Recommendation,
    kept: project.Kept,
) -> None:
    """What was read, and the button that runs the test; or the sentence that says what is wrong with the file."""
    try:
        if len(texts) == 1:
            asked_each, scores = [asked], [scores_with_seed(*texts[0], asked.title)]
        else:
            asked_each = [own_option(name, number, recommendation) for number, (name, _) in enumerate(texts)]
            scores = [scores_of(name, raw, one.title, None) for (name, raw), one in zip(texts, asked_each, strict=True)]
            no_option_twice(asked_each)
        items = [str(item) for one in scores for item in one.items]
        stage = asked_each[0].stage if len(texts) == 1 else max((one.stage for one in asked_each), key=list(Stage).index)
        playbook = kept.playbook(recommendation, asked_each[0].option_id or None)
        alpha = next_alpha(stage, playbook, kept.looks, sketch(items))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="These results cannot be tested")
        return
    sealed = len(scores) > 1 and several() == SEALED
    st.caption(fmt.markdown_literal(what_was_read(scores, alpha, sealed=sealed)))
    if st.button("Run the test and keep the result", type="primary", key="evaluate.run"):
        run(asked_each, scores, margin, alpha, planned, stage, who, recommendation.scenario.workload.name, sealed=sealed)


def several() -> str:
    """How several candidates are held to one level of doubt."""
    chosen: str = st.segmented_control(
        "Several candidates",
        [HOLM, SEALED],
        default=HOLM,
        required=True,
        key="evaluate.several",
        persist_state="session",
        help="All of them: each is held to a stricter level. Only the best: it is chosen on half of the cases and tested once on the other "
        "half, which nobody has looked at.",
    )
    return chosen


def scores_with_seed(name: str, raw: bytes, title: str) -> CaseScores:
    found = scores_of(name, raw, title, None)
    if not found.seed_differences:
        return found
    seeds = [seed for seed, _ in found.seed_differences]
    chosen = st.selectbox("Seed that ships", [ALL_SEEDS, *seeds], key="evaluate.seed", help="Test the one that would really be served.")
    return found if chosen == ALL_SEEDS else scores_of(name, raw, title, chosen)


def own_option(name: str, number: int, recommendation: Recommendation) -> Asked:
    """What one of several files holds the scores of."""
    options = {option.id: option for option in project.testable(recommendation)}
    chosen = st.selectbox(
        fmt.markdown_literal(f"{name} holds the scores of"),
        list(options),
        index=min(number, len(options) - 1),
        format_func=lambda option_id: options[option_id].title,
        key=f"evaluate.option.{number}",
    )
    option = options[chosen]
    stage = Stage.TUNING if is_tuned(option) else Stage.EXPERIMENT
    return Asked(stage=stage, option_id=option.id, arm=option.arm.value, title=option.title)


def no_option_twice(asked: Sequence[Asked]) -> None:
    ids = [one.option_id for one in asked]
    if len(set(ids)) < len(ids):
        raise InputError("two files are for the same option: choose the option of each file")


def what_was_read(scores: Sequence[CaseScores], alpha: float, *, sealed: bool = False) -> str:
    first = scores[0]
    kind = "right or wrong" if first.right_or_wrong else "graded"
    more = ""
    if first.cluster is not None:
        more += f", in {len(set(first.cluster.tolist())):,} clusters"
    if first.slices:
        more += f", {len(first.slices)} slices"
    how = "the best on one half of the cases is tested on the other" if sealed else "held to each other (Holm)"
    many = f"{len(scores)} files on the same cases, {how}. " if len(scores) > 1 else ""
    return (
        f"{many}Read: {first.n:,} cases, {kind}{more}. It will be tested at a one-sided level of {alpha:g}. "
        "The result is kept as soon as it is shown, whatever it says: a test that counts only when it passes proves nothing."
    )


def scores_of(where: str, raw: bytes, title: str, seed: str | None) -> CaseScores:
    digest = hashlib.sha256(raw).hexdigest()
    return _scores(digest, where, title, seed, _raw=raw)


@st.cache_resource(max_entries=4, show_spinner="Reading the cases")
def _scores(digest: str, where: str, title: str, seed: str | None, *, _raw: bytes) -> CaseScores:
    try:
        text = _raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{where} is not UTF-8 text, so it is no CSV file of scores: save it as CSV UTF-8") from None
    return scores_from_csv(text, where=where, name=title, seed=seed)


def run(
    asked: Sequence[Asked],
    scores: Sequence[CaseScores],
    margin: Margin,
    alpha: float,
    planned: int | None,
    stage: Stage,
    who: str,
    scenario_name: str,
    *,
    sealed: bool = False,
) -> None:
    """Test, keep, and show the result at the top."""
    now = datetime.now(UTC)
    try:
        with st.spinner("Testing"):
            found = tested(asked, scores, margin, alpha, planned, now.date(), sealed=sealed)
        items = sorted({str(item) for one in scores for item in one.items})
        looks = save_gates(
            settings(), scenario_name, found, stage=stage, created=now, alpha=alpha, planned_items=planned, items=items, who=who
        )
        st.session_state[NEWEST] = looks[0].id
    except InputError as error:
        st.session_state[MESSAGE] = str(error)
    st.rerun()


def tested(
    asked: Sequence[Asked], scores: Sequence[CaseScores], margin: Margin, alpha: float, planned: int | None, today: date, *, sealed: bool
) -> tuple[GateResult, ...]:
    if len(scores) > 1 and planned is not None:
        raise InputError(
            f"planned looks are for one file, here are {len(scores)}: test several candidates once, when all their cases are in"
        )
    if len(scores) > 1 and sealed:
        best = gate_sealed(scores, margin, alpha=alpha, as_of=today)
        own = next(one for one, of_it in zip(asked, scores, strict=True) if of_it.name == best.name)
        return (replace(best, option_id=own.option_id, arm=own.arm),)
    if len(scores) > 1:
        found = gate_by_holm(scores, margin, alpha=alpha, as_of=today)
        return tuple(replace(result, option_id=one.option_id, arm=one.arm) for result, one in zip(found, asked, strict=True))
    one = asked[0]
    return (gate(scores[0], margin, alpha=alpha, planned_items=planned, option_id=one.option_id, arm=one.arm, as_of=today),)


# ---- how many cases ----


def planner(recommendation: Recommendation, look: GateLook | None) -> None:
    st.subheader("How many cases does a test take?", anchor=False)
    counts = look.result.counts if look is not None else None
    with st.container(border=True, key="evaluate.planner"):
        with st.grid(3, min_column_width=220):
            baseline = st.number_input(
                "Today's model is right on (%)",
                min_value=1.0,
                max_value=100.0,
                value=round(100 * look.result.baseline_mean, 1) if look is not None else 80.0,
                step=1.0,
                format="%g",
                key="evaluate.plan.baseline",
                persist_state="session",
            )
            differing = st.number_input(
                "Exactly one of the two is right on (%)",
                min_value=0.1,
                max_value=100.0,
                value=max(round(100 * counts.discordant_share, 1), 0.1) if counts is not None else 20.0,
                step=1.0,
                format="%g",
                key="evaluate.plan.differing",
                persist_state="session",
                help="A pilot of 100 cases shows it. 10 to 25 % is usual.",
            )
            difference = st.number_input(
                "The option truly is better by (points)",
                min_value=-50.0,
                max_value=50.0,
                value=0.0,
                step=1.0,
                format="%g",
                key="evaluate.plan.difference",
                persist_state="session",
                help="0 is equally good; -2 is two points worse.",
            )
            per_cluster = st.number_input(
                "Cases that share a document or customer",
                min_value=1.0,
                value=1.0,
                step=1.0,
                format="%g",
                key="evaluate.plan.cluster",
                persist_state="session",
            )
            alike = st.number_input(
                "How alike such cases are (0 to 1)",
                min_value=0.0,
                max_value=1.0,
                value=0.2,
                step=0.1,
                format="%g",
                key="evaluate.plan.alike",
                persist_state="session",
                disabled=per_cluster == 1.0,
            )
            power = st.number_input(
                "Wanted chance of showing it (%)",
                min_value=50.0,
                max_value=99.0,
                value=80.0,
                step=5.0,
                format="%g",
                key="evaluate.plan.power",
                persist_state="session",
            )
        margin = Margin(
            share=float(st.session_state.get("evaluate.margin", 5.0)) / 100.0, relative=st.session_state.get("evaluate.kind") != IN_POINTS
        )
        try:
            found = plan_test(
                baseline_share=baseline / 100.0,
                discordant_share=differing / 100.0,
                difference=difference / 100.0,
                margin=margin,
                power=power / 100.0,
                items_per_cluster=per_cluster,
                cluster_correlation=alike,
            )
        except InputError as error:
            st.warning(fmt.markdown_literal(str(error)), title="These numbers do not go together")
            return
        st.markdown(f"**{fmt.markdown_literal(found.sentence)}**")
        parts.text(labelling(found, recommendation))
        parts.table(plan_table(found), "Cases needed by the true difference")


def labelling(found: TestPlan, recommendation: Recommendation) -> str:
    if found.items is None or found.items > MOST_CASES:
        return "Choose an option that is better, or agree on a wider limit before you test."
    scenario = recommendation.scenario
    label_usd = scenario.assumptions.label_usd(scenario.workload.complexity)
    total = fmt.usd(READERS * found.items * label_usd)
    return f"Labelling {found.items:,} cases by {READERS:g} readers at {fmt.usd(label_usd, cents=True)} a label costs about {total}."


def plan_table(found: TestPlan) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"If the option truly is": truly(true), "Cases needed": f"{items:,}" if items and items <= MOST_CASES else "cannot be shown"}
            for true, items in found.by_difference
        ]
    )


def truly(difference: float) -> str:
    if difference == 0:
        return "equally good"
    return f"{abs(difference) * 100:g} points {'better' if difference > 0 else 'worse'}"


# ---- what is kept ----


def history(looks: Sequence[GateLook], recommendation: Recommendation) -> None:
    if not looks:
        return
    st.subheader("Tests kept with this scenario", anchor=False)
    rows = [
        {
            "When": look.created[:10] + (f", {look.who}" if look.who else ""),
            "What": f"{project.tested_name(look, recommendation)}, {project.STAGE_NAMES[look.stage]}",
            "Cases": f"{look.result.n:,}",
            "Gap": f"{points(look.result.difference)} ({points(look.result.low)} to {points(look.result.high)})",
            "Verdict": project.VERDICT_NAMES[look.result.verdict],
        }
        for look in reversed(looks)
    ]
    parts.table(pd.DataFrame(rows), "Every test kept with this scenario, newest first; gaps in points with their intervals")
    st.caption("The newest test of an option stands in for the published chance on Decide. Gaps are in points, with their intervals.")


def tested_day(look: GateLook) -> str:
    return fmt.day(look.result.as_of) if look.result.as_of else look.created[:10]


def points(difference: float) -> str:
    return charts.signed_points(100.0 * difference)


page()
