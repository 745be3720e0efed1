"""A card that is renewed keeps every word that a person wrote into it, in the head and in the text."""

import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.hub.cards import END, card_text, merge_dataset_card, parse_card, replace_section

BEGIN = "<!-- hf-curation: test -->"
OURS = """---
configs:
- config_name: default
  data_files: data/*.parquet
  default: true
tags:
- hf-curation
---

# Refined documents

Made of whales.

## Columns

None.
"""
THEIRS = """---
# Ask Ada before you change the licence.
license: mit   # hers
tags:
  - whales
  # of the sea
  - sea
configs:
- config_name: mine
  data_files: mine/*.csv
pretty_name: "Whales: all of them"
---

# Whales

About whales.
"""


def merge(ours, existing):
    return merge_dataset_card(ours, existing, name="whales", begin=BEGIN)


def test_a_new_card():
    text = merge(OURS, None)
    assert text.startswith("---\nconfigs:\n- config_name: default\n")
    assert "# whales\n" in text
    assert merge(OURS, text) == text
    assert f"{BEGIN}\n## Refined documents\n\nMade of whales.\n\n### Columns\n\nNone.\n{END}" in text


def test_comments_and_keys_of_the_head_stay():
    text = merge(OURS, THEIRS)
    assert "---\n# Ask Ada before you change the licence.\nlicense: mit   # hers\n" in text
    assert 'pretty_name: "Whales: all of them"\n' in text
    data = DatasetCard(text).data.to_dict()
    assert data["tags"] == ["whales", "sea", "hf-curation"]
    assert [one["config_name"] for one in data["configs"]] == ["mine", "default"]
    assert "# Whales\n\nAbout whales." in text


def test_again_changes_nothing_and_what_was_added_stays():
    once = merge(OURS, THEIRS)
    assert merge(OURS, once) == once
    more = once.replace("About whales.", "About whales, and whalers.") + "\n## Thanks\n\nTo all.\n"
    twice = merge(OURS.replace("Made of whales.", "Made of new whales."), more)
    for words in ("About whales, and whalers.", "## Thanks\n\nTo all.", "Made of new whales."):
        assert twice.count(words) == 1
    assert "Made of whales." not in twice


def test_a_head_that_lines_do_not_tell_is_written_anew():
    text = merge(OURS, "---\n{license: mit, tags: [whales]}\n---\nAbout whales.\n")
    data = DatasetCard(text).data.to_dict()
    assert data["license"] == "mit"
    assert data["tags"] == ["whales", "hf-curation"]
    assert "About whales." in text


def test_no_second_default():
    text = merge(OURS, "---\nconfigs:\n- config_name: mine\n  data_files: m.csv\n  default: true\n---\n")
    assert text.count("default: true") == 1


def test_a_configuration_of_the_same_name_is_not_taken_away():
    theirs = "---\nconfigs:\n- config_name: default\n  data_files: train.csv\n---\nAbout whales.\n"
    with pytest.raises(ValueError, match=r"has a configuration 'default' that is not ours: push into a folder") as e:
        merge(OURS, theirs)
    assert "\n" not in str(e.value)


def test_a_head_that_is_no_yaml_is_refused_not_replaced():
    with pytest.raises(ValueError, match=r"head of README\.md on the Hub cannot be read") as caught:
        merge(OURS, "---\ntags: [whales\n---\nAbout whales.\n")
    assert "\n" not in str(caught.value)


LINES = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12), max_size=5).map("\n".join)


@given(before=LINES, after=LINES)
def test_text_around_our_part_stays(before, after):
    if BEGIN in before or END in before:
        return
    text = replace_section(f"{before}\n\n{BEGIN}\nold\n{END}\n{after}", BEGIN, "new")
    start, _, rest = text.partition(f"{BEGIN}\nnew\n{END}")
    assert start.strip() == before.strip()
    assert rest.strip() == after.strip()


@given(comment=st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=20), tags=st.booleans())
def test_a_comment_outlives_any_change_of_other_keys(comment, tags):
    head = f"license: mit\n# {comment}!\n" + ("tags:\n- whales\n" if tags else "")
    card = parse_card(DatasetCard, f"---\n{head}---\nText.\n")
    card.data.tags = ["other"]
    text = card_text(card, f"---\n{head}---\nText.\n")
    assert f"# {comment}!\n" in text
    assert DatasetCard(text).data.tags == ["other"]
