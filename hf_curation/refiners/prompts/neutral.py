"""Keep a page from closing the prompt that it is quoted in.

`</s>`, `[/INST]` or `<|im_end|>` inside a page end the page's quotation if a tokenizer reads them as control tokens
(measured on ProX's scripts, which escape nothing). In process the page is tokenised with control tokens off, which
settles those that are tokens; `[/INST]` is plain text for Llama 2, though, and a server tokenises whatever it is sent.
So one zero-width space goes in after the first character of every such string: `[/INST]` becomes `[`, U+200B,
`/INST]`. Only prompts are changed, never output: `restore` takes the marks out of a program that quotes the page.
"""

import re
from typing import Final

GUARD: Final = "\u200b"

# Every alternative is bounded, so scanning is linear whatever the page holds.
_CONTROL: Final = (
    r"/?(?:s|bos|eos|unk|pad|think|im_start|im_end|tool_call|start_of_turn|end_of_turn|end_of_text)>"  # <s>, </think>
    r"|</?SYS>>"
    r"|[|\uff5c][^<>\s]{1,64}?[|\uff5c]>"  # <|im_end|>, DeepSeek's full-width bars
    r"|lid:[0-9]"  # UltraX's line marker
)
_BRACKET: Final = r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|doc)\]"
_CONTROL_STRINGS: Final = re.compile(rf"<(?={_CONTROL})|\[(?={_BRACKET})")
_GUARDED: Final = re.compile(rf"(?:(?<=<){GUARD}(?={_CONTROL})|(?<=\[){GUARD}(?={_BRACKET}))")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def neutralise(text: str) -> str:
    """Return `text` fit to be quoted in a prompt: control strings broken, lone surrogates as U+FFFD.

    The same object when there is nothing to do. Line structure never changes.
    """
    if "<" in text or "[" in text:
        text = _CONTROL_STRINGS.sub(lambda match: match.group() + GUARD, text)
    if text.isascii():
        return text
    return _SURROGATES.sub("\ufffd", text)


def restore(program: str) -> str:
    """Undo `neutralise` in a program that quotes the page; replaced surrogates stay, so such a call is `not_found`."""
    return _GUARDED.sub("", program) if GUARD in program else program
