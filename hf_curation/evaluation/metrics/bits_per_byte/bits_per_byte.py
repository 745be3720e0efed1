"""Bits per byte as a metric of `evaluate`: a local script, loaded by its path, offline.

    metric = evaluate.load(metric_path("bits_per_byte"))        # hf_curation.evaluation.metric_path
    metric.compute(predictions=[[-2.1, -0.7]], references=["hi"])

The script is thin: sums and checks are `hf_curation.evaluation.document_score`'s. One import a line, since evaluate's
scanner reads no other form.
"""

import datasets  # type: ignore[import-untyped,unused-ignore]
import evaluate

import hf_curation.evaluation.document_score as documents

_DESCRIPTION = """
Bits per byte of documents, from log-probabilities that a model gave to their tokens: comparable between tokenizers,
and, for a model trained with metadata in front of its documents, between conditions: with the right metadata, with
wrong, and with none. Neither the bits nor the bytes of the metadata count.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: for each document the natural log-probabilities of its tokens in order, those of the metadata in
        front first where they were scored at all. EOS does not belong to the text: leave it out.
    references: the documents, without metadata.
    num_prefix_tokens: to `compute`, also after `add_batch`: for each document how many of its log-probabilities belong
        to the metadata; left out: none.
Returns:
    bits_per_byte: over all documents, weighted by bytes.
    num_bytes, num_tokens: what was counted.
    num_prefix_tokens: what was left out.
Examples:
    >>> metric = evaluate.load("bits_per_byte.py")
    >>> metric.compute(predictions=[[-0.693, -1.386]], references=["abc"])["bits_per_byte"]
    1.0
"""

_CITATION = """
@article{gao2025metadata,
  title={Metadata Conditioning Accelerates Language Model Pre-training},
  author={Gao, Tianyu and Wettig, Alexander and He, Luxi and Dong, Yihe and Malladi, Sadhika and Chen, Danqi},
  journal={arXiv preprint arXiv:2501.01956},
  year={2025}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class BitsPerByte(evaluate.Metric):  # type: ignore[misc,unused-ignore]
    """Bits per byte of documents, prefix tokens out of both sums."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("string"),
                }
            ),
        )

    def _compute(
        self,
        predictions: list[list[float]],
        references: list[str],
        num_prefix_tokens: list[int] | None = None,
    ) -> dict[str, float | int]:
        prefixes = num_prefix_tokens or [0] * len(references)
        scores = [
            documents.score_of(log_probs, text, num_prefix_tokens=count)
            for log_probs, text, count in zip(predictions, references, prefixes, strict=True)
        ]
        return {
            "bits_per_byte": documents.bits_per_byte(scores),
            "num_bytes": sum(score.num_bytes for score in scores),
            "num_tokens": sum(score.num_tokens for score in scores),
            "num_prefix_tokens": sum(score.num_prefix_tokens for score in scores),
        }
