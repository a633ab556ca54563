"""promotion.yaml: the strict loader, its sentences, and the schema that editors use."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from promotion.config.pin import Override
from promotion.config.policy import Policy
from promotion.config.promotion_yaml import load, model_entry, parse
from promotion.errors import PromotionError

from tests.support.policies import policy_from_raw

PROJECT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((PROJECT / ".github" / "promotion.schema.json").read_text(encoding="utf-8"))
SHIPPED = (PROJECT / "promotion.yaml").read_text(encoding="utf-8")
GOOD = """\
models:
  fraud-detector:
    measure:
      test_days: 7
      delay_days: 7
      dollars: {caught: amount, review: 15}
      cluster: [customer_id]
      slices: [weekend]
    gate:
      net_benefit: "> 40000"
      f1: "> 0.20"
    challenge:
      confidence: 0.95
      looks: 5
      net_benefit: superior
      f1: {not_worse_than: 0.05}
    champion:
      version: 3
      source_tree: 5b1c5b1c5b1c5b1c5b1c5b1c5b1c5b1c5b1c5b1c
      digest: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      evidence: sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
"""

BROKEN = [
    # (what is replaced, by what, the line that must be named, what the sentence must say, seen by the schema too)
    ("      looks: 5\n", "      loks: 5\n", 14, "did you mean `looks`?", True),
    ("      looks: 5\n", "      LOOKS: 5\n", 14, "did you mean `looks`?", True),
    ("looks: 5", "looks\u200b: 5", 14, "the key `looks` contains U+200B", True),
    ("delay_days: 7", "delay_days\u00a0: 7", 5, "contains U+00A0, which nobody sees; type it again", True),
    ("      test_days: 7\n", "", 4, "`measure` lacks the key `test_days`", True),
    (
        "      test_days: 7\n",
        "      test_days: 7\n      test_days: 8\n",
        5,
        "duplicate key `test_days` (first on line 4)",
        False,
    ),
    ("test_days: 7", 'test_days: "7"', 4, "`test_days` must be a whole number", True),
    ("test_days: 7", "test_days: 7.5", 4, "`test_days` must be a whole number", True),
    ("test_days: 7", "test_days: 0", 4, "1 and 3660, not 0", True),
    ("test_days: 7", "test_days: true", 4, "`test_days` must be a whole number", True),
    ("delay_days: 7", "delay_dais: 7", 5, "did you mean `delay_days`?", True),
    ('"> 40000"', "40000", 10, "must be a floor", True),
    ('"> 40000"', '"=> 40000"', 10, "must be a floor", True),
    ('"> 40000"', '"> lots"', 10, "must be a floor", True),
    ('"> 40000"', '"> nan"', 10, "must be a floor", True),
    ('"> 40000"', '"> inf"', 10, "must be a floor", True),
    ('"> 40000"', '"above trivial"', 10, "above_trivial", True),
    ('"> 40000"', '"> 40000 or above_trivial"', 10, "joined by `and`", True),
    ("not_worse_than: 0.05", "not_worse_than: 0.05, min_clusters: 0", 16, "`f1.min_clusters` must be", True),
    ("not_worse_than: 0.05", "not_worse_than: 0.05, min_cluster: 9", 16, "did you mean `min_clusters`?", True),
    ("not_worse_than: 0.05", "not_worse_than: 0.05, too_few: pass", 16, "`f1.too_few` must be `block` or `skip`", True),
    ("net_benefit: superior", "net_benefit: {superior: no}", 15, "superior", True),
    ("looks: 5", "unseen_loss: decide", 14, "`unseen_loss` must be", True),
    ('      f1: "> 0.20"\n', '      f1: "> 0.20"\n    warn: {}\n', 12, "`warn` has no floor", True),
    ('      f1: "> 0.20"\n', '      f1: "> 0.20"\n    warn: {recall: 3}\n', 12, "must be a floor", True),
    ('      f1: "> 0.20"\n', '      f1: "> 0.20"\n    warm: {recall: "> 3"}\n', 12, "did you mean `warn`?", True),
    ("confidence: 0.95", "confidence: 95", 13, "between 0.5 and 0.9999", True),
    ("confidence: 0.95", "confidence: .nan", 13, "must be a number", False),
    ("net_benefit: superior", "net_benefit: superiour", 15, "did you mean `superior`?", True),
    ("not_worse_than: 0.05", "not_worse_than: -0.05", 16, "wrong sign", True),
    ("not_worse_than: 0.05", "not_worse_than: 150%", 16, "between 0% and 100%", False),
    ("f1: {not_worse_than: 0.05}", "f1 by hour: {not_worse_than: 0.05}", 16, "not one of measure.slices", False),
    ("version: 3", "version: three", 18, "`version` must be a whole number", True),
    ("5b1c5b1c5b1c", "xyz", 19, "git tree id", True),
    ("evidence: sha256:", "evidence: md5:", 21, "sha256: and 64 hex digits", True),
    ("      evidence: sha256:" + "b" * 64 + "\n", "", 18, "lacks the key `evidence`", False),
    ("    champion:\n", "    champions:\n", 17, "did you mean `champion`?", True),
    ("cluster: [customer_id]", "cluster: customer_id", 7, "list of column names", True),
    ("cluster: [customer_id]", "cluster: [a, b, c]", 7, "at most 2", True),
    ("caught: amount", "caught: -5", 6, "0 or more", True),
    ("caught: amount", "cought: amount", 6, "did you mean `caught`?", True),
    ("  fraud-detector:\n", "  fraud detector:\n", 2, "not a model name", True),
    ("models:\n", "model:\n", 1, "unknown key `model`", True),
]


@pytest.mark.parametrize(("old", "new", "line", "says", "schema_too"), BROKEN, ids=lambda value: str(value)[:30])
def test_a_mistake_is_one_sentence_with_its_line(old: str, new: str, line: int, says: str, schema_too: bool) -> None:
    """Every mistake names promotion.yaml and the line it is on, in one sentence."""
    text = GOOD.replace(old, new, 1)
    assert text != GOOD

    with pytest.raises(PromotionError) as caught:
        parse(text)

    assert str(caught.value).startswith(f"promotion.yaml:{line}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    if schema_too:
        assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text)))


def test_all_mistakes_of_a_file_are_told_in_one_run() -> None:
    """Each has its line and its sentence, in the file's order; a misspelt key is one mistake, not two."""
    text = GOOD.replace("      test_days: 7\n      delay_days: 7\n", "      test_days: x\n      delay_dais: 7\n")
    text = text.replace("looks: 5", "looks: 0").replace('      f1: "> 0.20"', '      f1 by hour: "> 0.20"')
    text = text.replace("version: 3", "version: 0").replace("      digest: sha256:" + "a" * 64 + "\n", "")
    text += "  other:\n    gate: {f1: '> 0'}\n    champion: null\n"

    with pytest.raises(PromotionError) as caught:
        parse(text)

    assert str(caught.value).splitlines() == [
        "promotion.yaml:4: `test_days` must be a whole number between 1 and 3660, not `x`",
        "promotion.yaml:5: unknown key `delay_dais` in `measure`; did you mean `delay_days`?",
        "promotion.yaml:11: `hour` is not one of measure.slices; known: weekend",
        "promotion.yaml:14: `looks` must be a whole number between 1 and 1000, not 0",
        "promotion.yaml:18: `champion` lacks the key `digest`",
        "promotion.yaml:18: `version` must be a whole number of 1 or more, not 0",
        "promotion.yaml:22: `other` lacks the keys `measure`, `challenge`",
    ]
    assert [one.line for one in caught.value.each] == [4, 5, 11, 14, 18, 18, 22]


def test_a_doubtful_value_hides_no_other_mistake_of_its_line() -> None:
    """What YAML may misread is one mistake, a misspelt key and a wrong neighbour are others."""
    with pytest.raises(PromotionError) as caught:
        parse(SMALLEST.replace("{test_days: 7, delay_days: 7}", "{test_day: 010, delay_days: x}"))

    assert str(caught.value).splitlines() == [
        "promotion.yaml:3: unknown key `test_day` in `measure`; did you mean `test_days`?",
        "promotion.yaml:3: YAML reads `010` as the octal number 8; write 10 or 8, or put text in quotes",
        "promotion.yaml:3: `delay_days` must be a whole number between 0 and 3660, not `x`",
    ]


def test_hundreds_of_mistakes_are_cut() -> None:
    """A file of another kind does not fill the log."""
    with pytest.raises(PromotionError) as caught:
        parse("models:\n" + "".join(f"  m{number}: {{}}\n" for number in range(300)))

    assert len(caught.value.each) == 51
    assert str(caught.value).endswith("promotion.yaml:52: and 250 more from here on; mend these first")


SMALLEST = """\
models:
  fraud-detector:
    measure: {test_days: 7, delay_days: 7}
    gate: {f1: "> 0.20"}
    challenge: {f1: superior}
    champion: null
"""


def test_the_smallest_file_has_six_lines_and_these_defaults() -> None:
    """What everybody sets alike need not be said. A default never changes: pins were won under it, and their
    policies' digests would not show the change."""
    entry = parse(SMALLEST).models["fraud-detector"]
    challenge, measure = entry.policy.challenge, entry.policy.measure

    assert (challenge.confidence, challenge.looks, challenge.worthwhile, challenge.confirm) == (0.95, 5, None, None)
    assert (measure.daily_reviews, measure.dollars, measure.cluster, measure.slices) == (100, {}, (), ())
    assert (entry.drift, entry.freeze, entry.renamed_from, entry.policy.warn) == ("report", None, None, ())
    jsonschema.validate(yaml.safe_load(SMALLEST), SCHEMA)


def test_the_label_delay_has_no_default() -> None:
    """Nobody can know it but who labels."""
    with pytest.raises(PromotionError, match=r":3: `measure` lacks the key `delay_days`"):
        parse(SMALLEST.replace(", delay_days: 7", ""))


def test_what_is_good_passes_loader_and_schema() -> None:
    """The file that ships, and one with every key, are good to both."""
    full = GOOD.replace("    champion:\n", "    freeze: year end\n    drift: repair\n    champion:\n")
    full = full.replace("f1: {not_worse_than: 0.05}", "f1 by weekend: {not_worse_than: 5%}\n      worthwhile: 1000")
    full += "      override: {by: dana, reason: outage}\nguard: {moves: 5}\n"
    for text in (SHIPPED, GOOD, full):
        jsonschema.validate(yaml.safe_load(text), SCHEMA)
        parse(text)

    entry = parse(full).models["fraud-detector"]
    rule = entry.policy.challenge.rules[1]
    assert (entry.freeze, entry.drift, parse(full).guard_moves) == ("year end", "repair", 5)
    assert (str(rule.target), rule.margin, rule.relative) == ("f1 by weekend", 0.05, True)
    assert entry.champion is not None
    assert entry.champion.override == Override(by="dana", reason="outage")


def test_floors_and_rules_may_ask_for_more() -> None:
    """A floor above what is trivial, a rule that wants clusters, a loss that nobody saw: loader and schema alike."""
    text = GOOD.replace('"> 40000"', '"> 40000 and above_trivial"').replace('"> 0.20"', "above_trivial")
    text = text.replace("looks: 5", "unseen_loss: decides")
    text = text.replace("net_benefit: superior", "net_benefit by weekend: {superior: true, min_clusters: 30}")
    text = text.replace("{not_worse_than: 0.05}", "{not_worse_than: 5%, min_clusters: 20, too_few: skip}")
    jsonschema.validate(yaml.safe_load(text), SCHEMA)
    policy = parse(text).models["fraud-detector"].policy
    floors = [(str(floor.target), floor.op, floor.bound) for floor in policy.gate]
    rules = [(rule.kind, rule.min_clusters, rule.too_few) for rule in policy.challenge.rules]

    assert floors == [
        ("net_benefit", ">", 40000.0),
        ("net_benefit", "above_trivial", None),
        ("f1", "above_trivial", None),
    ]
    assert rules == [("superior", 30, "block"), ("not_worse_than", 20, "skip")]
    assert policy.challenge.unseen_loss == "decides"
    assert policy.line_of(policy.gate[1]) == 10


def test_the_shipped_file_is_the_missions_gate_and_has_no_champion() -> None:
    """This repository ships with net benefit > 40000 and f1 > 0.20, both strict, and no champion."""
    entry = parse(SHIPPED).models["fraud-detector"]

    found = {str(floor.target): (floor.op, floor.bound) for floor in entry.policy.gate}
    assert found == {"net_benefit": (">", 40000.0), "f1": (">", 0.20)}
    assert entry.champion is None


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """No promotion.yaml says so and what to do."""
    with pytest.raises(PromotionError, match=r"promotion.yaml: missing; run this from"):
        load(tmp_path / "promotion.yaml")


@pytest.mark.parametrize("text", ["", "models: [", "models: {a: *b}", "- a", "models: 3", "\t", "models: {1: {}}"])
def test_what_is_no_mapping_of_models_is_one_sentence(text: str) -> None:
    """Broken YAML and other shapes are refused with a line, never a traceback."""
    with pytest.raises(PromotionError, match=r"^(promotion.yaml:\d+: [^\n]+\n?)+$"):
        parse(text)


def test_the_policys_digest_ignores_layout_and_the_pin_but_not_the_order_of_rules() -> None:
    """Comments, layout and the champion do not change a policy; a bound or the first rule do."""
    digest = parse(GOOD).models["fraud-detector"].policy.digest

    def other(old: str, new: str) -> str:
        text = GOOD.replace(old, new, 1)
        assert text != GOOD
        return parse(text).models["fraud-detector"].policy.digest

    assert other("      looks: 5\n", "      looks: 5 # five\n\n") == digest
    assert other("version: 3", "version: 4") == digest
    assert other("0.20", "0.21") != digest
    rules = "      net_benefit: superior\n      f1: {not_worse_than: 0.05}\n"
    swapped = "      f1: {not_worse_than: 0.05}\n      net_benefit: superior\n"
    assert other(rules, swapped) != digest


DIGESTS = [  # as the release before this schema computed them: the pins of that day verify
    (GOOD, "sha256:6f16395c7c4a77a26c17d187689add00a7ed5a36c93b47e6a69554bd043ab5fd"),
    (
        """\
models:
  a:
    measure: {test_days: 0x7, delay_days: 0, daily_reviews: 1_0, slices: [b, a],
              metrics: {zz: {better: lower, formula: 'a/b', unit: m}}, dollars: {review: .5, caught: x}}
    gate: {"f1 by a=x y": ">  1e3", zz: "<= 1_0.5"}
    challenge: {zz: superior, looks: 3, "f1 by b": {not_worse_than: 5.5%}, confidence: 9.5e-1, worthwhile: 1}
    champion: {version: 1, adopted: yes}
""",
        "sha256:b142dc077f1be5e6f8bda7ca4dfc69f4f2d2b72d2b71a03987134c2e926d6e57",
    ),
]


@pytest.mark.parametrize(("text", "digest"), DIGESTS, ids=["plain", "odd"])
def test_a_policys_digest_never_changes(text: str, digest: str) -> None:
    """It is over what the file says, in its order: no default, no later key, no reading of numbers moves it."""
    (entry,) = parse(text).models.values()

    assert entry.policy.digest == digest


def test_what_a_default_says_is_not_in_the_digest() -> None:
    """A file that spells a default out is another text, so another digest, and the same judgement."""
    spelled = SMALLEST.replace("{f1: superior}", "{confidence: 0.95, looks: 5, f1: superior}")
    short, long = (parse(text).models["fraud-detector"].policy for text in (SMALLEST, spelled))

    assert short.digest != long.digest
    assert short.challenge == long.challenge


def test_an_old_commit_is_read_by_the_style_of_its_day() -> None:
    """Anchors, octal numbers and a byte order mark were read once: the pins that were won under them verify."""
    old = "\ufeff" + GOOD.replace("looks: 5", "looks: 010").replace("[customer_id]", "&c [customer_id]")
    old = old.replace("slices: [weekend]", "slices: *c")
    entry = model_entry(old, "fraud-detector")

    assert entry is not None
    assert entry.policy.challenge.looks == 8
    assert entry.policy.raw["measure"]["slices"] == ["customer_id"]
    assert parse(old, past=True).models["fraud-detector"].policy.digest == entry.policy.digest
    with pytest.raises(PromotionError) as caught:
        parse(old)
    assert [one.line for one in caught.value.each] == [1, 7, 8, 14]


def test_a_model_entry_is_read_alone() -> None:
    """Whatever the rest of an old file says, one model's entry is read; its own mistakes are told."""
    text = GOOD + "  broken: {colour: red}\n  twice: {a: 1, a: 2}\ncolour: red\n"

    assert model_entry(text, "ghost") is None
    entry = model_entry(text, "fraud-detector")
    assert entry is not None
    assert entry.line == 2
    with pytest.raises(PromotionError, match="unknown key `colour` in `broken`"):
        model_entry(text, "broken")


def test_a_policy_survives_its_plain_form() -> None:
    """A policy that travels in a record as plain data is the same policy when it is read back."""
    policy = parse(SHIPPED).models["fraud-detector"].policy

    again = Policy.model_validate_json(json.dumps(policy.raw))

    assert (again, again.digest) == (policy, policy.digest)
    assert json.dumps(again.model_dump(mode="json")) == json.dumps(policy.raw)
    assert again.challenge.rules == policy.challenge.rules
    assert again.line_of(again.gate[0]) is None
    assert policy.line_of(policy.gate[0]) == 19


def test_what_a_models_files_may_be_is_policy_and_said_for_all_or_for_one() -> None:
    """What stands at the top holds for every model; it enters the digest where it is said, and only there."""
    own = GOOD.replace("    gate:\n", "    formats: [code]\n    trusted_types: [rule.Rule]\n    gate:\n")
    both = "trusted_types:\n  - sklearn.tree._tree.Tree\n" + own
    policies = [parse(text).models["fraud-detector"].policy for text in (GOOD, own, both)]

    assert [policy.formats for policy in policies] == [(), ("code",), ("code",)]
    assert policies[2].trusted_types == ("rule.Rule", "sklearn.tree._tree.Tree")
    assert len({policy.digest for policy in policies}) == 3
    assert set(policies[0].raw) == {"measure", "gate", "challenge"}
    assert policy_from_raw("fraud-detector", policies[2].raw).trusted_types == policies[2].trusted_types


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trusted_types: [posix.system]", "can never be trusted in a model: posix.system"),
        ("trusted_types: [os.path.join]", "can never be trusted"),
        ("trusted_types: [builtins.eval]", "can never be trusted"),
        ("trusted_types: ['a b']", "not `a b`"),
        ("trusted_types: sklearn.tree._tree.Tree", "must be a list of type names"),
        ("formats: [skops]", "must be"),
        ("formats: pickle", "must be a list of formats"),
    ],
)
def test_what_no_policy_may_allow_is_one_sentence(line: str, said: str) -> None:
    """Callables of os, builtins and the like; formats that do not exist."""
    with pytest.raises(PromotionError) as caught:
        parse(line + "\n" + GOOD)

    assert str(caught.value).startswith("promotion.yaml:1: ") and said in str(caught.value)
