"""The wire contract, version 1: the only place that knows what a message looks like.

A message is one JSON object on one line, the same bytes on the bus, in the archive and out of the
raw API. The frame is in exactly one of ``raw`` (it was JSON: the same bytes, only line breaks
between tokens and white space around it removed), ``text`` (valid UTF-8 but not JSON) or ``b64``
(neither).
"""

from ssmd.message.envelope import (
    BINARY,
    EMPTY,
    TEXT,
    UNKNOWN,
    VERSION,
    Archived,
    Capture,
    Header,
    Message,
    archive_line,
    decode,
    decode_archived,
    decode_capture,
    encode,
)
from ssmd.message.frames import body, is_json, is_utf8, one_line, split_array
from ssmd.message.records import (
    AnyRecord,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Level,
    Quote,
    Record,
    Trade,
)
from ssmd.message.subjects import (
    MAX_TOKEN_BYTES,
    NO_SYMBOL,
    escape_token,
    feed_subjects,
    parse_subject,
    stream_name,
    subject,
    unescape_token,
)

__all__ = [
    "BINARY",
    "EMPTY",
    "MAX_TOKEN_BYTES",
    "NO_SYMBOL",
    "TEXT",
    "UNKNOWN",
    "VERSION",
    "AnyRecord",
    "Archived",
    "BookDelta",
    "BookSnapshot",
    "Capture",
    "Header",
    "InstrumentStatus",
    "Level",
    "Message",
    "Quote",
    "Record",
    "Trade",
    "archive_line",
    "body",
    "decode",
    "decode_archived",
    "decode_capture",
    "encode",
    "escape_token",
    "feed_subjects",
    "is_json",
    "is_utf8",
    "one_line",
    "parse_subject",
    "split_array",
    "stream_name",
    "subject",
    "unescape_token",
]
