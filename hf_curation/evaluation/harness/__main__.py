r"""The harness's own command line, with the model type `meco` registered.

python -m hf_curation.evaluation.harness run --model meco --tasks arc_easy,piqa --device cpu \
    --model_args 'pretrained=you/model,metadata=hosts.yaml,template=URL: {host}\n\n'
"""

from hf_curation.evaluation.harness.optional import need_lm_eval
from hf_curation.evaluation.harness.register import register

if __name__ == "__main__":
    register()
    need_lm_eval("lm_eval.__main__").cli_evaluate()
