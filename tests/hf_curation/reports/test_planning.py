import re
from collections import Counter

import pytest

from hf_curation.reports.planning import (
    BILLION,
    FORMULAS,
    TRILLION,
    Assumptions,
    Rate,
    cost_of_flops,
    cost_of_push,
    cost_of_stage,
    make_plan,
    merge_rates,
)
from hf_curation.reports.planning_render import (
    PlanningPage,
    figure,
    hours,
    in_bytes,
    in_tokens,
    render_planning,
)

GIVEN = Assumptions(tokens_per_document=500, workers=10, gpus=4, gpu_flops=1e15, utilization=0.5)
RATE = Rate(stage="refine", documents=1000, core_seconds=36.0, num_bytes={"refined text": 2_000_000})


def test_a_stage_by_hand():
    # 2,000,000 documents at 36 ms each are 72,000 s: 20 core-hours, 2 hours on 10 workers; 2,000 bytes each are 4 GB.
    cost = cost_of_stage(RATE, 2_000_000, GIVEN)
    assert (cost.core_hours, cost.hours) == (20.0, 2.0)
    assert cost.disk == {"refined text": 4e9}


def test_more_workers_do_not_help_a_stage_of_one_process():
    rate = Rate(stage="choose", documents=1000, core_seconds=36.0, is_one_process=True)
    assert cost_of_stage(rate, 2_000_000, GIVEN).hours == 20.0


def test_gpus_by_hand():
    # 3.6e21 FLOPs at half of 1e15 a second are 7.2e6 s: 2,000 hours, of 4 GPUs 500 hours.
    cost = cost_of_flops("x", 3.6e21, GIVEN)
    assert cost.gpu_hours == pytest.approx(2000)
    assert cost.days == pytest.approx(500 / 24)


def test_models_by_hand():
    given = Assumptions(
        tokens_per_document=1000, refiner_parameters=1e9, prompt_tokens=900, output_tokens=100,
        model_parameters=2e9, metadata_share=0.5,
    )  # fmt: skip
    refines, trains = make_plan(BILLION, [RATE], given).gpus
    assert refines.flops == 2 * 1e9 * 1e6 * 1000  # a million documents
    assert trains.flops == 6 * 2e9 * 1e9 * 1.5


def test_what_a_prompt_takes_follows_the_documents():
    assert Assumptions(tokens_per_document=400).prompt_tokens_per_document == 400 * 1.25 + 200
    assert Assumptions(tokens_per_document=400, prompt_tokens=7).prompt_tokens_per_document == 7


@pytest.mark.parametrize(
    ("num_bytes", "files", "folders", "commits"),
    [
        (1, 1, 1, 1),
        (5e9, 1, 1, 1),
        (5e9 + 1, 2, 1, 1),
        (500e9, 100, 1, 1),
        (501e9, 101, 1, 2),
        (51e12, 10_200, 2, 102),
    ],
)
def test_the_hub_by_hand(num_bytes, files, folders, commits):
    cost = cost_of_push("text", num_bytes, GIVEN)
    assert (cost.files, cost.folders, cost.commits) == (files, folders, commits)
    assert cost.hours == commits / 128


def test_a_plan_is_proportional():
    billion, trillion = (make_plan(tokens, [RATE], GIVEN) for tokens in (BILLION, TRILLION))
    assert billion.documents == 2_000_000
    assert (billion.core_hours, billion.hours, billion.disk) == (20.0, 2.0, 4e9)
    assert trillion.core_hours == pytest.approx(1000 * billion.core_hours)
    assert trillion.gpus[0].gpu_hours == pytest.approx(1000 * billion.gpus[0].gpu_hours)


def test_rates_of_one_stage_are_one():
    other = Rate(stage="refine", documents=3000, core_seconds=4.0, num_bytes={"refined text": 1, "dropped text": 2})
    weigh = Rate(stage="weigh", documents=5, core_seconds=1.0)
    merged = merge_rates([RATE, weigh, other])
    assert [rate.stage for rate in merged] == ["refine", "weigh"]
    assert (merged[0].documents, merged[0].core_seconds) == (4000, 40.0)
    assert merged[0].num_bytes == Counter({"refined text": 2_000_001, "dropped text": 2})
    assert merge_rates([weigh]) == [weigh]


@pytest.mark.parametrize(
    "wrong",
    [{"workers": 0}, {"utilization": 1.5}, {"tokens_per_document": float("nan")}, {"output_tokens": -1}, {"gpus": -2}],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Assumptions(**{"tokens_per_document": 100, **wrong})


def test_no_documents_no_rate():
    with pytest.raises(ValueError, match="no document was measured"):
        Rate(stage="x", documents=0, core_seconds=1)
    with pytest.raises(ValueError, match="above 0"):
        make_plan(0, [RATE], GIVEN)


def test_figures_in_words():
    assert [in_bytes(x) for x in (0, 999, 1e3, 3.45e12, 2e15)] == ["0 B", "999 B", "1 kB", "3.45 TB", "2 PB"]
    assert [in_tokens(x) for x in (1e9, 1e12, 15e12, 2.5e6, 10)] == [
        "1 billion", "1 trillion", "15 trillion", "2.5 million", "10",
    ]  # fmt: skip
    assert [figure(x) for x in (0, 1234.5, 12.345, 0.00123, 1e-7)] == ["0", "1,234", "12.3", "0.00123", "1.0e-07"]
    assert [hours(x) for x in (1 / 3600, 0.5, 3, 100)] == ["1 s", "30 min", "3 h", "4.17 days"]


def test_the_page_shows_every_formula_and_figure():
    rates = [RATE, Rate(stage="<choose>", documents=10, core_seconds=1)]
    plans = [make_plan(tokens, rates, GIVEN) for tokens in (BILLION, TRILLION)]
    html = render_planning(PlanningPage(plans, rates, GIVEN, ["a <run>"], "as given"), title="T & U").decode()
    shown = re.sub(r"\s+", " ", html)
    assert all(f"<code>{name} = {formula}</code>" in shown for name, formula in FORMULAS.items())
    assert "T &amp; U" in html
    assert "a &lt;run&gt;" in html
    assert "&lt;choose&gt;" in html
    assert "20" in re.search(r'<th scope="row">refine</th>(.*)', html)[1]
    assert html == render_planning(PlanningPage(plans, rates, GIVEN, ["a <run>"], "as given"), title="T & U").decode()
