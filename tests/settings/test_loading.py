from __future__ import annotations

import os
from pathlib import Path

import pytest

from bandit_router.errors import ConfigError
from bandit_router.settings import Settings, load_settings, make_settings
from bandit_router.settings.templates import read_template

ARM = '[[arms]]\nname = "{}"\ninput_usd_per_mtok = {}\noutput_usd_per_mtok = 1.0\n'
SECTIONS = "router, policy, arms, features, posterior, reward, budget, store, learner, server"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.upper().startswith("BANDIT_ROUTER_"):
            monkeypatch.delenv(variable)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "router.toml"


def load(toml: Path, text: str) -> Settings:
    toml.write_text(text, encoding="utf-8")
    return load_settings(toml)


def check_refused(toml: Path, text: str, *said: str) -> None:
    """The text is refused with a message that names the file and says everything in ``said``."""
    with pytest.raises(ConfigError) as refusal:
        load(toml, text)
    for words in (str(toml), *said):
        assert words in str(refusal.value)


# -- env > file > default --------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults(toml: Path) -> None:
    settings = load(toml, "")
    assert (settings.router.cost_weight, settings.policy.name, settings.arms) == (0.0, "tempered", ())


def test_the_file_wins_over_the_defaults(toml: Path) -> None:
    settings = load(toml, "[router]\ncost_weight = 2.5\n")
    assert (settings.router.cost_weight, settings.router.name) == (2.5, "default")


def test_the_environment_wins_over_the_file_key_by_key(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANDIT_ROUTER_ROUTER__COST_WEIGHT", "9")
    settings = load(toml, '[router]\ncost_weight = 2.5\nname = "mine"\n')
    assert (settings.router.cost_weight, settings.router.name) == (9.0, "mine")


def test_a_policy_parameter_can_come_from_the_environment(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANDIT_ROUTER_POLICY__EPSILON", "0.4")
    assert load(toml, '[policy]\nname = "linucb"\nalpha = 2.0\n').policy.parameters == {
        "alpha": 2.0,
        "epsilon": "0.4",
    }


def test_arms_can_come_from_the_environment_as_json(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "BANDIT_ROUTER_ARMS", '[{"name": "b", "input_usd_per_mtok": 1, "output_usd_per_mtok": 2}]'
    )
    assert [arm.name for arm in load(toml, ARM.format("a", 1)).arms] == ["b"]


def test_the_variable_that_names_the_file_is_not_a_setting(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANDIT_ROUTER_CONFIG", "elsewhere.toml")
    assert load(toml, "") == Settings()


def test_the_template_is_a_valid_file(toml: Path) -> None:
    assert [arm.name for arm in load(toml, read_template()).arms][:2] == ["small", "large"]


def test_settings_can_be_made_from_a_dict() -> None:
    assert make_settings({"router": {"cost_weight": 3}}).router.cost_weight == 3.0


def test_an_arm_without_a_model_is_called_by_its_name(toml: Path) -> None:
    assert load(toml, ARM.format("gpt-4o", 1)).arms[0].arm().model == "gpt-4o"


# -- wrong keys and values -------------------------------------------------------------------------


def test_an_unknown_section_is_refused_with_the_allowed_ones(toml: Path) -> None:
    check_refused(toml, "[rooter]\n", "rooter", f"allowed: {SECTIONS}")


@pytest.mark.parametrize("key", ["_env_file", "_cli_parse_args", "_secrets_dir"])
def test_a_file_cannot_reach_the_loader_through_private_keys(toml: Path, key: str) -> None:
    check_refused(toml, f'{key} = "x"\n', f"unknown key '{key}'", SECTIONS)


def test_an_unknown_key_is_refused_with_the_allowed_ones(toml: Path) -> None:
    text = "[router]\ncost_weigth = 1\n"
    check_refused(toml, text, "router.cost_weigth: unknown key", "allowed: name, cost_weight, log_queries")


def test_an_unknown_key_of_an_arm_is_refused_with_the_place_of_the_arm(toml: Path) -> None:
    text = ARM.format("a", 1) + ARM.format("b", 1) + "price = 1\n"
    check_refused(toml, text, "arms[1].price: unknown key", "input_usd_per_mtok")


def test_a_missing_key_is_named(toml: Path) -> None:
    check_refused(toml, '[[arms]]\nname = "a"\n', "arms[0]: input_usd_per_mtok and output_usd_per_mtok: no")


def test_every_problem_of_a_file_is_named_at_once(toml: Path) -> None:
    check_refused(toml, "[router]\ncost_weight = -1\n[server]\nport = 70000\n", "cost_weight", "server.port")


def test_a_negative_price_is_refused(toml: Path) -> None:
    text = ARM.format("a", -0.5)
    check_refused(toml, text, "arms[0].input_usd_per_mtok", "greater than or equal to 0", "-0.5")


def test_a_duplicate_arm_is_refused_by_name(toml: Path) -> None:
    text = ARM.format("a", 1) + ARM.format("b", 1) + ARM.format("a", 2)
    check_refused(toml, text, "arms: duplicate arm a;", "name of its own")


@pytest.mark.parametrize("name", ["", "a,b", "a=b", "a b", "é", "-a", "a\\n", "x" * 129])
def test_an_arm_name_that_a_policy_spec_could_not_hold_is_refused(toml: Path, name: str) -> None:
    check_refused(toml, ARM.format(name, 1), "arms[0].name")


NUMBERS = [
    "router.cost_weight",
    "posterior.prior_mean",
    "posterior.prior_std",
    "posterior.weight_std",
    "posterior.noise_std",
    "posterior.half_life_s",
    "learner.interval_s",
    "server.port",
    "store.queue_size",
]


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e400", "1" + "0" * 400, '"many"', "[]"])
def test_an_impossible_number_is_refused_by_key(toml: Path, key: str, value: str) -> None:
    section, name = key.split(".")
    check_refused(toml, f"[{section}]\n{name} = {value}\n", key)


@pytest.mark.parametrize("value", ["0", "1e-300", "1e300"])
@pytest.mark.parametrize("key", ["prior_std", "weight_std", "noise_std"])
def test_a_deviation_whose_square_would_vanish_or_overflow_is_refused(
    toml: Path, key: str, value: str
) -> None:
    check_refused(toml, f"[posterior]\n{key} = {value}\n", f"posterior.{key}")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("{}", "is empty; use any of quality, satisfaction, error"),
        ("{ cost_usd = 1.0 }", "cost_usd cannot be in a reward; use any of quality, satisfaction, error"),
        ("{ quality = -1.0 }", "reward.weights.quality"),
        ("{ quality = nan }", "reward.weights.quality"),
        ("{ quality = 1e308 }", "reward.weights.quality"),
    ],
)
def test_reward_weights_are_positive_and_of_bounded_metrics(toml: Path, weights: str, said: str) -> None:
    check_refused(toml, f"[reward]\nweights = {weights}\n", "reward.weights", said)


def test_a_choice_is_refused_with_the_allowed_ones(toml: Path) -> None:
    check_refused(
        toml, '[features]\nembedding = "bert"\n', "features.embedding", "'wordllama', 'none' or 'vector'"
    )


@pytest.mark.parametrize("text", ["router = 5\n", "arms = 5\n", "[arms]\nname = 1\n"])
def test_a_section_of_the_wrong_kind_is_refused(toml: Path, text: str) -> None:
    check_refused(toml, text, text.split()[0].strip("[]"))


def test_settings_cannot_be_changed_once_read(toml: Path) -> None:
    settings = load(toml, "")
    with pytest.raises(ValueError, match="frozen"):
        settings.router.cost_weight = 5.0  # type: ignore[misc]


# -- the environment -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variable", ["BANDIT_ROUTER_ROUTR__NAME", "BANDIT_ROUTER_URL", "bandit_router_url", "BANDIT_ROUTER_"]
)
def test_an_unknown_variable_with_the_prefix_is_refused_by_name(
    toml: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ConfigError, match=f"{variable}: no section .*; allowed: {SECTIONS}"):
        load(toml, "")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BANDIT_ROUTER_ROUTER__COST_WEIGHT", "-2", "router.cost_weight: input should be greater than"),
        ("BANDIT_ROUTER_ROUTER__COST_WEIGHT", "nan", "router.cost_weight: input should be a finite number"),
        ("bandit_router_router__cost_weight", "x", "router.cost_weight: input should be a valid number"),
        ("BANDIT_ROUTER_ROUTER__COST", "1", "unknown key 'cost'; allowed: name, cost_weight"),
        ("BANDIT_ROUTER_ROUTER", "5", "router: "),
        (
            "BANDIT_ROUTER_ARMS",
            '[{"name": "a"}]',
            "arms[0]: input_usd_per_mtok and output_usd_per_mtok: no",
        ),
    ],
)
def test_a_bad_value_from_the_environment_names_the_variable_not_the_file(
    toml: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as refusal:
        load(toml, "[router]\ncost_weight = 1.0\n")
    assert str(refusal.value).startswith(f"{variable}: ")
    assert said in str(refusal.value)
    assert str(toml) not in str(refusal.value)


def test_a_variable_that_is_not_json_where_it_must_be_is_refused(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANDIT_ROUTER_ARMS", "[{")
    with pytest.raises(ConfigError, match=r'BANDIT_ROUTER_.*"arms".*give JSON'):
        load(toml, "")


# -- rules -----------------------------------------------------------------------------------------


def a_rule(condition: str = "", *, name: str = "r", weight: float = 0.5) -> str:
    return f'[[rules]]\nname = "{name}"\nweight = {weight}\n{condition}\n'


FIVE = "".join(a_rule('tier = "t"', name=f"r{i}") for i in range(5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            FIVE + a_rule("follow_up = true"),
            "rules: there are 6 rules, allowed are 5: hand-written rules pile up",
        ),
        (a_rule(), "rules[0]: rule 'r' has no condition; give exactly one of longer_than, keywords, tier"),
        (a_rule('tier = "t"\nlonger_than = 5'), "rule 'r' has longer_than and tier; give exactly one of"),
        (a_rule("keywords = []"), "rule 'r' has no condition"),
        (a_rule('keywords = [" "]'), "rules[0].keywords[0]: "),
        (a_rule("follow_up = false"), "rules[0].follow_up: "),
        (
            a_rule('pattern = "("'),
            "rules[0].pattern: rule 'r': is not a regular expression of RE2, which has no "
            "lookaround and no backreferences: missing )",
        ),
        (2 * a_rule('tier = "t"'), "rules: duplicate rule r; every rule needs a name of its own"),
        (a_rule('tier = "t"', name="a,b"), "rules[0].name: "),
        (a_rule('tier = "t"', weight=0.0), "rules[0].weight: "),
        (a_rule('teir = "t"'), "rules[0].teir: unknown key 'teir'; allowed: name, weight, longer_than"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_allowed(toml: Path, text: str, says: str) -> None:
    check_refused(toml, text, says)


def test_five_rules_are_allowed(toml: Path) -> None:
    assert [rule.name for rule in load(toml, FIVE).rules] == ["r0", "r1", "r2", "r3", "r4"]


# -- unreadable files ------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_command_that_writes_one(toml: Path) -> None:
    with pytest.raises(ConfigError, match=r"router.toml: no such file; .*bandit-router init"):
        load_settings(toml)


def test_a_directory_is_not_a_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}: cannot be read: "):
        load_settings(tmp_path)


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(toml: Path) -> None:
    toml.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"router.toml: is not UTF-8 text: .* at byte 5"):
        load_settings(toml)


@pytest.mark.parametrize(
    "text", ["[router", "a = \n", "a = 1\na = 2\n", "a = " + "1" * 5000, "a = " + "[" * 5000, "\0"]
)
def test_bad_toml_is_refused(toml: Path, text: str) -> None:
    check_refused(toml, text, "is not valid TOML: ")


@pytest.mark.parametrize("key", ["prior_std", "arm_std", "weight_std", "noise_std", "half_life_s"])
def test_only_dollars_may_be_less_than_a_millionth(toml: Path, key: str) -> None:
    assert load(toml, "[budget]\nusd_per_request = 1e-8\n").budget.usd_per_request == 1e-8
    with pytest.raises(ConfigError, match=f"posterior.{key}"):
        load(toml, f"[posterior]\n{key} = 1e-8\n")


def test_a_password_in_the_wrong_place_is_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"store: .*got 'postgresql://\*\*\*@host/d'") as refused:
        make_settings({"store": "postgresql://user:geheim@host/d"})
    assert "geheim" not in str(refused.value)
