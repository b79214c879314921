"""JSON on its way to clients, written in two ways."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects.base import new_id, quick_json, to_json

# Half a character is no text, and still passes.
texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


class JsonTests(SynchronousTestCase):
    @settings(max_examples=500, deadline=None)
    @given(values)
    @example("\x7f")
    @example({"\ud83d": ["\u2028", "\u00e9"]})
    def test_quick_way_writes_the_same(self, value: Any) -> None:
        self.assertEqual(quick_json(value), to_json(value))

    def test_no_two_ids_are_the_same(self) -> None:
        ids = {new_id("msg_") for _ in range(1000)}
        self.assertEqual(len(ids), 1000)
        for each in ids:
            self.assertRegex(each, r"\Amsg_[0-9a-f]{24}\Z")
