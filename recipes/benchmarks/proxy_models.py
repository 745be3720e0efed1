"""Small models that tell corpora apart: train one on texts, score it in bits per byte on texts held out.

One pass over the texts in a seeded order, documents one after another with EOS between, rows of equal length, AdamW
with a cosine to a tenth. Corpora are compared at equal bytes, with one tokenizer for all of them, from equal initial
weights per seed. The figures of a model of a million parameters rank corpora; they are no claim about larger ones.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from meco_corpus import make_model

from hf_curation.evaluation.conditional import Conditioner, score_documents
from hf_curation.evaluation.document_score import bits_per_byte


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySetting:
    """What all runs share."""

    batch: int = 16
    seq_len: int = 256
    learning_rate: float = 4e-3
    hidden: int = 128
    layers: int = 4


def train_proxy(texts: Sequence[str], tokenizer: Any, seed: int, setting: ProxySetting) -> Any:  # noqa: ANN401
    """Return a model trained on one pass over `texts`."""
    torch.set_num_threads(1)  # several runs beside one another; two threads on a busy machine are slower than one
    rows = rows_of(texts, tokenizer, seed, setting.seq_len)
    model = make_model(tokenizer, seed, hidden=setting.hidden, layers=setting.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    steps = len(rows) // setting.batch
    if steps < 10:
        raise ValueError(f"{len(rows)} rows of {setting.seq_len} tokens are {steps} steps; give more text")
    warmup = max(1, steps // 20)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup, setting.learning_rate / 10)
    ramp = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [ramp, cosine], [warmup])
    model.train()
    for step in range(steps):
        batch = rows[step * setting.batch : (step + 1) * setting.batch]
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return model.eval()


def rows_of(texts: Sequence[str], tokenizer: Any, seed: int, seq_len: int) -> torch.Tensor:  # noqa: ANN401
    """Return int64 rows [N, seq_len]: the texts in a seeded order, EOS after each, the tail left out."""
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)  # noqa: S311
    encoded = tokenizer.backend_tokenizer.encode_batch([texts[i] for i in order], add_special_tokens=False)
    ids = [token for encoding in encoded for token in (*encoding.ids, tokenizer.eos_token_id)]
    num_rows = len(ids) // seq_len
    return torch.tensor(ids[: num_rows * seq_len]).view(num_rows, seq_len)


def bits_per_byte_of(model: Any, tokenizer: Any, texts: Sequence[str]) -> float:  # noqa: ANN401
    """Return bits per byte over all texts together."""
    return bits_per_byte(score_documents(model, Conditioner(tokenizer), texts, None, batch_size=16))


def up_to(texts: Sequence[str], num_bytes: int) -> list[str]:
    """Return the first texts, of `num_bytes` together, the last one cut."""
    found, left = [], num_bytes
    for text in texts:
        if left <= 0:
            break
        found.append(text.encode()[:left].decode(errors="ignore"))
        left -= len(text.encode())
    return found
