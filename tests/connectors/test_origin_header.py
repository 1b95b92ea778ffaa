from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.origin_header import origin_header, parse_origin_header
from groundswell.records import Origin

_ordinals = st.integers(min_value=0, max_value=2**63)


@given(st.text(min_size=1), _ordinals, _ordinals, _ordinals)
def test_every_origin_survives_the_header(stream: str, partition: int, offset: int, index: int) -> None:
    origin = Origin(stream, partition, offset, index)
    assert parse_origin_header(origin_header(origin)) == origin


@pytest.mark.parametrize("value", [b"", b"posts", b"posts/1/2", b"posts/1/2/x", b"/1/2/3", b"posts/1/-2/3"])
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an origin|invalid literal"):
        parse_origin_header(value)
