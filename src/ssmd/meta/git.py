"""Git, as the commands of ``ssmd meta`` need it: fixed arguments, no shell, no prompt."""

import os
import shutil
import subprocess
from pathlib import Path

from ssmd.errors import GitFault

UNFINISHED = {
    "MERGE_HEAD": "a merge", "CHERRY_PICK_HEAD": "a cherry-pick", "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase", "rebase-apply": "a rebase", "BISECT_LOG": "a bisect",
}  # fmt: skip


class Repository:
    """The repository that holds a folder; every path is relative to that folder."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise GitFault("git is not installed", hint="install git")
        self._program = program
        self.folder = folder
        if self.run("rev-parse", "--is-inside-work-tree", fails=True) != b"true\n":
            raise self._no_repository()
        if self.succeeds("check-ignore", "--quiet", "--", "."):
            raise GitFault(f"Git ignores {folder}", hint="take it out of .gitignore")

    def _no_repository(self) -> GitFault:
        said = self._call("rev-parse", "--is-inside-work-tree").stderr.decode(errors="replace")
        if "not a git repository" in said or not said.strip():
            return GitFault(f"{self.folder} is in no Git repository", hint="git init")
        return self._fault("rev-parse", said)

    def run(self, *arguments: str, fails: bool = False) -> bytes:
        """What Git answers. Raises GitFault, or (``fails``) answers nothing."""
        done = self._call(*arguments)
        if done.returncode and not fails:
            raise self._fault(arguments[0], (done.stderr or done.stdout).decode(errors="replace"))
        return b"" if done.returncode else done.stdout

    def succeeds(self, *arguments: str) -> bool:
        return self._call(*arguments).returncode == 0

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        settings = ["-c", "core.quotepath=off", "-c", "user.useConfigOnly=true"]
        if arguments[0] != "check-ignore":  # which takes no such option
            settings.insert(0, "--literal-pathspecs")
        try:
            return subprocess.run(
                [self._program, "--no-pager", *settings, *arguments],
                cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"},
            )  # fmt: skip
        except OSError as error:
            raise GitFault(f"cannot run git: {error.strerror}", hint="look at git") from None

    def _fault(self, command: str, said: str) -> GitFault:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal:")]
        # Without one, a hook refused: what it said is what a person needs.
        text = fatal[0] if fatal else "\n".join(lines[-20:]) or "failed"
        return GitFault(f"git {command}: {text}", hint="look at git status")

    def paths(self, *arguments: str) -> list[str]:
        """Relative to the folder."""
        return [os.fsdecode(path) for path in self.run(*arguments).split(b"\0") if path]

    def has_commits(self) -> bool:
        return self.succeeds("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

    def committed(self, path: str, commit: str = "HEAD") -> bytes | None:
        """The content of a file in a commit, None where it is not there."""
        if not self.succeeds("cat-file", "-e", f"{commit}:./{path}"):
            return None
        return self.run("cat-file", "blob", f"{commit}:./{path}")

    def changed(self) -> list[str]:
        """Files under the folder that are not as in the last commit, new ones too."""
        if not self.has_commits():
            listed = self.paths("ls-files", "-z", "--cached", "--others", "--exclude-standard")
            return sorted(path for path in set(listed) if (self.folder / path).exists())
        known = self.paths(
            "diff", "--name-only", "-z", "--relative", "--no-renames", "--no-ext-diff", "HEAD",
            "--", ".",
        )  # fmt: skip
        return sorted({*known, *self.new()})

    def new(self) -> list[str]:
        """Files under the folder that Git does not know."""
        return self.paths("ls-files", "-z", "--others", "--exclude-standard")

    def unfinished(self) -> str | None:
        """What Git is in the middle of."""
        for name, what in UNFINISHED.items():
            found = os.fsdecode(self.run("rev-parse", "--git-path", name).rstrip(b"\n"))
            if (self.folder / found).exists():
                return what
        return "a merge" if self.run("ls-files", "--unmerged", "-z", "--", ".") else None
