r"""Use a conditioned model: documents scored and text generated with, without or against their metadata.

The prefix goes in front as token ids, from the same `PrefixEncoder` as in training, behind BOS where the tokenizer has
one. Encoded as one text with the prompt, `URL: host\n\n` would end in other tokens than the model was trained on.

Hosts need not exist: `{"url": "www.factmonster.com"}` asks for the tone of a site of facts (MeCo, section 4.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_curation.evaluation.document_score import DocumentScore
from hf_curation.evaluation.log_probs import Stretch, evaluating, score_tokens
from hf_curation.metadata import DEFAULT_TEMPLATE, PrefixEncoder, PrefixTemplate, parse_template
from hf_curation.packing.segments import SpecialTokens

Metadata = Mapping[str, object]


class Conditioner:
    r"""Writes contexts as training did: BOS, the metadata's ids, then text.

    Args:
        tokenizer: A fast transformers tokenizer.
        template: As in training. As text, it is parsed with `on_missing="error"`: at inference a host that cannot be
            read is a mistake to hear of, while training data may lack some.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - a transformers tokenizer
        template: PrefixTemplate | str = DEFAULT_TEMPLATE,
    ) -> None:
        self.tokenizer = tokenizer
        if isinstance(template, str):
            template = parse_template(template, on_missing="error")
        self.encoder = PrefixEncoder(tokenizer, template)
        bos = SpecialTokens.of(tokenizer).bos
        self.bos: tuple[int, ...] = () if bos is None else (bos,)

    def prefix(self, metadata: Metadata | None) -> tuple[int, ...]:
        """Return the metadata's ids without BOS; empty for None."""
        return () if metadata is None else self.encoder(metadata).ids

    def head(self, metadata: Metadata | None) -> list[int]:
        """Return what stands before a document: BOS and the metadata's ids."""
        return [*self.bos, *self.prefix(metadata)]

    def body(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens; a text that spells `</s>` does not write the token."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def prompt(self, text: str, metadata: Metadata | None = None) -> list[int]:
        """Return a prompt's ids, head and body, to give to whatever generates."""
        return [*self.head(metadata), *self.body(text)]


def score_documents(
    model: Any,  # noqa: ANN401 - a causal language model of transformers
    conditioner: Conditioner,
    texts: Sequence[str],
    metadata: Sequence[Metadata | None] | None = None,
    *,
    max_length: int | None = None,
    guidance_scale: float = 1.0,
    batch_size: int = 8,
) -> list[DocumentScore]:
    """Return the log-likelihood of every text given its metadata.

    A text longer than the model is scored in windows, each with the whole head and the last token of the window
    before; every token is scored once. Without BOS the first token of a text has nothing before it unless there is
    metadata, so it is scored neither with metadata nor without, and its bytes do not count.

    Args:
        model: On any device.
        conditioner: Writes the contexts.
        texts: Documents, without metadata.
        metadata: Columns of each document, None for a document without; None: all without.
        max_length: Tokens of a window; None: the model's `max_position_embeddings`.
        guidance_scale: Strength of the metadata, see `log_probs`; documents without metadata are not touched by it.
        batch_size: Windows per forward pass.

    Raises:
        ValueError: if there are more or fewer metadata than texts, or a head leaves no room in a window.
    """
    metadata = [None] * len(texts) if metadata is None else metadata
    if len(metadata) != len(texts):
        raise ValueError(f"{len(texts)} texts but metadata of {len(metadata)}")
    max_length = max_length or int(model.config.max_position_embeddings)
    stretches: list[Stretch] = []
    parts = []
    for text, columns in zip(texts, metadata, strict=True):
        ids, num_bytes = _scored_ids(conditioner, text)
        windows = list(_windows(ids, conditioner.head(columns), conditioner.bos, max_length))
        stretches += windows
        parts.append((len(windows), num_bytes, len(conditioner.prefix(columns))))
    scores = iter(score_tokens(model, stretches, batch_size=batch_size, guidance_scale=guidance_scale))
    documents = []
    for num_windows, num_bytes, num_prefix in parts:
        own = [next(scores).log_probs_T for _ in range(num_windows)]
        nats, num_tokens = sum(float(a.sum()) for a in own), sum(map(len, own))
        documents.append(DocumentScore(nats, num_tokens, num_bytes, num_prefix))
    return documents


def generate(
    model: Any,  # noqa: ANN401 - a causal language model of transformers
    conditioner: Conditioner,
    prompt: str,
    metadata: Metadata | None = None,
    *,
    guidance_scale: float = 1.0,
    max_prompt_tokens: int | None = None,
    **options: Any,  # noqa: ANN401 - of `transformers` `generate`
) -> str:
    """Continue a prompt under metadata, with classifier-free guidance where `guidance_scale` is not 1.

    One prompt a call: under guidance `transformers` runs the plain branch without position ids, so that left-padded
    batches go wrong for models with absolute positions.

    Args:
        model: On any device.
        conditioner: Writes the context.
        prompt: Not empty, unless there is a BOS or metadata.
        metadata: Columns of the document that the model shall believe to write.
        guidance_scale: `plain + g * (conditioned - plain)`; over 1 metadata speak louder, 1: no second branch.
        max_prompt_tokens: Room for BOS, metadata and prompt; a longer prompt loses its beginning. None: no limit.
        options: Passed on, such as `max_new_tokens`, `do_sample`, `stop_strings`.

    Returns:
        The continuation alone.

    Raises:
        ValueError: if there is nothing to continue, no room for the prompt, or guidance without metadata.
    """
    head, body = conditioner.head(metadata), conditioner.body(prompt)
    if max_prompt_tokens is not None:
        if len(head) >= max_prompt_tokens:
            raise ValueError(f"a prefix of {len(head)} tokens leaves no room for a prompt in {max_prompt_tokens}")
        body = body[-(max_prompt_tokens - len(head)) :]
    ids, plain = [*head, *body], [*conditioner.bos, *body]
    if not ids or (guidance_scale != 1 and not plain):
        raise ValueError("nothing to continue: the prompt is empty and the tokenizer has no BOS")
    if guidance_scale != 1:
        if not conditioner.prefix(metadata):
            raise ValueError(f"guidance_scale={guidance_scale} needs metadata: the two branches would be the same")
        options["guidance_scale"] = guidance_scale
    if "stop_strings" in options:
        options["tokenizer"] = conditioner.tokenizer
    written = _generate_ids(model, ids, plain, options)
    text: str = conditioner.tokenizer.decode(written, skip_special_tokens=True)
    return text


def _generate_ids(
    model: Any,  # noqa: ANN401
    ids: Sequence[int],
    plain: Sequence[int],
    options: dict[str, Any],
) -> Any:  # noqa: ANN401 - a tensor of the new ids
    import torch  # noqa: PLC0415

    device = next(model.parameters()).device
    ids_1T, plain_1T = torch.tensor([ids], device=device), torch.tensor([plain], device=device)
    if "guidance_scale" in options:
        # Left out, transformers takes the last prompt token for the negative prompt.
        options |= {"negative_prompt_ids": plain_1T, "negative_prompt_attention_mask": torch.ones_like(plain_1T)}
    with evaluating(model):
        out_1T = model.generate(ids_1T, attention_mask=torch.ones_like(ids_1T), **options)
    return out_1T[0, len(ids) :]


def _scored_ids(conditioner: Conditioner, text: str) -> tuple[list[int], int]:
    """Return a text's ids, and the bytes of those that are scored."""
    ids = conditioner.body(text)
    start = 0
    if not conditioner.bos and ids:
        encoded = conditioner.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        start = encoded["offset_mapping"][0][1]
    return ids, len(text[start:].encode("utf-8", "surrogatepass"))


def _windows(ids: Sequence[int], head: Sequence[int], plain_head: Sequence[int], max_length: int) -> Iterator[Stretch]:
    room = max_length - len(head) - 1
    if room < 1:
        raise ValueError(f"a head of {len(head)} tokens leaves no room in windows of {max_length}")
    at = 0 if plain_head else 1
    while at < len(ids):
        before = ids[at - 1 : at] if at else []
        end = at + room + (not before)
        yield Stretch([*head, *before], ids[at:end], plain_context=[*plain_head, *before])
        at = end
