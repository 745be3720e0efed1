r"""The harness's own command line, with the model type `meco` registered.

python -m hf_curation.evaluation.harness run --model meco --tasks arc_easy,piqa --device cpu \
    --model_args pretrained=you/model,metadata=hosts.yaml

Another template than `URL: {host}\n\n` needs the arguments as JSON, since the harness takes braces for that:
`--model_args '{"pretrained": "you/model", "metadata": "hosts.yaml", "template": "Source: {domain}\n"}'`.
"""

from hf_curation.evaluation.harness.optional import need_lm_eval
from hf_curation.evaluation.harness.register import register

if __name__ == "__main__":
    register()
    need_lm_eval("lm_eval.__main__").cli_evaluate()
