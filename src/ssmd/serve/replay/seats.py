"""How many replays may run at a time, together and of one client."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from starlette.requests import HTTPConnection

from ssmd.apikey import ApiKey
from ssmd.serve.access import KEY
from ssmd.serve.answers import Overloaded

OF_ONE: Final = 4
TOGETHER: Final = 32


class Seats:
    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, connection: HTTPConnection) -> Iterator[None]:
        """Raises Overloaded where there is none left."""
        who = client_of(connection)
        if self._taken[who] >= OF_ONE:
            raise Overloaded(
                f"{OF_ONE} replays run for this client already", hint="close one of them"
            )
        if self._taken.total() >= TOGETHER:
            raise Overloaded(f"{TOGETHER} replays run already", hint="try again later")
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]


def client_of(connection: HTTPConnection) -> str:
    """The key's id, else the address."""
    key = connection.scope.get(KEY)
    if isinstance(key, ApiKey):
        return key.id
    return connection.client.host if connection.client else ""
