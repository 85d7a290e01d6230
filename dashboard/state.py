"""What pages share: the scenario in the session, bounded caches of the catalogue and of decisions, the one probe of this machine."""

from __future__ import annotations

import gc
import logging
import platform
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.beside import Beside, warm
from dashboard.keeper import NOT_KEPT, Keeper
from facts.errors import InputError
from facts.settings import Settings, settings

if TYPE_CHECKING:
    from dashboard.doubt_desk import DoubtDesk, Doubted
    from probes.endpoint_job import EndpointJob, EndpointProbe
    from probes.lock import HostLock
    from probes.measurement import Measurement
    from probes.runner import ProbeJob, ProbeRequest
    from probes.speeds import Speeds
    from selector.catalog import Catalog
    from selector.results import Recommendation
    from selector.scenarios import Scenario
    from selector.sensitivity import Doubt

LOG = logging.getLogger(__name__)
JobT = TypeVar("JobT", bound="ProbeJob | EndpointJob")
SCENARIO, PROBLEM, KEPT = "state.scenario", "state.problem", "state.kept"
OWN = "own.options"
"""Key of the user's own options, which no widget holds."""
CLOSING_S = 10.0
"""How long a stop waits for running probes to be ended and kept."""
BESIDE: list[Beside] = []
"""The process beside the pages, where a server runs them; none in a test of a page."""
ACCEPT_DOUBTFUL = "accept_doubtful"
"""Key of the switch that lets a doubtful probe count."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A decision and how keeping it went.

    recommendation: the decision
    measurements: the measurements it could use
    catalog: loads what it was decided with
    key: what it was made of
    not_kept: why it is not in the database, or ""
    """

    recommendation: Recommendation
    measurements: tuple[Measurement, ...]
    catalog: Callable[[], Catalog]
    key: tuple[Hashable, ...]
    not_kept: str = ""


# ---- the scenario of this session ----


def keep_scenario(scenario: Scenario) -> None:
    """The inputs are usable: every page shows this scenario."""
    st.session_state[SCENARIO] = scenario
    st.session_state[PROBLEM] = ""


def keep_problem(sentence: str) -> None:
    """The inputs are not usable: every page says so instead of showing an older answer."""
    st.session_state[PROBLEM] = sentence


def scenario() -> Scenario:
    """The scenario of this session; without one, the page says what is wrong and ends."""
    from dashboard import format as fmt

    problem = st.session_state.get(PROBLEM, "")
    if problem or SCENARIO not in st.session_state:
        st.warning(fmt.markdown_literal(problem or "There are no inputs yet."), title="Nothing can be computed from these inputs")
        st.stop()
    found: Scenario = st.session_state[SCENARIO]
    return found


def decided(as_of: date) -> Decided:
    """The decision for the session's scenario on a day; what cannot be computed is said on the page, which then ends."""
    from dashboard import format as fmt

    asked, known = scenario(), usable_measurements()
    try:
        ids = tuple(measurement.id for measurement in known)
        accept = bool(st.session_state.get(ACCEPT_DOUBTFUL, False))
        stored = stored_ids(asked.workload.name, as_of)
        prices = asked.prices.model_dump_json()
        catalog = partial(_catalog, as_of, prices, ids, accept, stored, _scenario=asked, _measurements=known)
        not_kept = _keep_draft(asked, catalog())
        recommendation = _decided(asked.model_dump_json(), as_of, ids, accept, stored, _scenario=asked, _measurements=known)
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="This cannot be decided")
        st.stop()
    used = set(recommendation.measured.measurement_ids)
    return Decided(
        recommendation=recommendation,
        measurements=tuple(measurement for measurement in known if measurement.id in used),
        catalog=catalog,
        key=(recommendation.inputs_sha256, as_of, ids, accept, stored),
        not_kept=not_kept or keeper().problem,
    )


def doubt_of(found: Decided, *, wait: bool = False) -> Doubted | None:
    """The doubt of a decision, 10,000 draws of it; None while it is being computed beside the page, unless it is waited for."""
    from dashboard.doubt_desk import doubted

    catalog = found.catalog()
    context = get_script_run_ctx(suppress_warning=True)
    who = "" if context is None else context.session_id
    ask = doubt_desk().wait if wait else doubt_desk().ask
    return ask(found.key, partial(doubted, found.recommendation, catalog), who=who)


def wider_doubt_of(found: Decided, doubt: Doubt) -> Doubted | None:
    """The same doubt with other lengths, cached shares and labels in it; None while it is being computed beside the page."""
    from dashboard.doubt_desk import widened

    context = get_script_run_ctx(suppress_warning=True)
    who = "wider " + ("" if context is None else context.session_id)
    return doubt_desk().ask((found.key, "wider"), partial(widened, found.recommendation, found.catalog(), doubt), who=who)


@st.cache_resource(show_spinner=False)
def doubt_desk() -> DoubtDesk:
    """Where every session's doubts are computed, one after the other."""
    from dashboard.doubt_desk import DoubtDesk

    return DoubtDesk(run=BESIDE[0].run if BESIDE else None)


@st.cache_resource(show_spinner=False)
def keeper() -> Keeper:
    """Where every session's decisions are written."""
    from dashboard.keeper import Keeper

    return Keeper()


def usable_measurements() -> tuple[Measurement, ...]:
    """Every llama.cpp measurement that was saved, newest first; which of them counts is the selector's to say."""
    return tuple(measurement for measurement in saved_measurements() if measurement.kind == "llamacpp")


def saved_measurements() -> tuple[Measurement, ...]:
    """Every saved measurement, newest first; an unusable database is no measurement, and said once in the log."""
    from probes.store import list_measurements

    try:
        return tuple(list_measurements(settings()))
    except InputError as error:
        LOG.warning("measurements cannot be read: %s", error)
        return ()


def stored_ids(scenario_name: str, as_of: date) -> tuple[str, ...]:
    """What the database holds for a decision: accepted price lists, the scenario's own tests, and each applied measurement as it stands.

    An unusable one holds nothing.
    """
    from pricing.store import accepted_lists
    from probes.store import applied_statements
    from selector.store import list_gates

    environment = settings()
    try:
        lists = [found.id for found in accepted_lists(environment, as_of)]
        applied = [found.model_dump_json() for found in applied_statements(environment)]
        return (*lists, *(look.id for look in list_gates(environment, scenario_name)), *applied)
    except InputError as error:
        LOG.warning("accepted prices, kept tests and applied measurements cannot be read: %s", error)
        return ()


@st.cache_resource(max_entries=64, ttl=timedelta(days=1), show_spinner=False)
def _decided(
    asked: str,
    as_of: date,
    measurement_ids: tuple[str, ...],
    accept_doubtful: bool,
    stored: tuple[str, ...],
    *,
    _scenario: Scenario,
    _measurements: tuple[Measurement, ...],
) -> Recommendation:
    """Keyed by its inputs: a rerun that changes none of them costs nothing."""
    from selector.recommendation import recommend
    from selector.replay import kept_inputs, recording

    now, environment = datetime.now(UTC), settings()
    prices = _scenario.prices.model_dump_json()
    catalog = _catalog(as_of, prices, measurement_ids, accept_doubtful, stored, _scenario=_scenario, _measurements=_measurements)
    noted = recording(catalog)
    recommendation = recommend(_scenario, noted)
    keeper().keep(environment, recommendation, created=now, inputs=kept_inputs(_scenario, noted))
    return recommendation


def _keep_draft(asked: Scenario, catalog: Catalog) -> str:
    """The scenario is kept before it is computed, as a draft that the next one replaces; why it could not be, or ''."""
    from selector.store import save_scenario

    environment = settings()
    known = (environment.database_url, asked)
    if st.session_state.get(KEPT, ("", None))[0] != known:
        not_kept = _kept(lambda: save_scenario(environment, asked, created=datetime.now(UTC), catalog=catalog, draft=True))
        st.session_state[KEPT] = (known if not not_kept else "", not_kept)
    return str(st.session_state[KEPT][1])


@st.cache_resource(max_entries=8, ttl=timedelta(days=1), show_spinner=False)
def _catalog(
    as_of: date,
    prices: str,
    measurement_ids: tuple[str, ...],
    accept_doubtful: bool,
    stored: tuple[str, ...],
    *,
    _scenario: Scenario,
    _measurements: tuple[Measurement, ...],
) -> Catalog:
    from pricing.store import accepted_prices
    from probes.applying import NO_CALIBRATION
    from probes.store import applied_calibration
    from selector.catalog import load_catalog
    from selector.store import stored_gates

    environment = settings()
    return load_catalog(
        as_of,
        _scenario.prices,
        _measurements,
        accept_doubtful=accept_doubtful,
        host=platform.node(),
        snapshot=accepted_prices(environment, as_of) if stored else None,
        gates=stored_gates(environment, _scenario.workload.name, as_of) if stored else (),
        calibration=applied_calibration(environment) if stored else NO_CALIBRATION,
    )


def _kept(save: Any) -> str:
    try:
        save()
    except InputError as error:
        LOG.warning("not kept: %s", error)
        return NOT_KEPT
    return ""


# ---- the probes of this machine, one at a time ----


class Desk(Generic[JobT]):
    """Holds the probes that pages started, for every session: one runs, others wait in the machine's queue; each is saved when it ends."""

    def __init__(self, environment: Settings) -> None:
        self.environment = environment
        self.live: list[JobT] = []
        self.job: JobT | None = None
        self.not_saved = ""
        self.saved_id = ""
        self._guard = threading.Lock()
        self._keepers: list[threading.Thread] = []

    def cancel(self) -> None:
        """End every probe that runs or waits."""
        for job in self.running:
            job.cancel()

    @property
    def running(self) -> tuple[JobT, ...]:
        """Those that run or wait, in the order they were started."""
        with self._guard:
            return tuple(job for job in self.live if not job.state.over)

    def hold(self, job: JobT) -> None:
        """Follow a job that was started: it is the one shown, and what it measures is saved although nobody watches."""
        with self._guard:
            self.live = [other for other in self.live if not other.state.over] + [job]
        if self.job is None or self.job.state.over:
            self.job, self.not_saved, self.saved_id = job, "", ""
        keeper = threading.Thread(target=self._keep, args=(job,), name="probe-keeper", daemon=True)
        self._keepers = [other for other in self._keepers if other.is_alive()] + [keeper]
        keeper.start()

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """End every probe and wait until what each has measured is saved, `timeout_s` at most."""
        self.cancel()
        until = time.monotonic() + timeout_s
        for keeper in self._keepers:
            keeper.join(max(0.0, until - time.monotonic()))

    def _keep(self, job: JobT) -> None:
        from probes.store import save_measurement

        job.wait()
        self.job, self.not_saved, self.saved_id = job, "", ""
        if job.result is None:
            return
        try:
            save_measurement(self.environment, job.result)
            self.saved_id = job.result.id
        except InputError as error:
            self.not_saved = str(error)


class ProbeDesk(Desk["ProbeJob"]):
    """Probes of llama.cpp on this machine."""

    def start(self, request: ProbeRequest, created: datetime) -> None:
        """Begin a probe, or wait in the queue for it; InputError says at once why it cannot."""
        from probes.runner import ProbeJob

        self.hold(ProbeJob.start(request, created=created))


class ServerDesk(Desk["EndpointJob"]):
    """Probes of model servers."""

    def start(self, probe: EndpointProbe, created: datetime) -> None:
        """Begin a probe, or wait in the queue for it; InputError says at once why it cannot."""
        from probes.endpoint_job import EndpointJob

        self.hold(EndpointJob.start(probe, created=created))


class SpeedDesk:
    """The quick check of this machine's memory and arithmetic, for every session."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self.running = False
        self.problem = ""
        self.speeds: Speeds | None = None

    def start(self, created: datetime) -> None:
        """Take the machine's lock and begin; InputError names who is measuring."""
        from probes.lock import HostLock, take_or_wait

        lock = HostLock()
        take_or_wait(lock, "this machine's bandwidth and arithmetic", created, wait=False)
        self.running, self.problem = True, ""
        threading.Thread(target=self._measure, args=(lock,), name="quick-check", daemon=True).start()

    def _measure(self, lock: HostLock) -> None:
        from probes.speeds import measure_speeds

        try:
            found = measure_speeds(self.seconds)
            self.speeds = found
            if found.copy_gb_per_s is None and found.matrix_gflops is None:
                self.problem = "nothing could be measured: too little memory is free, or the check was ended from outside"
        finally:
            lock.release()
            self.running = False


@st.cache_resource(show_spinner=False)
def speed_desk() -> SpeedDesk:
    """The desk of the quick check."""
    return SpeedDesk()


@st.cache_resource(show_spinner=False)
def probe_desk() -> ProbeDesk:
    """The machine's desk: a cached resource, because a module's own variable would be emptied by a reload."""
    return ProbeDesk(settings())


@st.cache_resource(show_spinner=False)
def server_desk() -> ServerDesk:
    """The desk of probes of servers."""
    return ServerDesk(settings())


def say_sorry(error: Exception) -> bool:
    """What a user sees of a mistake of the program: a sentence; what a developer sees: the log."""
    LOG.error("a page failed", exc_info=error)
    st.error("The page could not be drawn because of a mistake in the program. Your inputs are kept; the server's log says more.")
    return True


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any] | None]:
    """Warm what takes seconds to import while the server already answers; end a running probe when it stops."""
    from dashboard import logs

    logs.begin(settings())
    LOG.info("the dashboard has started")
    BESIDE[:] = [Beside()]
    threading.Thread(target=_warm, name="warm-up", daemon=True).start()
    try:
        yield None
    finally:
        probe_desk().close()
        server_desk().close()
        keeper().settle(CLOSING_S)
        BESIDE.pop().close()
        LOG.info("the dashboard has stopped")


def _warm() -> None:
    import pandas  # noqa: F401 -- its import is the point
    import plotly.graph_objects  # noqa: F401 -- likewise

    import selector.sensitivity  # noqa: F401 -- likewise

    if BESIDE:
        _warm_data()
        gc.collect()
        gc.freeze()  # Streamlit collects all garbage after every run of a page: going through modules and data took two thirds of one
        BESIDE[0].run(warm)


def _warm_data() -> None:
    """What a first page would read: the day's prices, one decision, one chart."""
    from dashboard import charts, forms
    from selector.catalog import load_catalog
    from selector.recommendation import recommend
    from selector.scenarios import Scenario

    asked = Scenario(workload=forms.example_workloads()[0])
    charts.cumulative_cost(recommend(asked, load_catalog(datetime.now(UTC).date(), asked.prices)))
