"""What the endpoints share."""

from collections.abc import Mapping

from starlette.requests import Request

from ssmd.config import ResolvedFeed
from ssmd.dataset import Archive
from ssmd.serve.catalog import Catalog
from ssmd.serve.keyring import Keyring
from ssmd.serve.roles import Roles
from ssmd.serve.sampling import Readers
from ssmd.serve.tail import Tail
from ssmd.serve.watch import Meters


class Context:
    """One application's archive, feeds and meters. ``tail`` is None where only the archive is
    served, ``roles`` where none run on this machine."""

    def __init__(
        self,
        archive: Archive,
        feeds: Mapping[str, ResolvedFeed],
        tail: Tail | None,
        roles: Roles | None,
        keyring: Keyring,
        keyed: bool = False,
    ) -> None:
        self.archive = archive
        self.catalog = Catalog(archive)
        self.feeds = feeds
        self.tail = tail
        self.roles = roles
        self.keyring = keyring
        self.archive_seen = False
        """Whether there was something in the archive once."""
        self.keyed = keyed
        """Whether a key is asked for."""
        self.readers = Readers()
        self.meters = Meters()

    def known_feeds(self) -> list[str]:
        """Feeds that are configured or archived. Blocks."""
        return sorted({*self.feeds, *self.archive.feeds()})


def context_of(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context
