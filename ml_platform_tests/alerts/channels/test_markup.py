"""The little Markdown of a rule's own text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.alerts.channels import markup
from ml_platform.alerts.channels.slack import escaped

TEXT = """# Sales
Only **812** rows
in `raw/sales`.

- see [the page](https://a.example/p)
- or https://b.example/q.

```
a ** b
<c>
```
"""


def test_blocks_are_read_in_their_order():
    kinds = [one.kind for one in markup.blocks(TEXT)]
    assert kinds == ["heading", "paragraph", "bullet", "bullet", "code"]
    assert markup.blocks(TEXT)[-1].code == "a ** b\n<c>"


def test_slack_gets_its_own_signs_and_no_markup_of_others():
    made = markup.slack(TEXT, escaped)
    assert "*Sales*" in made
    assert "Only *812* rows\nin `raw/sales`." in made
    assert "• see <https://a.example/p|the page>" in made
    assert "<https://b.example/q|https://b.example/q>." in made
    assert "```\na ** b\n&lt;c&gt;\n```" in made


def test_plain_text_shows_the_address_behind_a_link():
    assert "- see the page (https://a.example/p)" in markup.plain(markup.blocks(TEXT))


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "**not closed",
        "`not closed",
        "snake_case_name",
        "2 * 3 * 4",
        "<b>",
    ],
)
def test_what_is_no_markup_is_text(text):
    (block,) = markup.blocks(text)
    assert "".join(span.text for span in block.spans) == text
    assert {span.kind for span in block.spans} == {"text"}


def test_a_fence_that_nobody_closed_lasts_to_the_end():
    assert markup.blocks("```\na\nb")[-1].code == "a\nb"


@given(st.text(alphabet="ab`*[]()#- \n<>&:/.htps"))
def test_no_letter_is_lost_and_nothing_becomes_markup_of_slack(text):
    letters = re.sub(r"[^ab]", "", text)
    plain = markup.plain(markup.blocks(text))
    assert letters == re.sub(r"[^ab]", "", plain) or "```" in text or "](" in text
    rest = re.sub(r"<https?://[^<>|\s]+\|[^<>]*>|&(?:amp|lt|gt);", "", markup.slack(text, escaped))
    assert not re.search(r"[<>&]", rest)
