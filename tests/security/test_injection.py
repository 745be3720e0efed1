"""What no page can do, whatever it says: become a control token, speak for the model, touch another document."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from hf_curation.packing.encode import load_encoder
from hf_curation.programs import Dialect, Limits, Scope
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.prompts import PromptEncoder, get_preset
from hf_curation.refiners.refine import refine_texts
from hf_curation.refiners.server.form import RequestForm

ROOT = Path(__file__).parents[2]
PAGE = "Whales sing for hours.\nTheir songs travel far.\nNobody knows quite why."
CLEAN = ["A clean page in front.\nIt has two lines.", "A clean page behind.\nIt has two lines."]
MARKUP = ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<|im_start|>", "<|im_end|>", "[doc]", "[/doc]")


def load(name, path):
    """Import a recipe or a helper of other tests."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


injection = load("prompt_injection_recipe", ROOT / "recipes/benchmarks/prompt_injection.py")
STRINGS = [string for group, string in injection.read_strings() if group != "harmless"]


@pytest.fixture(scope="module")
def tokenizers():
    module = load("tokenizers_for_injection", ROOT / "tests/hf_curation/refiners/conftest.py")
    yield {"prox-web": module.llama2_tokenizer(), "generic": module.chatml_tokenizer()}
    del sys.modules["tokenizers_for_injection"]


class Writing:
    """A refiner that writes a given program for the page that holds `marker`, and `keep` for all others."""

    def __init__(self, program, stage=Stage.CHUNK, dialect=Dialect.PROX, marker="Whales"):
        self.program, self.stage, self.dialect, self.marker = program, stage, dialect, marker
        self.name = "writing"

    def windows(self, text):
        return [Window(text, 0, Scope(0, len(text), 0))]

    def write(self, windows):
        keep = {Dialect.PROX: "keep_chunk()"}.get(self.dialect, "keep_all()")
        return [Draft(self.program if self.marker in window.text else keep) for window in windows]


def test_there_are_enough_strings_of_every_kind():
    groups = {group for group, _ in injection.read_strings()}
    assert len(set(STRINGS)) == len(STRINGS) >= 50
    assert groups >= {"instructions", "control_tokens", "line_tags", "program_calls", "ends_of_documents"}
    assert groups >= {"other_languages", "unicode_tricks"}


@pytest.mark.parametrize("stage", ["doc", "chunk"])
@pytest.mark.parametrize("family", ["prox-web", "generic"])
def test_no_string_becomes_a_control_token(family, stage, tokenizers):
    tokenizer = tokenizers[family]
    encoder = PromptEncoder(tokenizer, get_preset(f"{family}-{stage}"))
    control = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if str(token.content) != tokenizer.unk_token
    }

    def control_ids(text):
        return [[i for i in ids if i in control] for ids in encoder.encode(encoder.windows(text))]

    (expected,) = control_ids(PAGE)
    assert expected, "the template has some of its own"
    for string in STRINGS:
        for position in injection.POSITIONS:
            text = injection.inject(0, PAGE, "", string, position).text
            assert all(ids == expected for ids in control_ids(text)), string


@pytest.mark.parametrize("preset", ["prox-web-doc", "prox-web-chunk", "generic-chunk"])
def test_no_string_closes_the_prompt_that_a_server_is_sent(preset):
    """A server encodes what it is sent: markup in a page is broken before it is sent."""
    form = RequestForm(preset)

    def markup(text):
        sent = [json.dumps(form.body(window), ensure_ascii=False) for window in form.windows(text)]
        return [[one.count(mark) for mark in MARKUP] for one in sent]

    (expected,) = markup(PAGE)
    for string in STRINGS:
        assert markup(injection.inject(0, PAGE, "", string, "middle").text) == [expected], string


def test_no_string_becomes_a_control_token_of_training(tokenizers, tmp_path):
    tokenizer = tokenizers["generic"]
    tokenizer.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path))
    control = set(tokenizer.added_tokens_decoder)
    for string, ids in zip(STRINGS, encoder.encode(STRINGS), strict=True):
        # `<think>` is an added token that is no special one: text, for whoever trains.
        assert not {i for i in control & set(ids.tolist()) if tokenizer.added_tokens_decoder[i].special}, string


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("dialect", Dialect)
def test_a_captured_model_reaches_its_own_document_only(stage, dialect):
    """Each string as the program itself: what the page says is what the model writes."""
    for string in STRINGS:
        for position in injection.POSITIONS:
            text = injection.inject(0, PAGE, "", string, position).text
            refiner = Writing(string, stage, dialect)
            before, own, behind = refine_texts([CLEAN[0], text, CLEAN[1]], refiner, limits=Limits(max_added_chars=0))
            assert [before.result.text, behind.result.text] == CLEAN
            assert injection.violations(text, own) == 0, string
            rest = iter(text)
            assert all(char in rest for char in own.result.text), "a subsequence of what was there"


def test_what_a_page_says_is_never_executed():
    """Operations in a page are text: only what the refiner writes is a program."""
    for string in STRINGS:
        text = injection.inject(0, PAGE, "", string, "end").text
        (refined,) = refine_texts([text], Writing("keep_chunk()"))
        assert (refined.result.text, refined.result.edits, refined.result.dropped) == (text, (), False)


def test_a_page_of_nothing_but_injections_is_refined_like_any_other():
    from hf_curation.refiners import load_refiner

    text = "\n".join(STRINGS)
    for stage in Stage:
        (refined,) = refine_texts([text], load_refiner("tagger", stage=stage), limits=Limits(max_added_chars=0))
        assert injection.violations(text, refined) == 0


@pytest.mark.slow
@pytest.mark.parametrize("constrained", [True, False])
def test_a_language_model_reaches_its_own_document_only(constrained, tokenizers, tmp_path):
    """With random weights it writes anything, within the grammar of programs or without."""
    module = load("models_for_injection", ROOT / "tests/hf_curation/refiners/causal_lm/conftest.py")
    module.save_model(tmp_path, tokenizers["generic"])
    from hf_curation.refiners.causal_lm import CausalLMRefiner

    refiner = CausalLMRefiner(
        str(tmp_path), preset="generic-chunk", constrained=constrained, max_new_tokens=24, device="cpu"
    )
    cases = [injection.inject(0, PAGE, "", string, "middle") for string in STRINGS[::6]]
    texts = [CLEAN[0], *(case.text for case in cases), CLEAN[1]]
    results = refine_texts(texts, refiner, limits=Limits(max_added_chars=0))
    assert [injection.violations(text, one) for text, one in zip(texts, results, strict=True)] == [0] * len(texts)
    del sys.modules["models_for_injection"]


def test_the_benchmark_ends_with_its_figures(capsys):
    figures = injection.main(["--pages", "2", "--strings", "60", "--positions", "middle"])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == figures
    assert last["strings"] >= 50
    assert 0 <= last["flip_rate"] <= 1
    assert last["edits_outside_the_document"] == 0
    assert last["stuffing_lift"] > 1


def test_violations_are_counted():
    """What the benchmark calls a violation is one, and its counter can move."""
    (refined,) = refine_texts([PAGE], Writing('normalize(source_str="Whales", target_str="Sharks")'))
    assert injection.violations(PAGE, refined) == 1, "characters that were not there"
    assert injection.violations(PAGE.replace("Nobody", "Somebody"), refined) == 2
    case = injection.inject(0, PAGE, "", "x\ny", "middle")
    assert case.text[: case.start] + case.text[case.end :] == PAGE
    (cut,) = refine_texts([case.text], Writing("remove_lines(line_start=1, line_end=2)"))
    assert injection.removed_of_page(cut, PAGE, case.start, case.end) == set(), "only the injected lines went"
