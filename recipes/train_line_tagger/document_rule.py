"""Fit the document stage's rule on pages that the networks did not see: logistic regression on six statistics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pages import Page

from hf_curation.programs.lines import split_lines
from hf_curation.refiners.tagger import LineTagger
from hf_curation.refiners.tagger.document import page_statistics
from hf_curation.refiners.tagger.features import page_features
from hf_curation.refiners.tagger.network import sigmoid

MAX_FALSE_DROPS = 0.005
"""Share of whole pages with main content that the threshold may lose; the promise is .01."""
_RIDGE = 1e-2


@dataclass(frozen=True, slots=True)
class Case:
    """A text that the document stage is asked about."""

    kind: str
    """`page` and `clean` and `note` (the first lines of a clean text) hold content; `no_gold` and `emptied` do not."""
    fold: int
    statistics: NDArray[np.float32]

    @property
    def has_content(self) -> bool:
        """Whether it must be kept."""
        return self.kind in ("page", "clean", "note")


def cases_of(page: Page, fold: int, tagger: LineTagger) -> list[Case]:
    """Return the texts that one page gives: as it came, its gold text, that text's beginning, the rest without it."""
    texts: dict[str, str] = {}
    if page.gold.strip():
        gold = [line for line in split_lines(page.gold) if line.strip()]
        texts = {"page": page.text, "clean": page.gold, "note": "\n".join(gold[:2])}
        rest = [line for line, share in zip(page.lines, page.shares_N, strict=True) if share < 0.3]
        texts["emptied"] = "\n".join(rest)
    else:
        texts["no_gold"] = page.text
    return [Case(kind, fold, _statistics(text, tagger)) for kind, text in texts.items() if len(text.split()) > 3]


def fit_rule(cases: list[Case], max_false_drops: float = MAX_FALSE_DROPS) -> tuple[NDArray[np.float64], float]:
    """Return the coefficients and the threshold below which a page is dropped."""
    x = np.array([case.statistics for case in cases], dtype=np.float64)
    y = np.array([case.has_content for case in cases], dtype=np.float64)
    weight = np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum()) * len(y)
    theta = np.zeros(x.shape[1])
    for _ in range(50):  # Newton's method; the ridge keeps separable data finite
        p = 1 / (1 + np.exp(-np.clip(x @ theta, -30, 30)))
        gradient = x.T @ (weight * (y - p)) - _RIDGE * len(y) * theta * 0.01
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + _RIDGE * len(y) * 0.01 * np.eye(len(theta))
        theta = theta + np.linalg.solve(hessian, gradient)
    pages = np.array([case.kind == "page" for case in cases])
    scores = 1 / (1 + np.exp(-np.clip(x[pages] @ theta, -30, 30)))
    return theta, float(np.quantile(scores, max_false_drops))


def rates(cases: list[Case], num_folds: int) -> dict[str, float]:
    """Return the share of each kind that is dropped, each fold judged by a rule fitted on the other folds."""
    dropped: dict[str, list[bool]] = {}
    for fold in range(num_folds):
        mine = [case for case in cases if case.fold == fold]
        others = [case for case in cases if case.fold != fold]
        theta, threshold = fit_rule(others or mine)
        for case in mine:
            score = 1 / (1 + np.exp(-np.clip(case.statistics @ theta, -30, 30)))
            dropped.setdefault(case.kind, []).append(bool(score < threshold))
    return {kind: float(np.mean(flags)) for kind, flags in sorted(dropped.items())}


def _statistics(text: str, tagger: LineTagger) -> NDArray[np.float32]:
    page = page_features(split_lines(text))
    return page_statistics(sigmoid(tagger.network.logits(page)), page.num_words)
