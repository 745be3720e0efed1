from hypothesis import given
from hypothesis import strategies as st

from hf_curation.reports.sample import SHARES, StratifiedSample, allocate, page_key

PAGES = [(("kept", "edited", "dropped", "fallback")[i % 4], f"page-{i}") for i in range(400)]


def draw(pages, size, seed=0):
    sample = StratifiedSample(size, seed)
    for stratum, page_id in pages:
        sample.offer(stratum, page_id, "text", lambda stratum=stratum, page_id=page_id: (stratum, page_id))
    return sample.chosen()


def test_the_draw_depends_on_ids_and_seed_alone():
    shuffled = sorted(PAGES, key=lambda page: page[1][::-1])
    assert shuffled != PAGES
    assert draw(PAGES, 20) == draw(shuffled, 20)
    assert draw(PAGES, 20) != draw(PAGES, 20, seed=1)


def test_it_is_the_bottom_k_of_each_stratum():
    """Slow twin: sort everything."""
    chosen = draw(PAGES, 20)
    for stratum in SHARES:
        ranked = sorted((p for p in PAGES if p[0] == stratum), key=lambda p: page_key(0, p[1], "text"))
        mine = [page for page in chosen if page[0] == stratum]
        assert mine == ranked[: len(mine)]


def test_small_samples_lie_inside_larger_ones():
    assert set(draw(PAGES, 8)) <= set(draw(PAGES, 16)) <= set(draw(PAGES, 64))


def test_pages_of_one_id_are_told_apart():
    sample = StratifiedSample(4)
    for text in ("b", "a", "a", "c"):
        sample.offer("kept", "same", text, lambda text=text: text)
    assert sorted(sample.chosen()) == ["a", "a", "b", "c"]


def test_only_pages_that_are_among_the_chosen_are_looked_at():
    calls = []
    sample = StratifiedSample(5)
    for i in range(2000):
        sample.offer("edited", f"{i}", "", lambda i=i: calls.append(i))
    assert len(calls) < 5 * 12  # k (1 + ln(n / k)) = 35 expected


def test_the_key_never_changes():
    assert page_key(0, "https://example.org/a", "text") == (10136672404563473894, 15560886287559301660)


@given(st.dictionaries(st.sampled_from(list(SHARES)), st.integers(0, 50)), st.integers(0, 60))
def test_places_are_all_given_out(available, size):
    counts = allocate(available, size)
    assert sum(counts.values()) == min(size, sum(available.values()))
    assert all(0 <= counts[name] <= available[name] for name in counts)
    strata = [name for name, count in available.items() if count]
    assert sum(count > 0 for count in counts.values()) == min(size, len(strata))
    larger = allocate(available, size + 1)
    assert all(counts[name] <= larger[name] for name in counts)
