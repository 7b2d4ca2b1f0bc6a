"""config/settings.py: what is refused, with which words, and what the hash stands for."""

import hashlib
import shutil

import pytest

from config.errors import ConfigError
from config.settings import BANK, ModelsFile, Settings, load, read_models, read_settings

MODELS = """\
champion: fraud
seed: 3
models:
  fraud:
    kind: logistic
    inputs: [amount, payments_1h]
    params: {rate: 0.5, steps: 25, scaled: true}
  anomaly:
    kind: half_space_trees
    inputs: [payments_1h, payees_7d]
"""


@pytest.fixture
def bank(tmp_path):
    """A configuration folder with the files that `load` looks for."""
    folder = tmp_path / "bank"
    for name, text in {
        "weir.yaml": "packs: [packs/core]\nlateness: 1h\n",
        "models.yaml": MODELS,
        "schema.yaml": "fields: {}\n",
        "feeds/bank.yaml": "zone: UTC\n",
        "lists/known.csv": "account\nA1\n",
        "packs/core/pack.yaml": "pack: core\n",
        "packs/core/rules/card.yaml": "rules: []\n",
    }.items():
        write(folder, name, text)
    return folder


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def refusal(folder, name, text, read):
    write(folder, name, text)
    with pytest.raises(ConfigError) as caught:
        read(folder / name)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_shipped_file_says_the_defaults_but_for_packs_and_rates():
    shipped = read_settings(BANK / "weir.yaml")
    assert shipped == Settings(packs=shipped.packs, rates="rates.yaml")


def test_what_is_left_out_has_its_default(tmp_path):
    write(tmp_path, "weir.yaml", "lateness: 1h30m\nrows_max: 64\n")
    settings = read_settings(tmp_path / "weir.yaml")
    assert settings == Settings(lateness="1h30m", rows_max=64)
    assert settings.lateness_us == 5_400_000_000
    assert settings.remember_us == 120 * 86_400_000_000
    assert settings.history_from_us is settings.assume_genuine_after_us is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "feed: canonical\nrows_max: 0\n",
            (
                "weir.yaml:2:1: `rows_max` must lie in [1, 65536], was 0\n"
                "  why: larger batches only delay their first row: speed stops growing at a few thousand\n"
                "  fix: leave it at 4096"
            ),
        ),
        (
            "lateness: 15\n",
            (
                "weir.yaml:1:1: `lateness` must be a duration, was 15\n"
                "  why: a number alone does not say which unit it means\n"
                "  fix: write it like 15m, 7d or 1h30m"
            ),
        ),
        (
            "lateness: 8d\n",
            (
                "weir.yaml:1:1: `lateness` must lie in [0s, 7d], was 8d\n"
                "  why: every window keeps its events that much longer\n"
                "  fix: have the sender publish sooner; a row that is later is decided but not counted"
            ),
        ),
        (
            "lateness: 3d\nremember: 2d\n",
            (
                "weir.yaml:2:1: `remember` must be at least `lateness`, was 2d and 3d\n"
                "  why: a late repeat would be decided a second time\n"
                "  fix: raise `remember` to 3d or more"
            ),
        ),
        (
            "history_from: 2026-01-01T08:00:00\n",
            (
                "weir.yaml:1:1: `history_from` must be a day or a time with offset, was 2026-01-01T08:00:00\n"
                "  why: a time without offset means another instant in each zone\n"
                "  fix: write it like 2026-03-02 or 2026-03-02T10:00:00Z"
            ),
        ),
        (
            "packs: []\n",
            (
                "weir.yaml:1:1: `packs` is empty\n"
                "  why: without rules every transaction would be approved in silence\n"
                "  fix: name at least one folder with a pack.yaml, such as packs/core"
            ),
        ),
        (
            "effect: yes\n",
            (
                "weir.yaml:1:1: `effect` must be observe or enforce, was yes\n"
                "  why: it says whether commands reach the core banking system or are only recorded\n"
                "  fix: write observe until the decisions have been looked at"
            ),
        ),
        (
            "approval: yes\n",
            (
                "weir.yaml:1:1: `approval` must be none or required, was yes\n"
                "  why: it says whether a configuration goes live only with the approval of a second person\n"
                "  fix: write required where nobody may change rules alone"
            ),
        ),
        ("latness: 3m\n", "weir.yaml:1:1: unknown key `latness`\n  fix: did you mean `lateness`?"),
        (
            "zzz: 3m\n",
            "weir.yaml:1:1: unknown key `zzz`\n  fix: see config/bank for every key there is",
        ),
        ("rows_max: many\n", "weir.yaml:1:11: Expected `int`, got `str`"),
        (
            "decisions:\n  ack_timeout: 0s\n",
            "weir.yaml:2:3: `ack_timeout` must be longer than 0s\n  fix: write it like 10m or 72h",
        ),
    ],
)
def test_a_wrong_setting_is_shown_at_its_place_with_reason_and_remedy(tmp_path, text, message):
    assert refusal(tmp_path, "weir.yaml", text, read_settings) == message


@pytest.mark.parametrize("key", ["lateness", "future_max", "jump_max", "remember", "warm_after"])
@pytest.mark.parametrize("value", ["100000d", "x"])
def test_every_duration_is_bounded(key, value):
    with pytest.raises(ConfigError, match=f"`{key}` must"):
        Settings(**{key: value})


def test_models_read_with_parameters_of_the_type_they_are_written_in(tmp_path):
    write(tmp_path, "models.yaml", MODELS)
    models = read_models(tmp_path / "models.yaml")
    assert models.champion == "fraud"
    assert models.seed == 3
    assert models.inputs == ("amount", "payments_1h", "payees_7d")
    params = models.models["fraud"].params
    assert params == {"rate": 0.5, "steps": 25, "scaled": True}
    assert [type(v) for v in params.values()] == [float, int, bool]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "champion: fraud",
            "champion: fraut",
            (
                "models.yaml:1:1: `champion` must be one of fraud, anomaly, was fraut\n"
                "  why: `model.score` and the calibration are the champion's\n"
                "  fix: did you mean `fraud`?"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "inputs: []",
            (
                "models.yaml:10:5: `inputs` is empty\n"
                "  why: a model that reads nothing gives every transaction the same score\n"
                "  fix: list features or number fields, or take the model out"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "inputs: [a, b, a]",
            (
                "models.yaml:10:5: `inputs` names `a` twice\n"
                "  why: it would weigh double, and contributions would be split between the two\n"
                "  fix: take one of them out"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "inputs: [model.fraud]",
            (
                "models.yaml:10:5: `inputs` names `model.fraud`\n"
                "  why: inputs are columns; a model that combines others names them elsewhere\n"
                "  fix: write of: [fraud], with a kind that combines"
            ),
        ),
        (
            "champion: fraud",
            "champion: fraud\nmaturity: 5m",
            (
                "models.yaml:2:1: `maturity` must lie in [1h, 400d], was 5m\n"
                "  why: before that most verdicts are not in, and silence says nothing\n"
                "  fix: make it as long as nearly all verdicts take"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "of: [frraud]",
            (
                "models.yaml:10:5: `of` of model `anomaly` names `frraud`, which is no model\n"
                "  why: a combination reads the scores of other models of this file\n"
                "  fix: did you mean `fraud`?"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "of: [anomaly]",
            (
                "models.yaml:10:5: `of` leads in a circle: anomaly\n"
                "  why: a score would have to be known before it is computed\n"
                "  fix: take one of them out of the `of` of another"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "of: [fraud, fraud]",
            (
                "models.yaml:10:5: `of` names `fraud` twice\n"
                "  why: it would weigh double, and contributions would be split between the two\n"
                "  fix: take one of them out"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "inputs: [amount]\n    role: king",
            (
                "models.yaml:11:5: `role` must be challenger or shadow, was king\n"
                "  why: which model is the champion says `champion`; any challenger may become it\n"
                "  fix: write shadow for a model that is only looked at"
            ),
        ),
        (
            "inputs: [payments_1h, payees_7d]",
            "inputs: [amount]\n    refit: {every: 7d, train: 30d, delay: 8d}",
            (
                "models.yaml:11:36: `delay` must lie in [1m, 7d], was 8d\n"
                "  why: a fit that is not ready by then is skipped\n"
                "  fix: write 1h"
            ),
        ),
        (
            "  anomaly:",
            "  score:",
            (
                "models.yaml:8:3: `score` cannot be the name of a model\n"
                "  why: rules read it as `model.NAME`; `score` and `top_reasons` mean the champion\n"
                "  fix: use small letters, digits and underscores, such as fraud_30d"
            ),
        ),
        (
            "steps: 25",
            "steps: [1]",
            "models.yaml:7:13: Expected `bool | int | float | str`, got `array`",
        ),
        ("    kind: logistic\n", "", "models.yaml:5:5: Object missing required field `kind`"),
    ],
)
def test_a_wrong_model_is_shown_at_its_place(tmp_path, old, new, message):
    assert old in MODELS
    assert refusal(tmp_path, "models.yaml", MODELS.replace(old, new), read_models) == message


def test_a_configuration_knows_its_files(bank):
    found = load(bank)
    assert isinstance(found.models, ModelsFile)
    assert found.pack_paths == (bank / "packs/core",)
    assert found.schema_path == bank / "schema.yaml"
    assert found.feeds_folder == bank / "feeds"
    assert list(found.files) == [
        "feeds/bank.yaml",
        "lists/known.csv",
        "models.yaml",
        "packs/core/pack.yaml",
        "packs/core/rules/card.yaml",
        "schema.yaml",
        "weir.yaml",
    ]
    path, sha256 = found.files["lists/known.csv"]
    assert path.read_bytes() == b"account\nA1\n"
    assert sha256 == hashlib.sha256(b"account\nA1\n").hexdigest()


def test_the_hash_does_not_depend_on_where_the_folder_stands(bank, tmp_path):
    shutil.copytree(bank, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").sha256 == load(bank).sha256


@pytest.mark.parametrize(
    "name",
    [
        "weir.yaml",
        "models.yaml",
        "schema.yaml",
        "feeds/bank.yaml",
        "lists/known.csv",
        "packs/core/rules/card.yaml",
    ],
)
def test_any_changed_byte_changes_the_hash(bank, name):
    before = load(bank).sha256
    path = bank / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert load(bank).sha256 != before


def test_a_new_or_renamed_file_changes_the_hash_but_what_an_editor_leaves_behind_does_not(bank):
    before = load(bank).sha256
    write(bank, "packs/core/.rules.yaml.swp", "x")
    write(bank, "packs/core/rules/card.yaml~", "x")
    write(bank, "packs/other/pack.yaml", "pack: not used\n")
    assert load(bank).sha256 == before
    (bank / "packs/core/rules/card.yaml").rename(bank / "packs/core/rules/cards.yaml")
    renamed = load(bank).sha256
    write(bank, "packs/core/rules/more.yaml", "rules: []\n")
    assert len({before, renamed, load(bank).sha256}) == 3


def test_options_replace_settings_and_enter_the_hash_but_where_batches_are_cut_does_not(bank):
    plain = load(bank)
    assert load(bank, rows_max=7).settings.rows_max == 7
    assert load(bank, rows_max=7).sha256 == plain.sha256
    late = load(bank, lateness="2h")
    assert (plain.settings.lateness, late.settings.lateness) == ("1h", "2h")
    fed = load(bank, feed="handbook")
    assert fed.settings.feed == "handbook"
    assert len({plain.sha256, late.sha256, fed.sha256}) == 3


def test_an_option_out_of_bounds_says_that_it_came_from_the_command_line(bank):
    with pytest.raises(ConfigError) as caught:
        load(bank, lateness="9d")
    assert str(caught.value).splitlines()[0] == (
        "command line: `lateness` must lie in [0s, 7d], was 9d"
    )


def test_a_pack_from_elsewhere_replaces_the_configured_ones(bank, tmp_path):
    write(tmp_path, "mine/pack.yaml", "pack: mine\n")
    found = load(bank, packs=[tmp_path / "mine"])
    assert found.pack_paths == (tmp_path / "mine",)
    assert "packs[0]/pack.yaml" in found.files
    assert not any(name.startswith("packs/core") for name in found.files)
    assert found.sha256 != load(bank).sha256
    write(tmp_path, "mine/pack.yaml", "pack: mine, changed\n")
    assert load(bank, packs=[tmp_path / "mine"]).sha256 != found.sha256


def test_missing_folders_and_files_say_what_is_wanted(bank, tmp_path):
    with pytest.raises(ConfigError, match="there is no configuration folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(
        ConfigError, match=r"^there is no pack in [^\n]*\n[^\n]*\n  fix: correct the path$"
    ):
        load(bank, packs=[tmp_path])
    (bank / "schema.yaml").unlink()
    with pytest.raises(ConfigError, match=r"there is no schema\.yaml in"):
        load(bank)
    (bank / "weir.yaml").unlink()
    with pytest.raises(ConfigError, match=r"weir\.yaml: cannot be read: No such file"):
        load(bank)


def test_the_champion_is_no_shadow_and_nothing_with_a_say_is_made_of_one(tmp_path):
    champion = MODELS.replace("kind: logistic", "kind: logistic\n    role: shadow")
    told = refusal(tmp_path, "models.yaml", champion, read_models)
    assert "`champion` must not be a shadow, was fraud" in told
    member = MODELS.replace("kind: half_space_trees", "kind: half_space_trees\n    role: shadow")
    member += "  both: {kind: blend, of: [fraud, anomaly]}\n"
    told = refusal(tmp_path, "models.yaml", member, read_models)
    assert "`of` of model `both` names `anomaly`, which is a shadow" in told


def test_models_are_scored_after_what_they_are_made_of(tmp_path):
    text = (
        "champion: top\nmodels:\n  top: {kind: blend, of: [mid, a]}\n  b: {kind: x, inputs: [i]}\n"
    )
    text += "  mid: {kind: blend, of: [a, b]}\n  a: {kind: x, inputs: [i]}\n"
    write(tmp_path, "models.yaml", text)
    found = read_models(tmp_path / "models.yaml")
    assert found.order == ("b", "a", "mid", "top")
    assert found.made_of("mid") == ("b", "a", "mid")
    assert found.made_of("a") == ("a",)


@pytest.mark.parametrize(
    ("models", "what"),
    [
        ("maturity: 120d\n", "`maturity` must be shorter than `remember`, was 120d"),
        ("refit: {train: 121d}", "`train` of model `fraud` must not exceed `remember`, was 121d"),
        ("refit: {train: 7d}", "`train` of model `fraud` must exceed `maturity`, was 7d"),
    ],
)
def test_what_models_learn_from_must_be_remembered(bank, models, what):
    path = bank / "models.yaml"
    text = path.read_text()
    if models.startswith("refit"):
        text = text.replace("kind: logistic", f"kind: logistic\n    {models}")
    else:
        text += models
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(bank)
    assert refused.value.what == what
