"""`weir rules schema` and `weir rules reference`: the language of rule files, for editors and for people.

Both are made from the table of the language (rules/language.py), so that they say what `weir rules check` does.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any, Final

from config.errors import ConfigError
from config.settings import BANK

_INDENT: Final = 2


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    schema = verbs.add_parser(
        "schema",
        help="the JSON Schema of rule files, for editors",
        description="Print the JSON Schema (draft-07) of rule files with the event types and fields of a bank: an "
        "editor with a YAML language server then completes keys, explains them and underlines wrong ones.",
    )
    schema.add_argument("--out", type=Path, metavar="FILE", help="write it there")
    schema.add_argument(
        "--install",
        type=Path,
        metavar="PACK",
        help="write it to PACK/.weir/schema.json, and name it in PACK/.vscode/settings.json",
    )
    schema.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose event schema applies"
    )
    schema.set_defaults(command=_schema)
    reference = verbs.add_parser(
        "reference",
        help="the reference of the rule language",
        description="Print every key, operator, aggregate and function of the rule language (rules/REFERENCE.md).",
    )
    reference.add_argument(
        "--write", action="store_true", help="bring rules/REFERENCE.md up to date"
    )
    reference.set_defaults(command=_reference)


def _schema(arguments: argparse.Namespace) -> int:
    from config import schema, settings
    from rules.json_schema import json_schema

    columns = schema.read(arguments.config / settings.SCHEMA_FILE)
    text = json.dumps(json_schema(columns), indent=_INDENT, ensure_ascii=False) + "\n"
    if arguments.install is not None:
        for path in install(arguments.install, text):
            print(path)
    if arguments.out is not None:
        replace(arguments.out, text)
        print(arguments.out)
    if arguments.install is None and arguments.out is None:
        print(text, end="")
    return 0


def install(pack: Path, schema: str) -> list[Path]:
    """Write the schema into a pack and tell editors about it; return what was written.

    Other settings of the editor stay as they are. Raises `ConfigError` where there is no pack, or where the settings
    cannot be read (comments in them, for instance); then nothing is written.
    """
    from config.packs import HEAD_FILE
    from rules.json_schema import PLACE, with_association

    if not (pack / HEAD_FILE).is_file():
        raise ConfigError(
            "there is no pack here", str(pack), f"a pack is a folder that holds {HEAD_FILE}"
        )
    path = pack / ".vscode" / "settings.json"
    before = _settings(path)
    after = with_association(before)
    written = [pack / PLACE]
    replace(pack / PLACE, schema)
    if after != before:
        replace(path, json.dumps(after, indent=_INDENT, ensure_ascii=False) + "\n")
        written.append(path)
    return written


def _settings(path: Path) -> dict[str, Any]:
    from rules.json_schema import PLACE

    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigError(
            "the settings of the editor cannot be read",
            str(path),
            f"{error}; comments are not JSON, and rewriting them would lose them",
            f'add by hand: "yaml.schemas": {{"./{PLACE}": ["*.yaml", "*.yml"]}}, and write the schema with --out',
        ) from None
    if not isinstance(found, dict):
        raise ConfigError("the settings of the editor are no mapping", str(path))
    return found


def replace(path: Path, text: str) -> None:
    """Write a file as a whole: whoever reads meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _reference(arguments: argparse.Namespace) -> int:
    from rules.reference import PLACE, reference

    text = reference()
    if not arguments.write:
        print(text, end="")
        return 0
    replace(PLACE, text)
    print(PLACE)
    return 0
