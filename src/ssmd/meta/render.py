"""Plain Python as YAML text: one line, lines at a column, or a whole file."""

import io
import re
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

_PLAIN = re.compile(r"[\w/.+-](?:[\w /.+@=-]*[\w/.+@=-])?(?::[\w/.+@=-]+)*")
_QUOTED = {'"': DoubleQuotedScalarString, "'": SingleQuotedScalarString}


def inline(value: Any, quote: str | None = None) -> str:
    """A value on one line, right in flow and in block context. ``quote``: how text is quoted."""
    if isinstance(value, str):
        # Only double quotes can hold a line break or a tab on one line.
        style = (quote or ("" if _PLAIN.fullmatch(value) else "'")) if value.isprintable() else '"'
        value = _QUOTED.get(style or "", str)(value)
    if isinstance(value, dict):
        return _dump(value, flow=True).strip()
    return _dump([value], flow=True).strip()[1:-1].strip()


def block(value: Any, column: int, line_break: str = "\n") -> str:
    """A mapping or a list as whole lines that begin at a column."""
    lines = _dump(value, flow=False).splitlines()
    # A list at the top of a document is written with its offset.
    cut = 2 if isinstance(value, list) else 0
    return "".join(f"{' ' * column}{line[cut:]}{line_break}" for line in lines)


def document(content: Any, comment: str | None = None) -> str:
    """A whole file."""
    head = f"# {comment}\n" if comment else ""
    return head + _dump(content, flow=False)


def plain(value: Any) -> Any:
    """The value as reading its YAML gives it back: dates are text."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    return value


def _dump(value: Any, *, flow: bool) -> str:
    yaml = YAML()
    yaml.default_flow_style = flow
    yaml.width = 1_000_000
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue()
