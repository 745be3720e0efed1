"""The cost line of a run: 2 N (tokens read + written), and what a billion tokens would take at its rates."""

import pytest

from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.cost import NO_MODEL, ModelCost, megaflops
from hf_curation.refiners.refine import refine_texts


class Model:
    """A refiner that is a language model of 3 million parameters."""

    name, stage, dialect, num_parameters = "model", Stage.CHUNK, Dialect.PROX, 3_000_000

    def windows(self, text):
        return [Window(text, 0, Scope(0, len(text), 0))]

    def write(self, windows):
        return [Draft("keep_chunk()", prompt_tokens=100, output_tokens=4) for _ in windows]


def test_every_document_knows_the_model_that_read_it():
    refined = refine_texts(["one", "two\nlines", " "], Model())
    assert [one.num_parameters for one in refined] == [3_000_000] * 3
    assert sum(megaflops(one.num_parameters, one.prompt_tokens + one.output_tokens) for one in refined) == 2 * 624


def test_stages_add_up_and_a_server_has_tokens_without_flops():
    document = {"prompt_tokens": 900, "output_tokens": 100, "model_megaflops": megaflops(350_000_000, 1000)}
    server = {"prompt_tokens": 100, "output_tokens": 50}
    cost = ModelCost.of([document, server, {"chars_in": 5}])
    assert cost == ModelCost(1000, 150, 700_000_000_000)
    assert cost.words() == "7e+11 FLOPs; a billion tokens read: 7e+17 FLOPs"
    assert (
        ModelCost.of([server]).words(10) == "10 tokens a second read, 5 written; a billion tokens read: 2.78e+04 hours"
    )
    assert ModelCost.of([server]).words() == ""
    assert ModelCost.of([{"chars_in": 5}]) == NO_MODEL
    assert NO_MODEL.words(10) == ""


def test_rates_are_those_of_the_seconds_given():
    cost = ModelCost(2_000_000, 50_000, 553_500_000_000_000)
    assert cost.as_dict(1000) == pytest.approx(
        {
            "model_flops": 5.535e14,
            "flops_per_billion_tokens": 2.7675e17,
            "prompt_tokens_per_s": 2000,
            "output_tokens_per_s": 50,
            "hours_per_billion_tokens": 1000 / 3600 * 500,
        }
    )
    assert set(NO_MODEL.as_dict().values()) == {None}
