from collections import Counter

import pytest

from hf_curation.files.accounts import ConservationError, StageAccount, add_stages, check_chain


def account(**kwargs):
    return StageAccount(**{name: Counter(v) if isinstance(v, dict) else v for name, v in kwargs.items()})


def test_the_law_holds_or_says_what_does_not():
    account(num_in=10, num_out=6, dropped={"drop_doc": 3}, quarantined={"bad_json": 1}).check("chunk")
    with pytest.raises(ConservationError, match="chunk: 10 documents in, but 6 out \\+ 3 dropped \\+ 0 quarantined"):
        account(num_in=10, num_out=6, dropped={"drop_doc": 3}).check("chunk")


def test_characters_are_conserved_too():
    totals = {"chars_in": 100, "chars_out": 60, "chars_removed": 30, "chars_dropped": 10}
    account(totals=totals).check("chunk")
    with pytest.raises(ConservationError, match="100 characters in, 99 accounted for"):
        account(totals=totals | {"chars_out": 59}).check("chunk")


def test_documents_may_not_vanish_between_stages():
    stages = {"read": account(num_in=3, num_out=3), "write": account(num_in=2, num_out=2)}
    with pytest.raises(ConservationError, match="3 documents left 'read' and 2 came to 'write'"):
        check_chain(stages)
    check_chain({"read": stages["read"], "write": account(num_in=3, num_out=3)})


def test_accounts_add_up_and_survive_being_written():
    one = account(num_in=3, num_out=2, dropped={"a": 1}, totals={"chars_in": 5})
    two = account(num_in=4, num_out=2, dropped={"a": 1, "b": 1}, status={"kept": 2})
    total = add_stages([{"x": one}, {"x": two}])["x"]
    assert total == account(num_in=7, num_out=4, dropped={"a": 2, "b": 1}, totals={"chars_in": 5}, status={"kept": 2})
    assert StageAccount.from_dict(total.to_dict()) == total
    assert one.dropped == Counter(a=1), "adding changes no rank's account"


def test_counts_of_zero_are_not_written():
    assert account(totals={"chars_in": 0}).to_dict()["totals"] == {}
