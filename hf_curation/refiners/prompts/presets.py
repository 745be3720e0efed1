r"""How each known refiner is addressed, as data.

The released ProX models were tuned on the Llama-2 chat template with a short system text (GAIR-NLP/ProX issue 11);
they ship no template, so it is written down here. Their two scripts disagree on the number of BOS tokens (one for
documents, two for chunks); we take one, and `:double_bos` or `:plain` (no `[INST]` at all) behind a preset's name
selects the others, for an A/B on weights one trusts. UltraX is addressed through its tokenizer's own chat template;
its system text comes under a licence that we do not pass on, so it is read at run time from a file.
"""

import ast
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from hf_curation.programs.model import Dialect
from hf_curation.refiners.base import Stage


class Template(StrEnum):
    """What stands around the user's turn."""

    LLAMA2 = "llama2"
    """`[INST] <<SYS>>\\n{system}\\n<</SYS>>\\n\\n{user} [/INST]`."""
    CHAT = "chat"
    """The tokenizer's own chat template, thinking switched off."""
    PLAIN = "plain"
    """The user's turn alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The prompt format, limits and dialect of one refiner."""

    name: str
    stage: Stage
    dialect: Dialect = Dialect.PROX
    model_id: str | None = None
    """The Hub id of the released weights; None for a format that suits many models."""
    template: Template = Template.CHAT
    system: str | None = None
    """The system text; None: none."""
    needs_system: bool = False
    """True: the refiner was tuned on a system text that is not part of this package (`load_system_text`)."""
    user: str = "{page}"
    """The user's turn, with `{page}` once."""
    num_bos: int = 1
    """BOS tokens in front (Llama-2 and plain templates; a chat template brings its own)."""
    window_tokens: int
    """Chunk stage: the most tokens of numbered lines in a window, markers included (as ProX counts them). Document
    stage: the most tokens of the whole prompt; only the page is ever truncated."""
    max_new_tokens: int
    """Where decoding is cut off."""
    overlap: float = 0.0
    """Share of a window spent on context lines that the window before owns."""

    def __post_init__(self) -> None:
        if self.user.count("{page}") != 1:
            raise ValueError(f"preset {self.name!r}: the user's turn must hold '{{page}}' once, got {self.user!r}")

    @property
    def is_numbered(self) -> bool:
        """Whether the page's lines carry markers: in the chunk stage."""
        return self.stage is Stage.CHUNK

    @property
    def user_parts(self) -> tuple[str, str]:
        """The user's turn before and after the page."""
        before, after = self.user.split("{page}")
        return before, after


_PROX_SYSTEM = "You are a helpful, respectful and honest assistant."
_QUOTED_PAGE = "[doc]\n{page}\n[/doc]"

_GENERIC_CHUNK = """\
You clean web pages so that language models can learn from them. Between [doc] and [/doc] is a part of a page; every \
line starts with its number, such as [007]. Reply with a program that removes what is not content, and with nothing \
else: no explanation. One call per line:
remove_lines(line_start=7, line_end=9)
  removes lines 7 to 9: menus, breadcrumbs, cookie notices, advertisements, share buttons, link lists, footers.
normalize(source_str="text on one line", target_str="")
  removes that text inside a line that is otherwise worth keeping, such as a stray URL.
keep_chunk()
  when every line is worth keeping. Keep what you are not sure about."""

_GENERIC_DOC = """\
You choose web pages from which language models can learn. Read the page and reply with one call and nothing else:
drop_doc()
  if the page is spam, an error page, a login or cookie wall, a bare list of links, or garbled text.
keep_doc()
  if it holds text worth reading, even with menus around it. Keep what you are not sure about."""


def _prox(domain: str, stage: Stage) -> Preset:
    is_chunk = stage is Stage.CHUNK
    short = "chunk" if is_chunk else "doc"
    return Preset(
        name=f"prox-{domain}-{short}",
        stage=stage,
        model_id=f"gair-prox/{domain}-{short}-refining-lm",
        template=Template.LLAMA2,
        system=_PROX_SYSTEM,
        user=_QUOTED_PAGE if is_chunk else "{page}",
        window_tokens=1500 if is_chunk else 2000,
        max_new_tokens=256 if is_chunk else 32,
    )


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        *(_prox(domain, stage) for domain in ("web", "math") for stage in (Stage.DOCUMENT, Stage.CHUNK)),
        Preset(
            name="ultrax",
            stage=Stage.CHUNK,
            dialect=Dialect.ULTRAX,
            model_id="openbmb/UltraX-0.6B-Preview",
            needs_system=True,
            window_tokens=12_000,
            max_new_tokens=4096,
            overlap=0.2,
        ),
        Preset(
            name="generic-doc",
            stage=Stage.DOCUMENT,
            system=_GENERIC_DOC,
            user=_QUOTED_PAGE,
            window_tokens=2000,
            max_new_tokens=32,
        ),
        Preset(
            name="generic-chunk",
            stage=Stage.CHUNK,
            system=_GENERIC_CHUNK,
            user=_QUOTED_PAGE,
            window_tokens=1500,
            max_new_tokens=256,
        ),
    )
}
"""Every preset under its name."""

_VARIANTS: dict[str, dict[str, object]] = {
    "double_bos": {"num_bos": 2},
    "plain": {"template": Template.PLAIN, "system": None, "user": _QUOTED_PAGE},
}


def get_preset(name: str) -> Preset:
    """Return the preset called `name`, or its variant: `prox-web-chunk:double_bos`, `prox-web-chunk:plain`.

    Raises:
        ValueError: for a name or variant that does not exist; it names the nearest one.
    """
    base, _, variant = name.partition(":")
    if base not in PRESETS:
        raise ValueError(f"there is no preset {base!r}{_nearest(base, list(PRESETS))}")
    preset = PRESETS[base]
    if not variant:
        return preset
    if variant not in _VARIANTS or preset.template is not Template.LLAMA2:
        known = list(_VARIANTS) if preset.template is Template.LLAMA2 else []
        raise ValueError(f"preset {base!r} has no variant {variant!r}; it has: {', '.join(known) or 'none'}")
    return replace(preset, name=name, **_VARIANTS[variant])  # type: ignore[arg-type]


def preset_of_model(model_id: str) -> Preset | None:
    """Return the preset of a released model by its Hub id, or None."""
    return next((preset for preset in PRESETS.values() if preset.model_id == model_id), None)


def load_system_text(path: str | Path) -> str:
    """Read a system text from a text file, or from the `SYSTEM_INSTRUCTION` of a Python file, which is never run.

    UltraX keeps its text in `stage2_large_scale_execution/inference/inference.py` of openbmb/UltraX: point here at a
    checkout's copy.

    Raises:
        ValueError: if a Python file assigns no such string.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "SYSTEM_INSTRUCTION" in names:
                return node.value.value
    raise ValueError(f"{path} assigns no string to SYSTEM_INSTRUCTION; give a text file with the system text instead")


def _nearest(name: str, known: list[str]) -> str:
    """Return the end of an error message: the nearest name, else all of them."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known)}"
