"""The tagger's network in plain numpy: hashed words and numbers per line in, one logit per line out.

    numbers, words -> Linear -> GELU -> + page context
    -> N x (LayerNorm, dilated convolution over lines, GLU, residual)
    -> + page context -> LayerNorm -> Linear -> GELU -> Linear

Convolutions over lines instead of a recurrent net: the same quality here, and ten matrix products per page in place of
a Python loop over its lines. "Page context" adds the same vector to every line: means and maximum over the page, so
that a line is judged against its page (a lone sentence is content on a shop's page and noise under an article).
The training twin in torch is `recipes/train_line_tagger/model.py`; a test holds the two together to 1e-4.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import safe_open

from hf_curation.refiners.tagger.features import FEATURES_VERSION, NUM_NUMBERS, FloatArray, PageFeatures

_CLIP: Final = 4.0


@dataclass(frozen=True, slots=True)
class Network:
    """Weights and their meaning; `logits` is the forward pass, averaged over the members of the ensemble."""

    members: tuple[Mapping[str, FloatArray], ...]
    """Name -> array (float32), for each network of the ensemble."""
    config: Mapping[str, Any]
    """`embedding`, `table_bits`, `dilations` and what training recorded."""

    def logits(self, page: PageFeatures) -> FloatArray:
        """Return the log odds of "main content" for each row of the page: (L,)."""
        if not len(page.rows):
            return np.zeros(0, dtype=np.float32)
        logits = [self._member(page, weights) for weights in self.members]
        result: FloatArray = np.mean(np.stack(logits), axis=0, dtype=np.float32)
        return result

    def _member(self, page: PageFeatures, w: Mapping[str, FloatArray]) -> FloatArray:
        mass = np.log1p(page.num_words)
        x = np.clip((page.numbers - w["mean"]) / w["scale"], -_CLIP, _CLIP)
        z = _gelu(_linear(np.concatenate([x, self._words(page, w)], axis=1), w, "input"))
        z = _context(z, mass, w, "context_in")
        for k, dilation in enumerate(self.config["dilations"]):
            z = _block(z, dilation, w, f"blocks.{k}")
        z = _context(z, mass, w, "context_out")
        z = _gelu(_linear(_normalize(z, w, "norm_out"), w, "hidden"))
        return _linear(z, w, "output")[:, 0]

    def _words(self, page: PageFeatures, w: Mapping[str, FloatArray]) -> FloatArray:
        """Return (L, 5E): the mean vector of each line's words, then the vectors of its special tokens."""
        shift = np.uint32(32 - self.config["table_bits"])
        num_lines = len(page.rows)
        size = np.diff(page.word_starts)
        some = np.flatnonzero(size)
        mean = np.zeros((num_lines, self.config["embedding"]), dtype=np.float32)
        if len(some):
            vectors = w["words.weight"][page.words >> shift]
            mean[some] = np.add.reduceat(vectors, page.word_starts[:-1][some], axis=0) / size[some, None]
        specials = w["specials.weight"][page.specials >> shift].reshape(num_lines, -1)
        return np.concatenate([mean, specials], axis=1)


def load_network(path: Path) -> Network:
    """Read a network from a safetensors file whose header holds its configuration.

    Raises:
        ValueError: if the file was made for other features than this version computes.
    """
    with safe_open(str(path), framework="np") as file:
        config = json.loads((file.metadata() or {}).get("config", "{}"))
        if (config.get("features_version"), config.get("num_numbers")) != (FEATURES_VERSION, NUM_NUMBERS):
            raise ValueError(
                f"{path} is not a line tagger for features version {FEATURES_VERSION} ({NUM_NUMBERS} numbers a line); "
                "train it again with recipes/train_line_tagger"
            )
        members: list[dict[str, FloatArray]] = [{} for _ in range(config["members"])]
        for key in file.keys():  # noqa: SIM118 - no mapping
            member, _, name = key.partition(".")
            members[int(member)][name] = file.get_tensor(key).astype(np.float32)
    return Network(tuple(members), config)


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return probabilities for log odds, without overflow."""
    result: FloatArray = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * logits))
    return result


def _linear(x: FloatArray, w: Mapping[str, FloatArray], name: str) -> FloatArray:
    result: FloatArray = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return result


def _gelu(x: FloatArray) -> FloatArray:
    """The tanh form of GELU: numpy has no erf."""
    inner = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)
    result: FloatArray = np.float32(0.5) * x * (1 + np.tanh(inner))
    return result


def _normalize(x: FloatArray, w: Mapping[str, FloatArray], name: str) -> FloatArray:
    centred = x - x.mean(axis=1, keepdims=True)
    variance = np.einsum("lh,lh->l", centred, centred)[:, None] / np.float32(x.shape[1])
    result: FloatArray = centred / np.sqrt(variance + np.float32(1e-5)) * w[f"{name}.weight"] + w[f"{name}.bias"]
    return result


def _context(z: FloatArray, mass: FloatArray, w: Mapping[str, FloatArray], name: str) -> FloatArray:
    weighted = (z * mass[:, None]).sum(axis=0) / mass.sum()
    summary = np.concatenate([z.mean(axis=0), weighted, z.max(axis=0)])
    result: FloatArray = z + np.tanh(_linear(summary, w, name))
    return result


def _block(z: FloatArray, dilation: int, w: Mapping[str, FloatArray], name: str) -> FloatArray:
    u = _normalize(z, w, f"{name}.norm")
    length, hidden = u.shape
    around = np.zeros((length, 3 * hidden), dtype=np.float32)
    around[dilation:, :hidden] = u[: max(length - dilation, 0)]
    around[:, hidden : 2 * hidden] = u
    around[: max(length - dilation, 0), 2 * hidden :] = u[dilation:]
    mixed = _linear(around, w, f"{name}.mix")
    half = mixed.shape[1] // 2
    return z + mixed[:, :half] * sigmoid(mixed[:, half:])
