"""Evidence: what a pin was won with is held against the pin, the base's champion and the base's policy."""

import pytest
import yaml
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import parse
from promotion.records.evaluation import Side
from promotion.registry.evidence import check_evidence, judge_evidence

from tests.support.worlds import MODEL, World, evaluation, policy_text, sha

PIN = PinRecord(version=2, source_tree="2" * 40, digest=sha("2"), evidence=sha("won"))
BASE = PinRecord(version=1, source_tree="1" * 40, digest=sha("1"), evidence=sha("first"))
ADOPTED = BASE.model_copy(update={"source_tree": None, "evidence": None, "adopted": True})
RAW = {key: value for key, value in yaml.safe_load(policy_text(MODEL))["models"][MODEL].items() if key != "champion"}


def problems(**changed) -> list[str]:
    """What is wrong with evidence that is right but for what a test changes."""
    what = {
        "model": MODEL,
        "verdict": "PROMOTE",
        "policy": sha("policy"),
        "digest": PIN.digest,
        "tree": PIN.source_tree,
        "beat": BASE,
        "champion": BASE,
        **changed,
    }
    side = Side(source_tree=what["tree"], digest=what["digest"])
    won = evaluation(what["model"], what["verdict"], RAW, what["policy"], side, what["beat"])
    return judge_evidence("it", PIN, won, model=MODEL, champion=what["champion"], policy_digest=sha("policy"))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"verdict": "FIRST", "beat": None, "champion": None},
        {"champion": ADOPTED, "beat": ADOPTED},
        {"champion": ADOPTED.model_copy(update={"digest": None})},  # nobody wrote down which files it had
    ],
)
def test_evidence_that_was_won_as_the_base_demands(changed) -> None:
    """These files, from this tree, against the champion of the base under its policy."""
    assert problems(**changed) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "other"}, "is about other"),
        ({"verdict": "KEEP"}, "says KEEP, which does not promote"),
        ({"verdict": "INCONCLUSIVE"}, "says INCONCLUSIVE"),
        ({"verdict": "REJECTED"}, "says REJECTED"),
        ({"digest": sha("other")}, "about other files or another source tree"),
        ({"tree": "3" * 40}, "about other files or another source tree"),
        ({"policy": sha("easier")}, "under another policy"),
        ({"beat": None}, "was won against no champion, but the base pins version 1"),
        ({"champion": None}, "was won against version 1, but the base pins no champion"),
        ({"beat": BASE.model_copy(update={"version": 3})}, "was won against version 3, but the base pins version 1"),
        ({"beat": BASE.model_copy(update={"digest": sha("x")})}, "was won against version 1, but the base pins"),
        ({"champion": ADOPTED, "beat": None}, "was won against no champion, but the base pins version 1"),
        ({"champion": ADOPTED, "beat": BASE.model_copy(update={"version": 3})}, "was won against version 3"),
    ],
)
def test_evidence_that_was_not(changed, said: str) -> None:
    """Each thing that differs is a sentence, and the only one."""
    (found,) = problems(**changed)

    assert found.startswith("it: ") and said in found


def test_evidence_that_cannot_be_had_is_a_sentence(first_champion: World) -> None:
    """The version, its evidence, or the bytes of then are missing: what a pull request says before it is merged."""
    world, base = first_champion, first_champion.pinned()
    assert base is not None
    pin = world.candidate("two")
    policy = parse(world.read()).models[MODEL].policy.digest

    def said(**changed) -> list[str]:
        mine = pin.model_copy(update=changed)
        return check_evidence(world.registry, MODEL, mine, champion=base, policy_digest=policy)

    assert said() == []
    assert said(version=9) == [f"tiny version 9 does not exist in {world.registry.where}"]
    assert said(evidence=None) == ["tiny version 2 has no evidence"]
    assert said(evidence=sha("other")) == [f"tiny version 2: the evidence {sha('other')[:19]} is not kept with its run"]
    kept = world.files_of(2).parent / "evidence" / f"{str(pin.evidence).removeprefix('sha256:')}.json"
    kept.write_bytes(kept.read_bytes() + b" ")
    (changed,) = said()
    assert "does not hash to its pin" in changed
