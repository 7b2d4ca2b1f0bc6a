"""What people are told is what the code does: every metric, setting, reason and command has its sentence."""

import argparse
import ast
import re

import msgspec
import pytest

from config.decisions import DecisionSettings
from config.reasons import SENTENCES
from config.settings import BANK, ModelEntry, ModelsFile, Settings, read_models, read_settings
from engine.metrics import CATALOGUE, COUNTER, GROUPS, page
from tests.style.sources import ROOT, dotted, modules

TABLE_ROW = re.compile(r"^\| `([^`]+)` \| (.*) \|$", re.MULTILINE)
COUNTING = tuple(f"engine/{name}.py" for name in ("core", "decision", "due", "judge", "survey"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """The part of a page under `## title`."""
    return re.split(r"^## ", text.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


# ---------------------------------------------------------------- metrics


def test_the_page_of_metrics_is_the_catalogue():
    """Print it anew with `python -m engine.metrics > METRICS.md`."""
    assert read("METRICS.md") == page()


def test_metrics_are_named_as_prometheus_advises():
    for d in CATALOGUE:
        assert re.fullmatch(r"weir_[a-z]+(_[a-z]+)*", d.name), d.name
        assert d.name.endswith("_total") == (d.kind == COUNTER), d.name
        assert d.meaning.endswith("."), d.name
        assert d.unit, d.name
        assert bool(d.label) == bool(d.values), (
            f"{d.name}: say where the values of its label come from"
        )
    assert len({d.name for d in CATALOGUE}) == len(CATALOGUE)


def test_no_label_takes_values_that_grow_with_customers():
    grow = {
        "account",
        "customer",
        "card",
        "device",
        "merchant",
        "terminal",
        "ip",
        "transaction",
        "id",
        "position",
    }
    assert not [d.name for d in CATALOGUE if d.label in grow]


def test_every_group_that_the_core_counts_has_a_counter():
    """`work.count("fired", ...)` and `counts = {"messages": ...}` in the core."""
    counted = {
        node.args[0].value
        for name in COUNTING
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.Call)
        and dotted(node.func).endswith(".count")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
    assert counted
    assert not counted - set(GROUPS)


def test_every_metric_is_fed_and_the_engine_calls_what_feeds_it():
    """By a group of counts, a stopwatch, or what the core shows."""
    (source,) = [tree for name, tree in modules().items() if name == "engine/metrics.py"]
    (feeder,) = [n for n in ast.walk(source) if isinstance(n, ast.ClassDef) and n.name == "Metrics"]
    fed = {n.value for n in ast.walk(feeder) if isinstance(n, ast.Constant)}
    (watch,) = [n for n in ast.walk(source) if isinstance(n, ast.ClassDef) and n.name == "Watch"]
    fed |= {n.value for n in ast.walk(watch) if isinstance(n, ast.Constant)}
    assert not {d.name for d in CATALOGUE} - fed - set(GROUPS.values())
    called = {
        dotted(node.func)
        for name, tree in modules().items()
        if name != "engine/metrics.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    for method in ("show", "count", "watch", "serve"):
        assert any(c.endswith(f"metrics.{method}") for c in called), (
            f"nobody calls Metrics.{method}"
        )


# ---------------------------------------------------------------- settings


def paragraphs(text: str) -> list[str]:
    return re.split(r"\n\s*\n", text)


@pytest.mark.parametrize(
    ("file", "kinds"),
    [("weir.yaml", (Settings, DecisionSettings)), ("models.yaml", (ModelsFile, ModelEntry))],
    ids=["weir.yaml", "models.yaml"],
)
def test_every_setting_stands_in_the_shipped_file_with_its_meaning(file, kinds):
    """As a key, or as a comment where the shipped value is to leave it out."""
    blocks = paragraphs((BANK / file).read_text(encoding="utf-8"))
    missing, mute = [], []
    for key in (key for kind in kinds for key in kind.__struct_encode_fields__):
        line = re.compile(rf"^\s*(# )?{key}:", re.MULTILINE)
        found = [block for block in blocks if line.search(block)]
        if not found:
            missing.append(key)
        elif not any(
            re.search(r"^\s*# [A-Za-z]", line.sub("", block), re.MULTILINE) for block in found
        ):
            mute.append(key)
    assert not missing, f"not in {file}: {missing}"
    assert not mute, f"without a word about it in {file}: {mute}"


def test_the_shipped_settings_are_the_defaults_but_for_packs_and_rates():
    shipped = read_settings(BANK / "weir.yaml")
    bare = Settings()
    assert msgspec.structs.replace(shipped, packs=bare.packs, rates=bare.rates) == bare
    assert read_models(BANK / "models.yaml").champion


def test_every_setting_is_read_by_somebody():
    """A setting that nothing reads is a promise that nobody keeps."""
    read_names = {
        node.attr
        for name, tree in modules().items()
        if name not in ("config/settings.py", "config/decisions.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and dotted(node.value).endswith("settings")
    }
    inside = {"packs", "fallback_otherwise", "blocked_otherwise"}  # read where they are declared
    keys = (*Settings.__struct_fields__, *DecisionSettings.__struct_fields__)
    unread = {
        key
        for key in keys
        if key not in inside and not {key, f"{key}_us", f"{key}_for"} & read_names
    }
    assert not unread


# ---------------------------------------------------------------- reasons


def test_every_reason_code_of_the_engine_has_its_sentence_on_the_page():
    assert (
        dict(TABLE_ROW.findall(section(read("REASONS.md"), "Reason codes of the engine")))
        == SENTENCES
    )
    assert all(re.fullmatch(r"[A-Z][A-Z_]*", code) for code in SENTENCES)


def test_every_reason_of_a_dead_letter_is_on_the_page():
    given, meanings = set(), {}
    for tree in modules().values():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and dotted(node.func).split(".")[-1] == "Dead"
                and node.args
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    given.add(first.value)
    from engine.decoding.reasons import REASONS

    meanings = dict(REASONS)
    documented = dict(TABLE_ROW.findall(section(read("REASONS.md"), "Dead letters")))
    assert set(documented) == given | set(meanings)
    assert {reason: documented[reason] for reason in meanings} == meanings
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", reason) for reason in documented)


# ---------------------------------------------------------------- commands


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """`weir replay` -> its parser, of every command that does something."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        return {parser.prog: parser}
    return {k: v for sub in inner[0].choices.values() for k, v in commands(sub).items()}


def test_every_command_is_in_the_readme_and_every_option_has_help():
    from engine.cli import parser

    found = commands(parser())
    told = re.findall(r"^\| `(weir [a-z -]+)` \|", read("README.md"), re.MULTILINE)
    assert sorted(told) == sorted(found)
    mute = [
        f"{command} {'/'.join(action.option_strings) or action.dest}"
        for command, options in found.items()
        for action in options._actions
        if not action.help and action.metavar != "PACK"
    ]
    assert not mute, mute
