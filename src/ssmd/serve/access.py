"""What the key of a request allows."""

from collections.abc import Iterable
from typing import Final

from starlette.requests import Request

from ssmd.apikey import ApiKey
from ssmd.serve.answers import Forbidden

KEY: Final = "ssmd.key"
"""Of an ASGI scope: the ApiKey of the request; absent where everything is allowed."""


class Access:
    def __init__(self, key: ApiKey | None) -> None:
        self._key = key

    def feed(self, name: str) -> str:
        """The name, where the feed may be read. Raises Forbidden."""
        if self._key is not None and self._key.feeds and name not in self._key.feeds:
            raise Forbidden(
                f"the key is not for feed {name!r}", hint=f"it is for {', '.join(self._key.feeds)}"
            )
        return name

    def feeds(self, names: Iterable[str]) -> list[str]:
        """Those that may be read."""
        key = self._key
        return [name for name in names if key is None or not key.feeds or name in key.feeds]

    def has(self, day: str) -> bool:
        """Whether data of that day may be read."""
        first, last = self._bounds()
        return first <= day <= last

    def day(self, day: str) -> str:
        """The day, where its data may be read. Raises Forbidden."""
        if not self.has(day):
            first, last = self._bounds()
            raise Forbidden(f"the key is not for {day}", hint=f"it is for {first} to {last}")
        return day

    def _bounds(self) -> tuple[str, str]:
        key = self._key
        first = key.from_day.isoformat() if key and key.from_day else "0000-00-00"
        return first, key.to_day.isoformat() if key and key.to_day else "9999-99-99"


def access_of(request: Request) -> Access:
    return Access(request.scope.get(KEY))
