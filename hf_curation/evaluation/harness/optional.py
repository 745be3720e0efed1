"""lm-evaluation-harness is an extra: one line says so where it is missing."""

from importlib import import_module
from types import ModuleType


def need_lm_eval(module: str = "lm_eval") -> ModuleType:
    """Import a module of lm-evaluation-harness.

    Raises:
        ImportError: says what to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"`{module}` is needed here: pip install 'hf-curation[eval]'") from error
