"""Tokenizers made in process, of the two kinds that refiners come with."""

import pytest

LLAMA2_IDS = {
    "▁[": 518, "[": 29961, "INST": 25580, "]": 29962, "▁<<": 3532, "SY": 14816, "S": 29903, ">>": 6778, "You": 3492,
    "▁are": 526, "▁a": 263, "▁helpful": 8444, ",": 29892, "▁respect": 3390, "ful": 1319, "▁and": 322,
    "▁honest": 15993, "▁assistant": 20255, ".": 29889, "<": 29966, "</": 829, "/": 29914, "▁": 29871,
}  # fmt: skip
"""The pieces of the Llama-2 vocabulary that the template of the released ProX models is made of."""


def llama2_tokenizer(*, legacy: bool = False):
    """A Llama tokenizer (byte fallback, dummy prefix space, no vocabulary of control tokens but `<s>` and `</s>`)
    whose pieces for the ProX template carry their true ids; all other pieces have ids of no meaning.
    """
    from transformers import LlamaTokenizer

    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"<0x{i:02X}>": 3 + i for i in range(256)} | LLAMA2_IDS
    words = [
        *LLAMA2_IDS,
        "doc",
        "▁remove",
        "remove",
        "_lines",
        "line",
        "_start",
        "_end",
        "keep",
        "drop",
        "_chunk",
        "_doc",
    ]
    merges = []
    for word in words:
        for i in range(1, len(word)):
            if (word[:i], word[i]) not in merges:
                merges.append((word[:i], word[i]))
    pieces = [chr(i) for i in range(33, 127)] + [piece for merge in merges for piece in (*merge, "".join(merge))]
    taken = set(vocab.values())
    free = [i for i in range(30_000) if i not in taken]
    pieces = [piece for piece in dict.fromkeys(pieces) if piece not in vocab]
    vocab |= dict(zip(pieces, free, strict=False)) | {f"unused{i}": i for i in free[len(pieces) :]}
    return LlamaTokenizer(vocab=vocab, merges=merges, legacy=legacy, add_bos_token=True)


CHATML = """\
{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a test.<|im_end|>\\n' }}{% endif -%}
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor -%}
{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"""

PROGRAMS = [
    "remove_lines(line_start=0, line_end=12)\nremove_lines(line_start=345, line_end=678)\nkeep_chunk()",
    'normalize(source_str="http://a.com", target_str="")\nkeep_doc()\ndrop_doc()\nremove_lines(all=True)',
    "remove_lines(1, 2)\nkeep_all()\nremove_all()\nreplace_str(3, 'old', 'new')\nadd_line(1, 1, 'text')",
    "[000]Home | Login\n[001]Whales sing.\n<lid:1>Home | Login\n<lid:2>Whales sing for hours in the deep sea.",
]


def chatml_tokenizer():
    """A byte-level BPE of the Qwen kind: ChatML, and `<think>` as an added token that is not special."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(PROGRAMS * 4, trainer)
    backend.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    backend.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>")  # noqa: S106
    tokenizer.chat_template = CHATML
    return tokenizer


@pytest.fixture(scope="session")
def llama2():
    return llama2_tokenizer()


@pytest.fixture(scope="session")
def chatml():
    return chatml_tokenizer()
