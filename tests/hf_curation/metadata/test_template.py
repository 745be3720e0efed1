import pickle

import pytest

from hf_curation.metadata import (
    MissingMetadataError,
    Prefix,
    PrefixCounts,
    ValueCounts,
    parse_template,
    suffix_list_version,
)

PAGE = {"url": "https://EN.Wikipedia.org/wiki/Whale", "topic": "Science"}


def test_the_default_is_the_papers():
    assert parse_template().render(PAGE) == Prefix("URL: en.wikipedia.org\n\n")


def test_fields_compose():
    template = parse_template("Source: {domain} ({topic})\nPath: {path}\n\n")
    assert template.render(PAGE).text == "Source: wikipedia.org (Science)\nPath: /wiki/Whale\n\n"


def test_braces_are_escaped_and_literals_need_no_field():
    assert parse_template("{{{host}}}").render(PAGE).text == "{en.wikipedia.org}"
    assert parse_template("https://").render({}).text == "https://"


def test_values_are_not_read_as_templates():
    assert parse_template("{topic}").render({"topic": "{host} {0} %s"}).text == "{host} {0} %s"


def test_missing_drops_the_prefix_by_default():
    template = parse_template("URL: {host} {topic}\n\n")
    assert template.render({"url": "http://127.0.0.1/"}) == Prefix("", (("host", "ip_address"), ("topic", "absent")))


def test_missing_as_unknown():
    template = parse_template("URL: {host} {topic}\n\n", on_missing="unknown")
    assert template.render({"topic": "x"}) == Prefix("URL: unknown x\n\n", (("host", "absent"),))


def test_missing_as_error_names_the_reason_and_not_the_value():
    template = parse_template("URL: {host}\n\n", on_missing="error")
    with pytest.raises(MissingMetadataError, match="no host in column 'url': unsafe_character") as caught:
        template.render({"url": "https://secret.com\n"[:-1] + "\x00"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("URL: {host", r"expected '}' before end of string; braces of the text itself are written \{\{ and \}\}"),
        ("URL: host}", "Single '}'"),
        ("{}", "unknown field ''"),
        ("{0}", "unknown field '0'"),
        ("{hots}", "did you mean 'host'"),
        ("{host!r}", "no conversion"),
        ("{host:{topic}}", "no inner braces"),
        ("{host.__class__}", "unknown field 'host.__class__'"),
        ("URL: {host}\\n\\n", r"write \$'...\\n'"),
        ("URL:\r\n{host}", "control"),
        ("{host}\u2028", "control"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(ValueError, match=message):
        parse_template(text)


def test_unknown_policy():
    with pytest.raises(ValueError, match="on_missing must be one of drop_prefix, unknown, error, got 'skip'"):
        parse_template(on_missing="skip")


def test_templates_pickle():
    template = parse_template("{host} {quality,max=5}", on_missing="unknown")
    again = pickle.loads(pickle.dumps(template))  # noqa: S301 (our own bytes)
    assert again.render(PAGE) == template.render(PAGE)
    assert again.describe() == template.describe()


def test_what_depends_on_the_suffix_list_names_it():
    assert parse_template("{host}").describe() == {
        "template": "{host}",
        "on_missing": "drop_prefix",
        "fields": [{"field": "host:url", "min_count": 1}],
    }
    assert parse_template("{host} {domain}").describe()["suffix_list"] == suffix_list_version()


def test_rare_values_are_unknown_under_every_policy():
    counts = ValueCounts("host:url")
    for host in ["a.com"] * 3 + ["b.com"] * 2:
        counts.add(host)
    for policy in ("drop_prefix", "unknown", "error"):
        template = parse_template("URL: {host}\n\n", on_missing=policy).with_k_anonymity(counts, 3)
        assert template.render({"url": "https://a.com/"}) == Prefix("URL: a.com\n\n")
        for rare in ("b.com", "never-counted.com"):
            assert template.render({"url": rare}) == Prefix("URL: unknown\n\n", (("host", "rare"),))
        assert template.describe()["fields"] == [{"field": "host:url", "min_count": 3}]
    both = parse_template("{host} {topic}").with_k_anonymity(counts, 3)
    assert both.render({"url": "b.com", "topic": "x"}).text == "unknown x"
    assert parse_template().with_k_anonymity(counts, 3).render({}) == Prefix("", (("host", "absent"),))


def test_k_anonymity_needs_counts_of_a_field_of_the_template():
    with pytest.raises(ValueError, match=r"counts are of 'host:url'; template '\{path\}' has 'path:url'"):
        parse_template("{path}").with_k_anonymity(ValueCounts("host:url"), 3)


def test_counts_add_up():
    template = parse_template("{host} {topic}")
    pages = [{"url": "http://1.2.3.4/", "topic": "x"}, PAGE, {"topic": "a\nb"}, {}]
    halves = [PrefixCounts(), PrefixCounts()]
    for number, page in enumerate(pages):
        halves[number % 2].add(template.render(page))
    halves[0].merge(halves[1])
    assert halves[0].as_dict() == {
        "documents": 4,
        "prefixed": 1,
        "missing_host_absent": 2,
        "missing_host_ip_address": 1,
        "missing_topic_absent": 1,
        "missing_topic_unsafe_character": 1,
    }
