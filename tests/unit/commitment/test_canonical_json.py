import hashlib
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.commitment.canonical import canonical_json, document_hash, parse_canonical_json
from fl_chain.errors import ConfigError, MalformedBlob

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126))
VALUES = st.recursive(
    st.integers(-(2**256) + 1, 2**256 - 1) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    content = canonical_json(value)
    assert parse_canonical_json(content) == value
    assert json.loads(content) == value
    assert document_hash(value) == document_hash(content) == hashlib.sha256(content).digest()


def test_spelling() -> None:
    value = {"b": [1, -2, 'x\\"/'], "a": {}, "B": (), "aa": 10**30}
    expected = b'{"B":[],"a":{},"aa":1000000000000000000000000000000,"b":[1,-2,"x\\\\\\"/"]}'
    assert canonical_json(value) == expected


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (1.0, r"\$ is 1.0"),
        ({"a": [0, True]}, r"\$\.a\[1\] is True"),
        ([None], r"\$\[0\] is None"),
        ({"a": b""}, r"\$\.a is b''"),
        ({1: 2}, "a key at"),
        ("é", "printable ASCII"),
        ("a\nb", "printable ASCII"),
        ("\x7f", "printable ASCII"),
        ({"é": 1}, "printable ASCII"),
        (2**256, "256 bits"),
        (-(2**256), "256 bits"),
        (float("nan"), r"\$ is nan"),
    ],
)
def test_what_has_no_one_spelling_is_refused(value: Any, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        canonical_json(value)


def test_nesting_is_bounded_on_both_sides() -> None:
    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return value

    assert parse_canonical_json(canonical_json(nested(64))) == nested(64)
    with pytest.raises(ConfigError, match="nested"):
        canonical_json(nested(65))
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)  # as py-evm does on import
    try:
        with pytest.raises(MalformedBlob, match="nested"):
            parse_canonical_json(b"[" * 100_000 + b"]" * 100_000)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b' {"a":1}',
        b'{"a":1}\n',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b"[1.0]",
        b"[1e3]",
        b"[-0]",
        b"[01]",
        b"[+1]",
        b"[true]",
        b"null",
        b"NaN",
        b'["\\u0041"]',
        b'["\\/"]',
        b'["\\n"]',
        '["é"]'.encode(),
        b"\xef\xbb\xbf1",
        b"[" + b"9" * 100 + b"]",
        b"[" + b"9" * 10_000 + b"]",
    ],
)
def test_any_other_spelling_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedBlob, match="canonical JSON"):
        parse_canonical_json(content)
