"""The price book: layers, tiers, dates, time of day, batch, classes, zero prices, hosts, rents, the user's own prices."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from facts.errors import InputError
from facts.records import Basis, Source
from pricing.prices import (
    NAMED_CLASSES,
    OWN,
    WHEEL,
    WHEEL_RELEASED,
    Freshness,
    PriceBook,
    PriceOverrides,
    PriceRow,
    PriceSnapshot,
    PriceTier,
    ProviderClass,
    Rent,
    RentalClass,
    age_days,
    family_of,
    freshness,
    frozen_prices,
    is_provider,
    provider_class,
    wheel_rows,
)

AS_OF = date(2026, 11, 22)
BOOK = PriceBook.load(AS_OF)


def rates(ref, input_tokens=1000, book=BOOK):
    price = book.api_price(ref, input_tokens=input_tokens)
    return price.input_usd_per_mtok, price.cached_input_usd_per_mtok, price.output_usd_per_mtok


def test_prices_are_per_million_tokens():
    assert rates("openai:gpt-4.1") == (2.00, 0.50, 8.00)
    assert rates("openai:gpt-4o") == (2.50, 1.25, 10.00)


def test_a_price_says_where_it_is_from():
    price = BOOK.api_price("openai:gpt-4o", input_tokens=1000)
    assert price.source.url.startswith("https://developers.openai.com/")
    assert price.source.checked == WHEEL_RELEASED == date(2026, 11, 4)
    assert (price.layer, price.basis, price.provider_class, price.hidden) == (WHEEL, Basis.PUBLISHED, ProviderClass.VENDOR, ())
    assert price.context_tokens == 128_000


@pytest.mark.parametrize(("tokens", "tier", "price"), [(200_000, 0, (1.25, 0.125, 10.0)), (200_001, 200_000, (2.5, 0.25, 15.0))])
def test_the_tier_follows_the_prompt_of_one_request(tokens, tier, price):
    assert rates("google:gemini-2.5-pro", tokens) == price
    assert BOOK.api_price("google:gemini-2.5-pro", input_tokens=tokens).tier_above_input_tokens == tier


def test_tiers_of_another_vendor_and_its_cache_writes():
    low, high = (BOOK.api_price("openai:gpt-6-luna", input_tokens=tokens) for tokens in (272_000, 272_001))
    assert (low.input_usd_per_mtok, low.cache_write_usd_per_mtok, low.output_usd_per_mtok) == (0.10, 0.125, 0.50)
    assert (high.input_usd_per_mtok, high.cache_write_usd_per_mtok, high.output_usd_per_mtok) == (0.20, 0.25, 0.75)


def test_dated_prices_follow_the_day():
    before, after = (PriceBook.load(date(2025, 6, day)).api_price("openai:o3", input_tokens=1000) for day in (9, 11))
    assert before.input_usd_per_mtok == 10.0
    assert after.input_usd_per_mtok == 2.0


def test_a_price_by_time_of_day_is_billed_by_the_share_of_traffic_in_its_hours():
    def at(share):
        book = PriceBook.load(AS_OF, PriceOverrides(price_window_share=share))
        return book.api_price("deepseek:deepseek-v4-flash", input_tokens=1000)

    # 0.15/0.60 at noon UTC, 0.30/1.20 at 02:00 and 08:00; a tenth in the dear hours: 0.1 x 0.30 + 0.9 x 0.15.
    for share, given, answered in ((0.0, 0.15, 0.60), (1.0, 0.30, 1.20), (0.1, 0.165, 0.66)):
        assert at(share).input_usd_per_mtok == pytest.approx(given)
        assert at(share).output_usd_per_mtok == pytest.approx(answered)
    price = BOOK.api_price("deepseek:deepseek-v4-flash", input_tokens=1000)
    assert "06:00-10:00 UTC 0.3/1.2, else 0.15/0.6" in price.time_rule
    # Seven dear hours of twenty-four: (7 x 0.30 + 17 x 0.15) / 24 and (7 x 1.20 + 17 x 0.60) / 24.
    assert price.input_usd_per_mtok == pytest.approx((7 * 0.30 + 17 * 0.15) / 24)
    assert price.output_usd_per_mtok == pytest.approx((7 * 1.20 + 17 * 0.60) / 24)
    assert price.time_rule.endswith("billed with 29% of the traffic in those hours (even traffic round the clock): 0.194/0.775")
    assert BOOK.api_price("openai:gpt-4o", input_tokens=1000).time_rule == ""


def test_batch_stands_only_where_the_catalogue_has_it():
    batch = BOOK.api_price("openai:gpt-4o", input_tokens=1000).in_batch()
    assert batch is not None
    assert (batch.input_usd_per_mtok, batch.output_usd_per_mtok) == (1.25, 5.0)
    assert BOOK.api_price("deepseek:deepseek-v4-flash", input_tokens=1000).in_batch() is None
    # The catalogue's batch prices begin on 2026-10-14; before, asking for batch would silently give the standard price.
    assert PriceBook.load(date(2026, 10, 13)).api_price("openai:gpt-4o", input_tokens=1000).in_batch() is None
    assert PriceBook.load(date(2026, 10, 14)).api_price("openai:gpt-4o", input_tokens=1000).in_batch() is not None


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("openai:gpt-4oo", "openai:gpt-4o"),
        ("opnai:gpt-4o", "nearest are openai"),
        ("qqqqq:x", "write provider:model"),
        ("gpt-4o", "write provider:model"),
        ("openai:", "write provider:model"),
        ("openrouter:meta-llama/llama-3.3-70b-instruct:free", "zero is no price"),
    ],
)
def test_an_unknown_model_names_candidates_in_one_sentence(ref, words):
    with pytest.raises(InputError, match=words.replace(".", r"\.")) as error:
        BOOK.api_price(ref, input_tokens=1000)
    assert "\n" not in str(error.value)


def test_no_row_of_the_catalogue_is_free():
    rows = wheel_rows(AS_OF)
    assert len(rows) > 1_500
    assert all(tier.input_usd_per_mtok > 0 and tier.output_usd_per_mtok > 0 for row in rows for tier in row.tiers)
    assert not any(row.id.endswith(":free") for row in rows)


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b"),
        ("@cf/meta/llama-3.3-70b-instruct-fp8-fast", "llama-3.3-70b"),
        ("databricks-meta-llama-3-3-70b-instruct", "llama-3.3-70b"),
        ("llama-v3p1-8b-instruct", "llama-3.1-8b"),
        ("shisa-v2-llama3.3-70b", "shisa-v2-llama3.3-70b"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
        ("mistral.mistral-7b-instruct-v0:2", "mistral-7b"),
        ("qwen3-8b", "qwen-3-8b"),
        ("Qwen/Qwen3-8B", "qwen-3-8b"),
        ("google.gemma-3-12b-it", "gemma-3-12b"),
        ("phi-4", "phi-4"),
        ("phi-4-mini-instruct", "phi-4-mini"),
    ],
)
def test_a_hosts_model_id_is_read_as_the_model(model_id, family):
    assert family_of(model_id) == family
    assert family_of(family) == family


def test_each_host_of_an_open_model_stands_once():
    hosts = BOOK.hosts("llama-3.3-70b", 1000)
    names = [price.provider for price in hosts]
    assert len(names) == len(set(names)) >= 10
    assert all(price.provider_class in NAMED_CLASSES for price in hosts)
    assert not {"openrouter", "quicksilverpro"} & set(names)
    groq = next(price for price in hosts if price.provider == "groq")
    assert (groq.input_usd_per_mtok, groq.output_usd_per_mtok, groq.route) == (0.59, 0.79, "")
    assert any(other.route == "via Hugging Face" for other in groq.hidden)  # reached twice, priced directly
    blends = [price.usd_per_mtok(0.75) for price in hosts]
    assert blends == sorted(blends)


def test_a_book_that_was_asked_before_answers_as_a_new_one_on_both_sides_of_a_tier():
    asked = PriceBook.load(AS_OF)
    for tokens in (1_000, 524_288, 524_289, 1_000):  # novita's second tier of MiniMax M3 begins above 524,288 tokens
        assert asked.hosts("minimax-m3", tokens) == PriceBook.load(AS_OF).hosts("minimax-m3", tokens)
    one, other = (
        {price.provider: price.input_usd_per_mtok for price in asked.hosts("minimax-m3", tokens)} for tokens in (524_288, 524_289)
    )
    assert one["novita"] < other["novita"]


def test_deprecated_offers_are_no_hosts_and_resellers_only_when_asked():
    assert "avian" not in [price.provider for price in BOOK.hosts("llama-3.3-70b", 1000)]
    everyone = BOOK.hosts("llama-3.3-70b", 1000, classes=tuple(ProviderClass))
    assert "openrouter" in [price.provider for price in everyone]
    assert BOOK.hosts("no-such-model-7b", 1000) == ()


def test_a_model_given_away_is_not_sold_by_its_maker():
    assert "openai" not in [price.provider for price in BOOK.hosts("gpt-oss-120b", 1000)]


def test_nobody_unknown_is_a_vendor():
    assert provider_class("quicksilverpro") is ProviderClass.RESELLER
    assert provider_class("someone-new") is ProviderClass.RESELLER
    assert provider_class("openrouter") is ProviderClass.AGGREGATOR


def test_the_bundled_file_adds_a_host_that_the_catalogue_lacks():
    price = BOOK.api_price("deepinfra:meta-llama/Llama-3.3-70B-Instruct-Turbo", input_tokens=1000)
    assert (price.layer, price.input_usd_per_mtok, price.output_usd_per_mtok) == ("bundled file", 0.10, 0.32)
    assert BOOK.hosts("llama-3.3-70b", 1000)[0].provider == "deepinfra"


def snapshot(given=2.0, output=9.0):
    row = PriceRow(
        provider="openai",
        model="gpt-4o",
        tiers=(PriceTier(input_usd_per_mtok=given, output_usd_per_mtok=output),),
        source=Source(url="https://feed.example", checked=date(2026, 11, 20)),
    )
    return PriceSnapshot(as_of=date(2026, 11, 20), feed="https://feed.example", sha256="0" * 64, rows=(row,))


def test_an_accepted_snapshot_lies_over_the_wheel_and_under_the_users_own_price():
    live = PriceBook.load(AS_OF, snapshot=snapshot())
    price = live.api_price("openai:gpt-4o", input_tokens=1000)
    assert (price.layer, price.input_usd_per_mtok) == ("accepted live snapshot", 2.0)
    assert [(hidden.layer, hidden.input_usd_per_mtok) for hidden in price.hidden] == [(WHEEL, 2.5)]
    assert live.api_price("openai:gpt-4.1", input_tokens=1000).layer == WHEEL
    own = PriceBook.load(AS_OF, PriceOverrides(api_input_usd_per_mtok=1.9), snapshot=snapshot())
    mine = own.baseline_price("openai:gpt-4o", input_tokens=1000)
    assert (mine.layer, mine.input_usd_per_mtok, mine.output_usd_per_mtok) == (OWN, 1.9, 9.0)
    assert mine.hidden[0].layer == "accepted live snapshot"
    assert mine.hidden[0].hidden[0].layer == WHEEL


def test_a_decision_answers_again_with_the_prices_it_was_made_with():
    asked = [BOOK.api_price("google:gemini-2.5-pro", input_tokens=300_000), *BOOK.hosts("llama-3.3-70b", 1000)]
    own = PriceBook.load(AS_OF, PriceOverrides(api_discount_share=0.1)).baseline_price("openai:gpt-4o", input_tokens=1000)
    entered = PriceBook.load(AS_OF, PriceOverrides(api_blended_usd_per_mtok=1)).baseline_price("acme:x", input_tokens=1000)
    kept = frozen_prices([*asked, own, entered], AS_OF)
    assert len(kept.rows) == len(asked) + 1  # what the user entered is in the scenario, not in the price list
    later = PriceBook.load(AS_OF, snapshot=PriceSnapshot.model_validate_json(kept.model_dump_json()))
    assert later.api_price("google:gemini-2.5-pro", input_tokens=300_000).input_usd_per_mtok == 2.5
    assert later.api_price("openai:gpt-4o", input_tokens=1000).input_usd_per_mtok == 2.5
    again = later.hosts("llama-3.3-70b", 1000)
    assert [(p.ref, p.route, p.usd_per_mtok(0.75)) for p in again] == [(p.ref, p.route, p.usd_per_mtok(0.75)) for p in asked[1:]]
    assert {p.layer for p in again} == {"accepted live snapshot"}


def test_own_prices_replace_only_what_they_name_and_only_for_the_baseline():
    book = PriceBook.load(AS_OF, PriceOverrides(api_output_usd_per_mtok=7.0))
    mine = book.baseline_price("openai:gpt-4o", input_tokens=1000)
    assert (mine.input_usd_per_mtok, mine.cached_input_usd_per_mtok, mine.output_usd_per_mtok) == (2.50, 1.25, 7.0)
    assert (mine.basis, mine.source.url) == (Basis.ASSUMED, "entered by the user")
    assert mine.in_batch() is None
    assert book.api_price("openai:gpt-4o", input_tokens=1000).output_usd_per_mtok == 10.0


def test_an_own_input_price_below_the_cached_list_price_caps_it():
    book = PriceBook.load(AS_OF, PriceOverrides(api_input_usd_per_mtok=1.0))
    assert book.baseline_price("openai:gpt-4o", input_tokens=1000).cached_input_usd_per_mtok == 1.0
    kept = PriceBook.load(AS_OF, PriceOverrides(api_input_usd_per_mtok=2.0))
    assert kept.baseline_price("openai:gpt-4o", input_tokens=1000).cached_input_usd_per_mtok == 1.25
    own = PriceBook.load(AS_OF, PriceOverrides(api_cached_input_usd_per_mtok=0.3))
    assert own.baseline_price("openai:gpt-4o", input_tokens=1000).cached_input_usd_per_mtok == 0.3


def test_a_discount_lowers_every_list_price_of_the_baseline_only():
    book = PriceBook.load(AS_OF, PriceOverrides(api_discount_share=0.1))
    mine = book.baseline_price("openai:gpt-4o", input_tokens=1000)
    assert (mine.input_usd_per_mtok, mine.cached_input_usd_per_mtok, mine.output_usd_per_mtok) == pytest.approx((2.25, 1.125, 9.0))
    batch = mine.in_batch()
    assert batch is not None
    assert (batch.input_usd_per_mtok, batch.output_usd_per_mtok) == pytest.approx((1.125, 4.5))
    assert mine.hidden[0].input_usd_per_mtok == 2.5
    assert (mine.layer, mine.basis) == (OWN, Basis.ASSUMED)
    assert book.api_price("openai:gpt-4o", input_tokens=1000).input_usd_per_mtok == 2.5
    both = PriceBook.load(AS_OF, PriceOverrides(api_discount_share=0.1, api_input_usd_per_mtok=2.0))
    assert both.baseline_price("openai:gpt-4o", input_tokens=1000).output_usd_per_mtok == pytest.approx(9.0)


def test_a_discount_keeps_the_tiers_of_the_prompt():
    book = PriceBook.load(AS_OF, PriceOverrides(api_discount_share=0.5))
    assert book.baseline_price("google:gemini-2.5-pro", input_tokens=200_001).input_usd_per_mtok == 1.25


def test_a_blended_price_needs_no_catalogue():
    book = PriceBook.load(AS_OF, PriceOverrides(api_blended_usd_per_mtok=15.0))
    mine = book.baseline_price("acme:private-1", input_tokens=1000)
    assert mine.blended_usd_per_mtok == 15.0 == mine.usd_per_mtok(0.9)
    assert "no catalogue has this model" in mine.source.note
    assert book.baseline_price("openai:gpt-4o", input_tokens=1000).hidden[0].input_usd_per_mtok == 2.5


def test_a_model_without_a_price_needs_both_of_its_prices():
    with pytest.raises(InputError, match="no provider 'acme'"):
        PriceBook.load(AS_OF, PriceOverrides(api_input_usd_per_mtok=1.0)).baseline_price("acme:private-1", input_tokens=1000)
    both = PriceBook.load(AS_OF, PriceOverrides(api_input_usd_per_mtok=1.0, api_output_usd_per_mtok=2.0))
    assert both.baseline_price("acme:private-1", input_tokens=1000).output_usd_per_mtok == 2.0


@pytest.mark.parametrize(
    "given",
    [
        {"api_blended_usd_per_mtok": 15, "api_input_usd_per_mtok": 2},
        {"api_blended_usd_per_mtok": 15, "api_cached_input_usd_per_mtok": 2},
        {"api_blended_usd_per_mtok": 15, "api_discount_share": 0.1},
        {"api_discount_share": 1},
        {"api_blended_usd_per_mtok": 0},
        {"gpu_usd_per_hour": -1},
        {"gpu_usd_per_hour": float("nan")},
        {"api_price": 1},
    ],
)
def test_own_prices_that_cannot_be_are_refused(given):
    with pytest.raises(ValidationError):
        PriceOverrides(**given)


def test_the_median_on_demand_rent_of_named_clouds():
    """H100 SXM: 13 rows without the marketplace's 2.60, the seventh of 2.69 3.2 3.9 3.99 3.99 4.09 [4.19] 4.29 4.5 6.155 6.88 ..."""
    offers = [r for r in BOOK.rentals("nvidia-h100-sxm-80") if r.term == "on_demand" and r.provider_class is not RentalClass.MARKETPLACE]
    assert [round(r.usd_per_gpu_hour, 2) for r in offers][:7] == [2.69, 3.2, 3.9, 3.99, 3.99, 4.09, 4.19]
    chosen = BOOK.rental("nvidia-h100-sxm-80")
    assert chosen is not None
    assert (chosen.provider, chosen.usd_per_gpu_hour, len(offers)) == ("Lambda", 4.19, 13)
    assert chosen.source.checked == date(2026, 9, 20)


def test_a_replica_of_one_gpu_is_not_planned_on_instances_of_eight():
    one = BOOK.rental("nvidia-h100-sxm-80", gpus_per_replica=1)
    eight = BOOK.rental("nvidia-b300-sxm", gpus_per_replica=3)
    assert one is not None
    assert (one.gpus, one.usd_per_gpu_hour) == (1, 3.99)  # of 2.69 3.2 3.9 [3.99] 4.29 4.5 10.98
    assert eight is not None


def test_only_the_named_providers_rent_where_data_may_not_go_everywhere():
    aws = BOOK.rental("nvidia-h100-sxm-80", providers=["aws"])
    assert aws is not None
    assert (aws.provider, aws.usd_per_gpu_hour, aws.gpus) == ("AWS", 55.04 / 8, 8)
    assert BOOK.rental("nvidia-h100-sxm-80", providers=["Hetzner"]) is None
    assert BOOK.rental("nvidia-h100-sxm-80", providers=["OpenRelay"]) is None  # a marketplace, even when named
    assert BOOK.rental("no-such-device") is None


def test_the_offers_behind_the_median_are_its_range():
    offers = BOOK.rental_offers("nvidia-h100-sxm-80", gpus_per_replica=1)
    assert [(offer.provider, round(offer.usd_per_gpu_hour, 2)) for offer in (offers[0], offers[-1])] == [
        ("JarvisLabs", 2.69),
        ("GCP", 10.98),
    ]
    assert BOOK.rental("nvidia-h100-sxm-80", gpus_per_replica=1) in offers
    assert BOOK.rental_offers("nvidia-h100-sxm-80", providers=["Hetzner"]) == ()


def test_a_vendors_tuned_model_has_its_own_price():
    assert rates("openai:ft:gpt-4o-mini") == (0.30, None, 1.20)


def test_an_own_gpu_rent_replaces_every_rent_and_says_so():
    book = PriceBook.load(AS_OF, PriceOverrides(gpu_usd_per_hour=1.23))
    for device in ("nvidia-h100-sxm-80", "nvidia-l40s"):
        rent = book.rental(device)
        assert rent is not None
        assert (rent.usd_per_gpu_hour, rent.basis, rent.source.url) == (1.23, Basis.ASSUMED, "entered by the user")
        assert rent.hidden[0].usd_per_gpu_hour == BOOK.rental(device).usd_per_gpu_hour
    unlisted = book.rental("nvidia-h200-nvl")
    assert unlisted is not None
    assert (unlisted.usd_per_gpu_hour, unlisted.hidden) == (1.23, ())
    assert book.rental("nvidia-h200-nvl", providers=["AWS"]) is None
    cpu = book.rental("cpu-epyc-9004")
    assert cpu is not None
    assert (cpu.gpus, cpu.usd_per_gpu_hour) == (0, 6.42)  # a machine without GPU keeps its price


def test_rents_are_those_known_on_the_day():
    early = PriceBook.load(date(2026, 6, 1)).rentals("nvidia-l40s")
    assert early
    assert max(rent.source.checked for rent in early) <= date(2026, 6, 1)
    assert len(BOOK.rentals("nvidia-l40s")) > len(early)
    assert PriceBook.load(date(2026, 4, 2)).rental("nvidia-l40s") is None


def own_rent(**changes):
    given = {
        "id": "own-1",
        "provider": "Crusoe",
        "provider_class": "neocloud",
        "device_id": "nvidia-l40s",
        "device": "L40S",
        "gpus": 1,
        "usd_per_hour": 0.5,
        "term": "on_demand",
        "source": Source(url="quote", checked=AS_OF),
    }
    return Rent(**(given | changes))


def test_an_own_rent_lies_over_the_bundled_one_of_the_same_offer():
    book = PriceBook.load(AS_OF, own_rents=[own_rent()])
    crusoe = [rent for rent in book.rentals("nvidia-l40s") if rent.provider == "Crusoe"]
    assert [(rent.usd_per_gpu_hour, rent.layer) for rent in crusoe] == [(0.5, "own file")]
    assert len(book.rentals("nvidia-l40s")) == len(BOOK.rentals("nvidia-l40s"))


def test_a_newer_row_of_the_same_offer_wins_and_the_old_one_answers_for_its_day():
    rows = [own_rent(), own_rent(id="own-0", usd_per_hour=0.9, source=Source(url="quote", checked=date(2026, 11, 1)))]
    now, then = (PriceBook.load(day, own_rents=rows) for day in (AS_OF, date(2026, 11, 2)))
    assert [rent.usd_per_gpu_hour for rent in now.rentals("nvidia-l40s") if rent.provider == "Crusoe"] == [0.5]
    assert [rent.usd_per_gpu_hour for rent in then.rentals("nvidia-l40s") if rent.provider == "Crusoe"] == [0.9]


def test_owning_an_h100_is_device_host_and_all_in_power():
    server = BOOK.server("nvidia-h100-sxm-80")
    assert server is not None
    assert (server.gpu_usd, server.host_usd_per_gpu, server.capex_usd_per_gpu) == (30_000, 7_500, 37_500)
    assert server.power_kw_per_gpu == 1.37 > 0.7  # not the bare TDP
    assert server.basis is Basis.ESTIMATED
    assert server.power_basis is Basis.PUBLISHED
    l40s = BOOK.server("nvidia-l40s")
    assert l40s is not None
    assert (l40s.power_kw_per_gpu, l40s.power_basis) == (1.8 * 0.350, Basis.ESTIMATED)
    assert BOOK.server("no-such-device") is None


@pytest.mark.parametrize(("days", "badge"), [(0, "fresh"), (30, "fresh"), (31, "ageing"), (90, "ageing"), (91, "stale")])
def test_the_age_of_a_price_is_a_badge(days, badge):
    source = Source(url="x", checked=date.fromordinal(AS_OF.toordinal() - days))
    assert age_days(source, AS_OF) == days
    assert freshness(source, AS_OF) is Freshness(badge)


def test_a_price_read_after_the_decisions_day_is_not_negative_days_old():
    assert age_days(Source(url="x", checked=date(2026, 11, 23)), AS_OF) == 0


def test_provider_names_are_compared_as_people_write_them():
    assert is_provider("AWS", ["aws"])
    assert is_provider("Vast.ai", ["vast ai"])
    assert not is_provider("AWS", ["Azure", "GCP"])
    assert not is_provider("AWS", [])


def test_own_prices_end_with_their_time_and_the_list_stands_again():
    own = PriceOverrides(
        api_input_usd_per_mtok=1.0,
        gpu_usd_per_hour=0.7,
        own_prices_from=date(2026, 10, 1),
        own_prices_until=date(2026, 11, 22),
        own_prices_note="offer 4711",
    )
    paid = {}
    for day in (date(2026, 9, 30), date(2026, 10, 1), date(2026, 11, 22), date(2026, 11, 23)):
        book = PriceBook.load(day, own)
        price = book.baseline_price("openai:gpt-4o", input_tokens=1000)
        rent = book.rental("nvidia-h100-sxm-80")
        assert rent is not None
        paid[day.isoformat()] = (price.input_usd_per_mtok, rent.usd_per_gpu_hour == 0.7)
        assert ("offer 4711" in price.source.note) is (price.layer == OWN)
    assert paid == {
        "2026-09-30": (2.5, False),
        "2026-10-01": (1.0, True),
        "2026-11-22": (1.0, True),
        "2026-11-23": (2.5, False),
    }


def test_how_gpus_are_rented_outlives_the_prices():
    own = PriceOverrides(gpu_usd_per_hour=0.7, rental_term="reserved_from", commitment_months=12, own_prices_until=date(2026, 1, 1))
    assert own.on(AS_OF).entered == ()
    assert (own.on(AS_OF).rental_term, own.on(AS_OF).commitment_months) == ("reserved_from", 12)


def test_own_prices_that_end_before_they_begin_are_refused():
    with pytest.raises(ValueError, match="own_prices_from 2026-03-01 lies after own_prices_until 2026-02-01"):
        PriceOverrides(own_prices_from=date(2026, 3, 1), own_prices_until=date(2026, 2, 1))
