"""``ssmd meta validate``: all that is wrong, at once, each with its file and line."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from ssmd import show
from ssmd.config import Environment, names, read
from ssmd.config.files import FOLDERS, parse
from ssmd.errors import ConfigError, NotFound, SsmdError
from ssmd.meta.history import key_committed
from ssmd.meta.key_status import status
from ssmd.meta.options import Desk, command, show_printable
from ssmd.meta.validation import Finding, Report, all_reports, file_report, folder_reports


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--check-keys", is_flag=True, help="Also prove that the keys' secrets are there.")
@command
def validate(desk: Desk, path: Path | None, check_keys: bool) -> None:
    """Find all that is wrong in config/, or in one file or folder of it.

    Syntax, every field, names, versions that overlap, the hash of every version of every schema,
    and all that files say of each other. One line a file, and below it each fault with its line;
    status 1 where there is an error. -q prints only what is wrong, -v also hints.
    """
    reports = list(examine(desk.root, path))
    if check_keys:
        reports = [_with_keys(desk.root, report) for report in reports]
    wrong = sum(len(report.errors) for report in reports)
    if desk.json:
        show.as_json({"ok": not wrong, "errors": wrong, "files": [_facts(one) for one in reports]})
    else:
        for report in reports:
            _tell(desk, report)
        desk.say(f"Errors: {wrong}", "red" if wrong else "green")
    if wrong:
        click.get_current_context().exit(1)


def examine(root: Path, path: Path | None = None) -> Iterator[Report]:
    """Of the whole folder, or of a file or folder in it. Raises NotFound, ConfigError."""
    if path is None:
        return all_reports(root)
    if not path.exists():
        raise NotFound(f"there is no {path}", hint="give a file or a folder of config/")
    whole = path.resolve()
    if whole.is_dir() and (whole / "environments").is_dir():
        return all_reports(path)
    kind = path if whole.is_dir() else path.parent
    if whole.is_dir() and whole.name in FOLDERS:
        return folder_reports(Path(os.path.normpath(kind / "..")), whole.name)
    if not whole.is_dir() and whole.parent.name in FOLDERS and path.suffix == ".yaml":
        return iter([file_report(path.parent.parent if path.parent.name else whole.parent.parent,
                                 path if path.parent.name else whole)])  # fmt: skip
    raise ConfigError(
        f"{path} is no file of a configuration folder",
        hint=f"give a .yaml file in {', '.join(FOLDERS)}, or one of these folders",
    )


def _with_keys(root: Path, report: Report) -> Report:
    """With what is wrong with the keys of an environment that is well otherwise."""
    file = Path(report.file)
    if file.parent.name != "environments" or report.errors or file.suffix != ".yaml":
        return report
    environment = read(file.parent.parent, "environments", file.stem, Environment)
    lines = parse(file).lines
    found = list(report.findings)
    for name, key in environment.keys.items():
        state = status(name, key, key_committed(root, file.stem, name))
        line = lines.get(("keys", name))
        for part in state.parts:
            if part.state != "ok":
                bad = part.state in ("missing", "faulty") and key.required
                text = f"key {name}, {part.field}: {part.text}"
                found.append(Finding(line, "error" if bad else "warning", text))
        found += [Finding(line, "warning", f"key {name}: {text}") for text in state.warnings]
    return Report(report.file, found)


def _facts(report: Report) -> dict[str, Any]:
    found = [{**msgspec.to_builtins(one)} for one in report.findings]
    return {"file": report.file, "ok": not report.errors, "findings": found}


def _tell(desk: Desk, report: Report) -> None:
    wrong, all_ = len(report.errors), len(report.findings)
    if not all_:
        desk.say(f"{report.file:<40} ✓ valid", "green")
        return
    said = f"{wrong} error{'s' * (wrong != 1)}" if wrong else "valid"
    said += f", {all_ - wrong} warning{'s' * (all_ - wrong != 1)}" if all_ > wrong else ""
    desk.say(f"{report.file:<40} {'✗' if wrong else '✓'} {said}", "red" if wrong else "yellow")
    for one in report.findings:
        if not desk.quiet or one.severity == "error":
            _tell_finding(desk, report, one)


def _tell_finding(desk: Desk, report: Report, one: Finding) -> None:
    place = f"{report.file}:{one.line}" if one.line is not None else report.file
    hint = f" ({one.hint})" if one.hint and (desk.verbose or one.severity == "error") else ""
    text = show_printable(f"{place}: {one.severity}: {one.message}{hint}")
    show.line(text, "red" if one.severity == "error" else "yellow")


def refuse_wrong(root: Path) -> None:
    """Raises ConfigError with every error of the folder."""
    told = [
        f"{report.file}{f':{one.line}' if one.line is not None else ''}: {one.message}"
        for report in all_reports(root)
        for one in report.errors
    ]
    if told:
        raise ConfigError("\n".join(told), hint="correct these, or give --no-validate")


def environment_names(root: Path) -> Iterator[tuple[str, Environment]]:
    """The environments that can be read."""
    for name in names(root, "environments"):
        try:
            yield name, read(root, "environments", name, Environment)
        except SsmdError:
            continue
