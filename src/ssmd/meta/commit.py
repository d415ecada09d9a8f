"""``ssmd meta commit``: the configuration folder, proved, and nothing else."""

import click

from ssmd import show
from ssmd.errors import GitFault
from ssmd.meta import write
from ssmd.meta.git import Repository
from ssmd.meta.options import Desk, command
from ssmd.meta.validate import refuse_wrong


@click.command()
@click.option("-m", "--message", required=True, help="What the commit is for.")
@click.option("--no-validate", is_flag=True, help="Commit also what is wrong.")
@command
def commit(desk: Desk, message: str, no_validate: bool) -> None:
    """Validate config/ and commit it, and nothing else. Never pushes.

    What else is staged stays staged. Where anything is in the way (a merge, a detached head, a
    hook that refuses) nothing is changed.
    """
    if not message.strip():
        raise click.UsageError("The message is empty.")
    with write.locked(desk.root):
        repository = Repository(desk.root)
        _refuse_unready(repository)
        if not no_validate:
            refuse_wrong(desk.root)
        paths = repository.changed()
        made = _commit(repository, message) if paths else None
    if desk.json:
        show.as_json({"commit": made, "files": [str(desk.root / path) for path in paths]})
    elif made is None:
        desk.say("nothing changed: nothing to commit")
    else:
        files = f"{len(paths)} file{'s' * (len(paths) != 1)}"
        desk.say(f"{made[:10]} {message.splitlines()[0]} ({files})", "green")


def _refuse_unready(repository: Repository) -> None:
    """Raises GitFault where a commit would fail, or land where nobody looks for it."""
    busy = repository.unfinished()
    if busy:
        raise GitFault(f"Git is in the middle of {busy}", hint="finish it first: git status")
    if not repository.succeeds("symbolic-ref", "--quiet", "HEAD"):
        raise GitFault(
            "the head is detached: a commit would belong to no branch",
            hint="git switch a branch, or make one: git switch -c NAME",
        )
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if not repository.succeeds("var", who):
            raise GitFault(
                "Git does not know who commits",
                hint="git config user.name NAME, and git config user.email ADDRESS",
            )


def _commit(repository: Repository, message: str) -> str:
    """New files are announced to the index, so that the commit takes them; a commit that fails
    takes that back."""
    new = repository.new()
    if new:
        repository.run("add", "--intent-to-add", "--", *new)
    try:
        repository.run("commit", "--quiet", f"--message={message}", "--only", "--", ".")
    except BaseException:
        if new:
            repository.succeeds("rm", "--cached", "--quiet", "--force", "--", *new)
        raise
    return repository.run("rev-parse", "HEAD").decode().strip()
