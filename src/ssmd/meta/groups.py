"""The groups of ``ssmd meta``, and the tables of what they hold."""

import click

from ssmd.lazy import Entry, LazyGroup

FEED: dict[str, Entry] = {
    "list": Entry("ssmd.meta.feed_cmd:list_", "All feeds."),
    "show": Entry("ssmd.meta.feed_cmd:show_", "One feed, and one version of it."),
    "create": Entry("ssmd.meta.feed_edit:create", "Add a feed."),
    "update": Entry("ssmd.meta.feed_edit:update", "Change or clear fields of a feed."),
    "add-version": Entry("ssmd.meta.feed_edit:add_version", "What holds from a date on."),
    "add-location": Entry("ssmd.meta.feed_edit:add_location", "Where it is captured."),
}
SCHEMA: dict[str, Entry] = {
    "list": Entry("ssmd.meta.schema_cmd:list_", "All versions of all schemas."),
    "show": Entry("ssmd.meta.schema_cmd:show_", "One schema, or one version of it."),
    "register": Entry("ssmd.meta.schema_edit:register", "Add a schema from its definition."),
    "hash": Entry("ssmd.meta.schema_edit:hash_", "Note the hashes of definitions anew."),
    "set-status": Entry("ssmd.meta.schema_edit:set_status", "Draft, active or deprecated."),
    "add-version": Entry("ssmd.meta.schema_edit:add_version", "A new definition, from a date on."),
    "export": Entry("ssmd.meta.export:export", "The wire contract and records as JSON Schema."),
    "compat": Entry("ssmd.meta.compared:compat", "Whether one definition can follow another."),
}
ENV: dict[str, Entry] = {
    "list": Entry("ssmd.meta.env_cmd:list_", "All environments."),
    "show": Entry("ssmd.meta.env_cmd:show_", "One environment."),
    "create": Entry("ssmd.meta.env_edit:create", "Add an environment."),
    "update": Entry("ssmd.meta.env_edit:update", "Change or clear fields of an environment."),
    "explain": Entry("ssmd.meta.explain:explain", "What it resolves to, and from where."),
    "add-key": Entry("ssmd.meta.env_edit:add_key", "Say where a secret is found."),
}
KEY: dict[str, Entry] = {
    "list": Entry("ssmd.meta.key_cmd:list_", "All keys of an environment."),
    "show": Entry("ssmd.meta.key_cmd:show_", "One key, and what is known of its parts."),
    "verify": Entry("ssmd.meta.key_cmd:verify", "Prove that all keys are there."),
    "check": Entry("ssmd.meta.key_cmd:check", "Prove that one key is there."),
}


@click.group(cls=LazyGroup, table=FEED)
def feed() -> None:
    """Feeds: named subscriptions on an exchange, in config/feeds.

    A feed has versions: how the exchange is reached, from a date on.
    """


@click.group(cls=LazyGroup, table=SCHEMA)
def schema() -> None:
    """Schemas: what messages look like, in config/schemas.

    A version is one definition file and its SHA-256; an environment names the version it produces.
    """


@click.group(cls=LazyGroup, table=ENV)
def env() -> None:
    """Environments: what runs where, in config/environments.

    An environment binds feeds to a schema, transport, storage, schedule and keys.
    """


@click.group(cls=LazyGroup, table=KEY)
def key() -> None:
    """Keys of an environment: references to secrets, never a secret.

    Add one with `ssmd meta env add-key`. No command prints a value.
    """
