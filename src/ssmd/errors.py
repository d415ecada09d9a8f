"""The one tree of errors.

SsmdError
├── ConfigError            a file, flag or variable says something wrong
├── KeyFault               a credential is missing or malformed; never holds its value
├── NotFound               a name that does not exist
├── Conflict               someone else changed it first; look, and try again
├── PortInUse              an address that something else listens on
├── ExchangeError          an exchange could not be reached or said no; worth a retry
│   └── ExchangeRefused    the exchange refused us (401, unknown endpoint): a retry cannot help
├── BusError               NATS could not be reached, or answered an error; worth a retry
│   └── BusRefused         the server is too old, or our settings cannot be met
├── StorageError           a file could not be written or read; worth a retry
│   └── CorruptArchive     stored bytes are not what the manifest says
└── ContractError          bytes that are not a message of the wire contract

Each class has a stable ``code``; each instance a message that names the thing and, where known,
a ``hint`` that says what to try. The three are what a person reads on stderr (``Error:`` and
``Try:``) and what the HTTP API and the agent's tools answer.
"""

from typing import ClassVar


class SsmdError(Exception):
    """Anything that goes wrong and is not our bug."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_dict(self) -> dict[str, str | None]:
        """The shape every door of ssmd answers: ``{"code", "message", "hint"}``."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class ConfigError(SsmdError):
    code = "config"


class KeyFault(SsmdError):
    code = "key"


class NotFound(SsmdError):
    code = "not_found"


class Conflict(SsmdError):
    code = "conflict"


class PortInUse(SsmdError):
    code = "port_in_use"


class ExchangeError(SsmdError):
    """``retry_after_s`` is how long the exchange asked us to stay away, 0 where it did not."""

    code = "exchange"

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ExchangeRefused(ExchangeError):
    code = "exchange_refused"


class BusError(SsmdError):
    code = "bus"


class BusRefused(BusError):
    code = "bus_refused"


class StorageError(SsmdError):
    code = "storage"


class CorruptArchive(StorageError):
    code = "corrupt_archive"


class ContractError(SsmdError):
    code = "contract"
