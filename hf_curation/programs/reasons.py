"""Why a call was not executed, or a document not edited: two closed sets.

Every count in a manifest, a datatrove statistic or a report is keyed by one of these words, so they are part of the
on-disk format: add to them, never rename.
"""

from typing import Final

REASONS: Final[dict[str, str]] = {
    # The call could not be read.
    "torn_call": "the call was cut off (by the token limit) before its closing parenthesis",
    "unknown_call": "no such operation in this dialect",
    "unknown_argument": "an argument name that the operation does not have, or one argument too many",
    "missing_argument": "an argument that the operation needs is absent",
    "bad_number": "a line number that is not plain ASCII digits",
    "bad_string": "an argument that should be a quoted string is not one",
    "ambiguous_quotes": "unescaped quotes allow more than one reading of the string",
    "trailing_text": "text after the call on the same line",
    "prose": "a line that is no call at all",
    "program_too_long": "everything past the cap on the length of a program, or on its number of calls",
    # The call was read and does not fit the text.
    "line_out_of_range": "the first line does not exist in the part of the page that the refiner was shown",
    "reversed_range": "the first line comes after the last",
    "source_too_short": "the string to replace is blank or under two characters",
    "newline_in_source": "the string to replace, or its replacement, spans lines",
    "not_found": "the string to replace does not occur in the scope of the call",
    "ambiguous_match": "the string to replace occurs more than once in the scope of the call",
    "overlap": "an earlier edit already covers this text",
    "added_too_much": "replacements and added lines exceed the cap on new characters",
    "no_effect": "the call changes nothing: the replacement equals the source",
    "conflict": "the same program both keeps and removes",
    "wrong_stage": "a document operation in a chunk program, or the reverse",
    # The call was read and fits the text; a guard kept the text (see the fallback of the same name).
    "loop": "the program of this call repeats itself",
    "removed_too_much": "the calls of this page together remove more than the allowed share of it",
    "too_many_errors": "the program (in prox_compat the page) of this call has more errors than allowed",
}
"""Reason -> what it means. Why one call was rejected; the other calls of the program are not affected."""

FALLBACKS: Final[dict[str, str]] = {
    "loop": "the program repeats itself; the text of its chunk was kept",
    "conflict": "the program both keeps and removes; the text of its chunk was kept",
    "removed_too_much": "the program would remove more than the allowed share of the page; the page was kept",
    "too_many_errors": "more errors than allowed in one program (in prox_compat in one page); its text was kept",
    "unparsed": "the output holds no readable call; the text was kept",
    "empty_output": "the refiner returned nothing; the text was kept",
    "length_limit": "the output was cut at the token limit; its whole calls were executed, the torn one was not",
    "refiner_failed": "the refiner gave no answer (server down, retries spent); the text was kept and is counted",
    "line_too_long": "a line did not fit the refiner's window and was left unedited",
    "empty": "the text is empty or blank; there was nothing to refine",
}
"""Fallback -> what it means. Why a document, or one chunk of it, kept its text (or part of its program)."""
