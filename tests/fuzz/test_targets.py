"""The fuzz targets without guidance, with bytes that resemble what comes."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import frame, segment

WORDS = st.sampled_from(
    (
        b'{"type": "trade" "msg": "data": "channel": "book" "feed": "seq": "event_type": '
        b'"timestamp": "price_changes": [ ] { } , : null 1e400 -0 9223372036854775808 "\\ud800" '
        b"\xff \x00 \n"
    ).split(b" ")
)
FRAMES = st.lists(WORDS | st.binary(max_size=8), max_size=30).map(b"".join)


@given(FRAMES)
def test_any_frame_is_kept_and_breaks_nothing(payload: bytes) -> None:
    frame(payload)


@given(st.lists(FRAMES.map(gzip.compress) | st.binary(max_size=40), max_size=4).map(b"".join))
def test_any_file_is_read_as_far_as_it_is_whole(content: bytes) -> None:
    segment(content)
