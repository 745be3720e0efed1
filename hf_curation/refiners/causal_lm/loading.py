"""Load a causal LM, its tokenizer and an adapter: safetensors only, no code from a repository.

The released ProX models ship `tokenizer.model` alone; transformers 5 converts it on loading, for which it needs
`sentencepiece` and `protobuf` (without them it asks for `tiktoken`, which does not help).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hf_curation.refiners.on_hub import adapter_folder

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


_SPM_PACKAGES = {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the weights of a causal LM are."""

    model: str
    """A Hub id or a folder."""
    revision: str | None = None
    """Branch, tag or commit of `model` on the Hub."""
    adapter: str | None = None
    """A PEFT adapter to merge into the weights: a folder, a Hub id, or that and `@revision`."""
    gguf_file: str | None = None
    """The GGUF file within `model` to load and dequantise, instead of safetensors."""

    @property
    def hub_options(self) -> dict[str, Any]:
        """What every `from_pretrained` call is given."""
        options: dict[str, Any] = {"revision": self.revision, "trust_remote_code": False}
        return options | ({"gguf_file": self.gguf_file} if self.gguf_file else {})


def need_transformers() -> None:
    """Check that torch and transformers are there.

    Raises:
        ImportError: with the pip command, if not.
    """
    for module in ("torch", "transformers"):
        if not is_installed(module):
            raise ImportError(f"`{module}` is needed to run a causal LM: pip install 'hf-curation[refine]'")


def load_tokenizer(source: Source) -> "PreTrainedTokenizerBase":
    """Load the tokenizer.

    Raises:
        ImportError: if converting it needs a package that is not installed.
        ValueError: if there is none.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415

    try:
        return AutoTokenizer.from_pretrained(source.model, **source.hub_options)
    except (ValueError, ImportError, TypeError) as error:
        missing = [package for package, module in _SPM_PACKAGES.items() if not is_installed(module)]
        if missing:
            raise ImportError(
                f"the tokenizer of {source.model} could not be loaded; models that ship tokenizer.model, as those of "
                f"ProX do, need {' and '.join(missing)}: pip install {' '.join(missing)}"
            ) from error
        raise ValueError(f"the tokenizer of {source.model} could not be loaded: {first_line(error)}") from error


def load_config(source: Source) -> "PretrainedConfig":
    """Load the model's configuration."""
    from transformers import AutoConfig  # noqa: PLC0415

    return AutoConfig.from_pretrained(source.model, **source.hub_options)


def load_model(source: Source, *, device: str | None, dtype: str) -> "PreTrainedModel":
    """Load the weights, merge the adapter, and leave the model in evaluation mode on its device.

    Args:
        source: where the weights are.
        device: such as `cuda:1` or `cpu`; None: a GPU if there is one.
        dtype: `auto` (bfloat16 on a GPU, float32 on a CPU), `bfloat16`, `float16` or `float32`.
    """
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, GenerationConfig  # noqa: PLC0415

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    options = source.hub_options | {"dtype": getattr(torch, dtype)}
    if source.gguf_file:
        from transformers import GgufConfig  # noqa: PLC0415

        options["quantization_config"] = GgufConfig(dequantize=True)
    else:
        options["use_safetensors"] = True
    model = AutoModelForCausalLM.from_pretrained(source.model, **options)
    model = _with_adapter(model, source.adapter) if source.adapter else model
    # Sampling settings that a repository ships would leak into greedy decoding.
    eos = model.generation_config.eos_token_id if model.generation_config else None
    model.generation_config = GenerationConfig(eos_token_id=eos)
    return model.to(device).eval()


def _with_adapter(model: "PreTrainedModel", adapter: str) -> "PreTrainedModel":
    if not is_installed("peft"):
        raise ImportError("`peft` is needed to load an adapter: pip install 'hf-curation[refine]'")
    from peft import PeftModel  # noqa: PLC0415

    return PeftModel.from_pretrained(model, str(adapter_folder(adapter))).merge_and_unload()


def is_installed(module: str) -> bool:
    """Say whether `module`, which may be a dotted name, can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message, shortened."""
    message = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {message[:200]}"
