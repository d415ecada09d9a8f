"""What the key of a request allows."""

from collections.abc import Iterable
from typing import Final

from starlette.requests import HTTPConnection

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

    def bounds(self) -> tuple[str | None, str | None]:
        """First and last day of the data that may be read; None where there is no bound."""
        key = self._key
        return (
            key.from_day.isoformat() if key and key.from_day else None,
            key.to_day.isoformat() if key and key.to_day else None,
        )

    def has(self, day: str) -> bool:
        """Whether data of that day may be read."""
        first, last = self.bounds()
        return (first is None or first <= day) and (last is None or day <= last)

    def day(self, day: str) -> str:
        """The day, where its data may be read. Raises Forbidden."""
        if not self.has(day):
            first, last = self.bounds()
            span = f"from {first or 'the beginning'} to {last or 'the end'}"
            raise Forbidden(f"the key is not for {day}", hint=f"it is for days {span}")
        return day


def access_of(request: HTTPConnection) -> Access:
    return Access(request.scope.get(KEY))
