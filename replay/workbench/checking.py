"""`weir rules check`: what is wrong in packs, each finding with its place and code, and what their windows cost."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import ConfigError
from config.settings import BANK

if TYPE_CHECKING:
    from config.schema import Schema
    from config.settings import Settings
    from rules.definitions import Pack


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = verbs.add_parser("check", help="find mistakes in packs, each with its place and code")
    check.add_argument("packs", nargs="+", type=Path, metavar="PACK")
    check.add_argument(
        "--config", type=Path, default=BANK, metavar="DIR", help="whose schema and models apply"
    )
    check.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    from config import rates, schema, settings
    from rules import pack
    from rules.check import findings

    folder = arguments.config
    configured = settings.read_settings(folder / settings.SETTINGS_FILE)
    table = settings.rates_file(folder, configured)
    columns = schema.read(folder / settings.SCHEMA_FILE)
    loaded = pack.load(arguments.packs, columns, rates.read(table) if table is not None else None)
    print(findings.as_text(loaded.findings), end="")
    is_dear = False
    if loaded.pack is not None:
        is_dear = _say_cost(loaded.pack, columns, configured, folder)
    print(
        f"{loaded.n_rules} rules, {loaded.n_features} features, {loaded.n_lists} lists: "
        f"{loaded.n_errors} errors, {loaded.n_warnings} warnings."
    )
    return 1 if loaded.n_errors or is_dear else 0


def _say_cost(pack: "Pack", columns: "Schema", configured: "Settings", folder: Path) -> bool:
    """Print what the window features of a pack cost; whether that is more memory than the budget."""
    from config.settings import SETTINGS_FILE
    from engine.windows import budget, explain

    found = budget.weigh(pack, columns, configured)
    print(explain.cost_line(found))
    try:
        budget.check(found, configured.memory_budget_bytes, str(folder / SETTINGS_FILE))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return True
    return False
