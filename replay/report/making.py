"""Make a report from an output folder and write it: what `weir report` and `--report` call."""

import os
from pathlib import Path
from typing import Final

from config.errors import InputError
from replay.report import tempo
from replay.report.customers import customers_at
from replay.report.daily import Daily, build, check_day, wanted_days
from replay.report.folder import open_folder
from replay.report.gather import REGION, gather
from replay.report.whole import whole_page

FILE: Final = "report.html"  # inside an output folder
ENDINGS: Final = (".html", ".htm")


def check_file(path: Path) -> Path:
    """Refuse a file that is no page: `--report traffic.ndjson` must not overwrite the traffic."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"a report is an HTML page, and {path} is none by its name",
            why="so that no other file is overwritten by mistake",
            fix=f"name it {path.name}.html, or leave the name out",
        )
    if not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent}", str(path), fix="make it, or name another place"
        )
    return path


def write_whole(
    root: Path,
    to: Path | None = None,
    *,
    key: bytes | None = None,
    reveal: bool = False,
    region: str = REGION,
) -> Path:
    """Write the page about a whole run; return where. Without `to` it stands in the folder."""
    folder = open_folder(root, key=key, reveal=reveal)
    found = gather(folder, region=region, models=True)
    path = root / FILE if to is None else check_file(to)
    _write(path, whole_page(folder, found, tempo.read(folder), folder.summary()))
    return path


def make_daily(
    root: Path,
    day: str,
    *,
    key: bytes | None = None,
    reveal: bool = False,
    region: str = REGION,
    ratings: bool = True,
) -> Daily:
    """The daily risk report; `InputError` for a day that the folder holds nothing of."""
    folder = open_folder(root, key=key, reveal=reveal)
    found = gather(folder, wanted=wanted_days(day), region=region, most_of=day)
    check_day(day, found.known_days, str(root))
    customers = customers_at(folder, found.ends[day], key=key) if ratings else None
    return build(folder, found, day, customers)


def write_page(path: Path, content: str) -> Path:
    """Write a page whole or not at all."""
    _write(check_file(path), content)
    return path


def _write(path: Path, content: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105 - by rename: whoever reads it sees one or the other
