"""From documents to a token store and on to training rows; restarts, what is left out, and what is refused."""

import json
from pathlib import Path

import pytest
from datatrove.data import Document
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from datatrove_steps import LocalRanks
from datatrove_steps.tokenize import MergeTokenStore, TokenizeDocuments
from hf_curation.packing import TokenStore
from trainer_callbacks import MeCoDataCollator, MeCoDataset


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    """Bytes as tokens, with BOS and EOS, as `save_pretrained` writes it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *letters])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **specials)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return str(folder)


def pages(num=50):
    texts = [f"Page {i} says hällo {'again ' * (i % 7)}" for i in range(num)]
    texts[2] = "a page about </s> and <s>"
    return [
        Document(text=t, id=f"p{i}", metadata={"url": f"https://h{i % 4}.example/{i}", "n": i})
        for i, t in enumerate(texts)
    ]


class Deal:
    """Gives each rank its documents, as a reader would."""

    def __init__(self, num=50):
        self.num = num

    def __call__(self, data, rank, world_size):
        yield from pages(self.num)[rank::world_size]


def run(folder, tokenizer, tasks=2, **options):
    logs = str(folder.parent / f"logs-{folder.name}")
    steps = [Deal(), TokenizeDocuments(folder, tokenizer, **options)]
    ranks = LocalRanks(steps, tasks=tasks, workers=1, logging_dir=logs)
    merge = LocalRanks([MergeTokenStore(folder)], tasks=1, workers=1, logging_dir=f"{logs}/merge", depends=ranks)
    return merge.run(), ranks


@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_every_page_is_in_the_store_in_order(tmp_path, tokenizer_folder, tasks):
    run(tmp_path / "store", tokenizer_folder, tasks, columns={"url": "string", "n": "int64"}, batch_size=4)
    store = TokenStore(tmp_path / "store")
    expected = [page for rank in range(tasks) for page in pages()[rank::tasks]]
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    assert [store.metadata(i) for i in range(len(store))] == [{"id": p.id, **p.metadata} for p in expected]
    for i, page in enumerate(expected):
        ids = tokenizer.encode(page.text, add_special_tokens=False, split_special_tokens=True)
        assert store.tokens(i).tolist() == ids
        assert not {0, 1, 2} & set(ids), "a page that spells a control token does not write it"
    store.check_tokenizer(tokenizer)
    assert store.tokenizer == Path(tokenizer_folder).name


def test_equal_input_gives_equal_bytes_and_a_second_launch_does_nothing(tmp_path, tokenizer_folder):
    for name in ("a", "b"):
        run(tmp_path / name, tokenizer_folder)
    files = {
        name: {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")} for name in "ab"
    }
    assert files["a"] == files["b"]
    assert len(files["a"]) == 5
    before = (tmp_path / "a/tokens/00000.arrow").stat().st_mtime_ns
    run(tmp_path / "a", tokenizer_folder)
    assert (tmp_path / "a/tokens/00000.arrow").stat().st_mtime_ns == before


def step(folder, tokenizer, documents, rank=0, world_size=1, **options):
    one = TokenizeDocuments(folder, tokenizer, **options)
    return one, list(one.run(documents, rank, world_size))


def test_what_has_no_tokens_is_left_out_and_counted(tmp_path, tokenizer_folder):
    texts = ["whole", "", None, "half a \ud800 surrogate", "fine"]
    documents = [Document(text=t, id=str(i), metadata={}) for i, t in enumerate(texts)]
    one, out = step(tmp_path, tokenizer_folder, documents)
    assert [doc.id for doc in out] == ["0", "4"]
    manifest = json.loads((tmp_path / "manifests/00000.json").read_text())
    assert manifest["account"]["dropped"] == {"lone_surrogate": 1, "no_tokens": 1, "text_not_string": 1}
    assert (manifest["account"]["num_in"], manifest["account"]["num_out"]) == (5, 2)
    stats = {name: stat.total for name, stat in one.stats.stats.items()}
    assert (stats["total"], stats["forwarded"], stats["dropped"], stats["tokens"]) == (5, 2, 3, 9)
    list(MergeTokenStore(tmp_path).run())
    assert TokenStore(tmp_path).metadata(1) == {"id": "4", "url": None}


def test_a_task_without_documents_leaves_an_empty_shard(tmp_path, tokenizer_folder):
    step(tmp_path, tokenizer_folder, [], 0, 2)
    step(tmp_path, tokenizer_folder, pages(3), 1, 2)
    list(MergeTokenStore(tmp_path).run())
    assert len(TokenStore(tmp_path)) == 3


def test_a_task_that_dies_leaves_no_store_and_can_be_run_again(tmp_path, tokenizer_folder):
    step(tmp_path, tokenizer_folder, pages()[::2], 0, 2)

    def dying():
        yield from pages(9)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        step(tmp_path, tokenizer_folder, dying(), 1, 2, batch_size=4)
    assert sorted(p.name for p in (tmp_path / "tokens").iterdir()) == ["00000.arrow"]
    with pytest.raises(ValueError, match=r"1 of 2 tasks are not finished \(task 1\)"):
        list(MergeTokenStore(tmp_path).run())
    step(tmp_path, tokenizer_folder, pages()[1::2], 1, 2)
    list(MergeTokenStore(tmp_path).run())
    assert len(TokenStore(tmp_path)) == 50
    begun = TokenizeDocuments(tmp_path, tokenizer_folder).run(pages(), 1, 2)
    next(begun)
    begun.close()
    with pytest.raises(ValueError, match="is no token store"):
        TokenStore(tmp_path)


def test_shards_of_different_runs_do_not_mix(tmp_path, tokenizer_folder):
    step(tmp_path, tokenizer_folder, pages(4), 0, 2)
    with pytest.raises(ValueError, match=r"other settings \(columns was {'url': 'string'} and is {}\)"):
        step(tmp_path, tokenizer_folder, pages(4), 1, 2, columns=())
    step(tmp_path, tokenizer_folder, pages(4), 1, 3)
    with pytest.raises(ValueError, match=r"shards of runs with \[2, 3\] tasks"):
        list(MergeTokenStore(tmp_path).run())


def test_a_stray_shard_is_noticed(tmp_path, tokenizer_folder):
    step(tmp_path, tokenizer_folder, pages(4))
    (tmp_path / "tokens/00007.arrow").write_bytes(b"")
    with pytest.raises(ValueError, match=r"00007\.arrow .* belongs to no task"):
        list(MergeTokenStore(tmp_path).run())
    with pytest.raises(ValueError, match="holds no shards"):
        list(MergeTokenStore(tmp_path / "other").run())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ("id",)}, "a column 'id' of its own"),
        ({"columns": "url"}, "got the string 'url'"),
        ({"columns": {"url": "text"}}, "text"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        TokenizeDocuments(tmp_path, "unused", **options)


def test_a_folder_elsewhere_and_two_merging_tasks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a local folder"):
        TokenizeDocuments("s3://bucket/store", "unused")
    with pytest.raises(ValueError, match="tasks=1; this one has 2"):
        list(MergeTokenStore(tmp_path).run(None, 0, 2))


def test_a_value_of_another_type_names_the_column(tmp_path, tokenizer_folder):
    documents = [Document(text="x", id="0", metadata={"n": "seven"})]
    with pytest.raises(ValueError, match="a value of 'n' does not fit its type int64"):
        step(tmp_path, tokenizer_folder, documents, columns={"n": "int64"})
    assert not list((tmp_path / "tokens").iterdir())


def test_from_pages_to_batches(tmp_path, tokenizer_folder):
    run(tmp_path / "store", tokenizer_folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    dataset = MeCoDataset(tmp_path / "store", tokenizer, seq_len=128, samples_per_step=2)
    collate = MeCoDataCollator(tokenizer)
    first, last = (tokenizer.decode(collate([dataset[row]])["input_ids"][0]) for row in (0, len(dataset) - 1))
    assert first.startswith("<s>URL: h")
    assert "URL: " not in last
    assert "Page" in last
