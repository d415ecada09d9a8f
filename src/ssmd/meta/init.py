"""``ssmd meta init``: a configuration folder, and what keeps it right in Git and in CI."""

import os
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from ssmd import show
from ssmd.config.files import FOLDERS, parse, shipped
from ssmd.errors import ConfigError, GitFault, SsmdError, StorageError
from ssmd.meta import write
from ssmd.meta.draft import Draft
from ssmd.meta.git import Repository

IGNORED = ("/data/", ".env", "*.pem", f"*{write.SUFFIX}")
"""Market data, and where secrets rest by accident."""
HOOK_ID = "ssmd-config"
WORKFLOW = """\
# Refuses a configuration that no role would run. Made by `ssmd meta init`.
name: {id}
on:
  push: {{paths: {paths}}}
  pull_request: {{paths: {paths}}}
permissions:
  contents: read
jobs:
  validate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-python@v6
        with:
          python-version: "3.11"
      # The repository's variable SSMD_PACKAGE may name another source: a wheel, or git+https://...
      - run: pip install "$SSMD_PACKAGE"
        env:
          SSMD_PACKAGE: ${{{{ vars.SSMD_PACKAGE || 'ssmd=={version}' }}}}
      - run: {validate}
"""
HOOK = """\
#!/bin/sh
# Refuses to commit a configuration that no role would run. Made by `ssmd meta init`.
# Turn it on once in each clone:  git config core.hooksPath .githooks
set -e
git diff --cached --quiet -- {config} && exit 0
# What is committed is judged, not what lies in the folder.
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
git ls-files -z -- {config} | git checkout-index -z --stdin --prefix="$staged/"
cd "$staged"
ssmd meta validate --quiet --config {config}
"""


@click.command()
@click.option(
    "--config", "root", type=click.Path(path_type=Path),
    help="Configuration folder.  [default: SSMD_CONFIG, or config]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Also what is there already.")
def init(root: Path | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Make config/ with feeds/, schemas/ and environments/, and what keeps it right.

    An example (simulated and real exchanges) where there is no environment; lines for .gitignore; a
    GitHub Actions workflow; a pre-commit hook. Never overwrites; a second run makes what lacks.
    """
    root = root or Path(os.environ.get("SSMD_CONFIG") or "config")
    try:
        made, kept = _init(root)
    except OSError as error:
        raise StorageError(
            f"cannot make {error.filename or root}: {error.strerror}",
            hint="choose a folder that can be written with --config",
        ) from None
    if as_json:
        show.as_json({"made": made, "kept": kept})
    elif not quiet:
        _tell(made, kept if verbose else [])


def _tell(made: list[str], kept: list[str]) -> None:
    for name in made:
        show.line(f"made {name}", "green")
    for name in kept:
        show.line(f"kept {name}")
    if not made:
        show.line("nothing to make: all is there")
    if any(name.endswith(".githooks/pre-commit") for name in made):
        show.line("Turn the hook on: git config core.hooksPath .githooks")


def _init(root: Path) -> tuple[list[str], list[str]]:
    """What was made, and what was there."""
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    top = _top(root)
    files = [*_examples(root), *_guards(top, root)]
    made, kept = [], []
    for file, content, mode in files:
        if file.exists():
            kept.append(str(file))
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        write.create(file, content)
        file.chmod(mode)
        made.append(str(file))
    for place, changed in (_ignore(root), _pre_commit(top, root)):
        if place is not None:
            (made if changed else kept).append(str(place))
    return made, kept


def _top(root: Path) -> Path:
    """Where the repository begins, else the folder that holds the configuration; as it is named
    from here."""
    try:
        top = Repository(root).run("rev-parse", "--show-toplevel").decode().rstrip("\n")
    except GitFault:
        return root.parent
    return Path(os.path.relpath(top))


def _examples(root: Path) -> Iterator[tuple[Path, bytes, int]]:
    if any((root / "environments").glob("*.yaml")):
        return
    source = shipped()
    if source.resolve() == root.resolve():
        return
    for folder in FOLDERS:
        for file in sorted((source / folder).iterdir()):
            yield root / folder / file.name, file.read_bytes(), 0o644


def _guards(top: Path, root: Path) -> Iterator[tuple[Path, bytes, int]]:
    config = os.path.relpath(root.resolve(), top.resolve())
    workflow = WORKFLOW.format(
        id=HOOK_ID,
        paths=f"[{_quoted(f'{config}/**')}, .github/workflows/{HOOK_ID}.yml]",
        version=version("ssmd"),
        validate=_quoted(f"ssmd meta validate --config {shlex.quote(config)}"),
    )
    yield top / ".github" / "workflows" / f"{HOOK_ID}.yml", workflow.encode(), 0o644
    if not (top / ".pre-commit-config.yaml").exists():
        hook = HOOK.format(config=shlex.quote(config))
        yield top / ".githooks" / "pre-commit", hook.encode(), 0o755


def _quoted(text: str) -> str:
    """For YAML."""
    return "'" + text.replace("'", "''") + "'"


def _ignore(root: Path) -> tuple[Path, bool]:
    """The lines that lack, at the end of .gitignore."""
    file = root.parent / ".gitignore"
    before = file.read_bytes() if file.exists() else b""
    known = {line.strip() for line in before.decode(errors="replace").splitlines()}
    lacking = [line for line in IGNORED if line not in known]
    if not lacking:
        return file, False
    joint = b"" if not before or before.endswith(b"\n") else b"\n"
    after = before + joint + "".join(f"{line}\n" for line in lacking).encode()
    if before:
        write.replace(file, after, before)
    else:
        file.unlink(missing_ok=True)
        write.create(file, after)
    return file, True


def _pre_commit(top: Path, root: Path) -> tuple[Path | None, bool]:
    """One more hook for who uses pre-commit already."""
    file = top / ".pre-commit-config.yaml"
    if not file.exists():
        return None, False
    raw = file.read_bytes()
    if HOOK_ID in raw.decode(errors="replace"):
        return file, False
    config = os.path.relpath(root.resolve(), top.resolve())
    hook = {
        "id": HOOK_ID,
        "name": "ssmd configuration",
        "entry": f"ssmd meta validate --quiet --config {shlex.quote(config)}",
        "language": "system",
        "pass_filenames": False,
        "files": f"^{config}/",
    }
    try:
        draft = Draft(file, raw.decode("utf-8"))
        draft.add(("repos",), {"repo": "local", "hooks": [hook]})
        write.replace(file, draft.text().encode(), raw)
    except (SsmdError, ValueError):
        raise ConfigError(
            f"{file} cannot be added to", hint=f"correct it: {_reason(file)}"
        ) from None
    return file, True


def _reason(file: Path) -> str:
    try:
        parse(file)
    except ConfigError as error:
        return error.message
    return "`repos` must be a list"
