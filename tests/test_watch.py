"""watch.py on a hosted repository: which promotions are looked at, on which days, and what follows from it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import score
import watch
from promotion.config.pin import Override
from promotion.errors import PromotionError
from promotion.judgement.table import open_scores, predictions_digest, rows_digest
from promotion.pullrequest.sides import packages
from promotion.pullrequest.workdir import Work
from promotion.records.steps import ScoresInfo
from promotion.registry.watched import look_key, read_looks
from promotion.timeline import Look

from tests.support.hosted_world import HostedWorld
from tests.support.score_tables import frame
from tests.support.worlds import World

Out = pytest.CaptureFixture[str]
MERGED = "2026-08-03T10:00:00Z"
WORSE, SAME, BETTER = (0.3, 0.95), (0.7, 0.7), (0.95, 0.3)  # what champion and predecessor find of all frauds
MEASURE = """\
    measure:
      {test_days: 7, delay_days: 7, dollars: {caught: amount, review: 15}, cluster: [customer_id, terminal_id]}
    gate: {net_benefit: "> 1000"}
    challenge: {confidence: 0.95, looks: 5, net_benefit: superior}
"""


def build(world: World) -> None:
    """Version 2 followed version 1 on 3 August 2026."""
    text = world.read()
    begin, end = text.index("    measure:"), text.index("    champion:")
    world.write("promotion.yaml", text[:begin] + MEASURE + text[end:])
    world.commit("policy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMOTION_NOW", MERGED)
        for name in ("one", "two"):
            world.merge(name)
            assert world.apply() == 0


@pytest.fixture
def hosted(prepared, host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HostedWorld:
    """Two champions, one after the other, and watch.yml's token."""
    found: HostedWorld = host(prepared("watched", build, hosted=True))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_TOKEN", found.github.hub.token())
    return found


class Watching:
    """A day of watch.yml, with scores that a test chooses in place of what score.py writes."""

    def __init__(self, hosted: HostedWorld, patch: pytest.MonkeyPatch, capsys: Out, folder: Path) -> None:
        self.hosted, self.patch, self.capsys, self.folder = hosted, patch, capsys, folder

    def _run(self, command: str, day: str) -> tuple[int, str]:
        self.patch.setenv("PROMOTION_NOW", f"{day}T04:00:00Z")
        self.hosted.git("fetch", "--quiet", "origin")
        self.capsys.readouterr()
        code = watch.main([command, "--repo", str(self.hosted.clone), "--work", str(self.folder)])
        said = self.capsys.readouterr()
        return code, said.out + said.err

    def plan(self, day: str) -> tuple[int, str]:
        """`watch.py plan` on a day."""
        return self._run("plan", day)

    def look(self, day: str, finds: tuple[float, float] = SAME, **changes: object) -> tuple[int, str]:
        """All three jobs on a day."""
        code, said = self.plan(day)
        if code == 0 and Work(self.folder).read_plan().models:
            self.score(finds, **changes)
        code, more = self._run("judge", day)
        return code, said + more

    def score(self, finds: tuple[float, float], **changes: object) -> None:
        """Write what score.py would, about the planned days; changes: of the record."""
        (item,) = Work(self.folder).read_plan().models
        assert item.looked is not None and item.pin is not None
        files, first = Work(self.folder).model(item.model), item.looked[0]
        table = frame(3000, seed=pd.Timestamp(first).dayofyear, finds=finds)
        table["key.id"] += pd.Timestamp(first).toordinal() * 10_000
        table["column.day"] += pd.Timestamp(first) - pd.Timestamp("2018-08-15")
        if item.champion is None:  # it answers alone
            table = table[[name for name in table if not name.startswith("candidate.")]]
            table.columns = [name.replace("champion.", "candidate.") for name in table]
        files.scores.mkdir(parents=True, exist_ok=True)
        for day, part in table.groupby("column.day"):
            part.to_parquet(files.scores / f"part-{day:%Y-%m-%d}.parquet", index=False)
        scores = open_scores(files.scores, item.judged_by)
        record = {
            "model": item.model, "task": "classification", "first": first,
            "last": str((pd.Timestamp(first) + pd.Timedelta(days=6)).date()), "rows": scores.rows,
            "keys": tuple(scores.keys), "columns": tuple(scores.columns), "test_digest": rows_digest(scores),
            "candidate_predictions": predictions_digest(scores, "candidate"),
            "champion_predictions": None if item.champion is None else predictions_digest(scores, "champion"),
            "candidate_digest": item.pin.digest,
            "champion_digest": None if item.champion is None else item.champion.digest, **changes,
        }  # fmt: skip
        ScoresInfo(**record).write(files.scores_record)

    @property
    def looks(self) -> list[Look]:
        """The looks that the registered model's tags say."""
        return [look for looks in read_looks(self.hosted.world.tags()).values() for look in looks]

    @property
    def pulls(self) -> list[dict]:
        """The open pull requests."""
        return self.hosted.pulls()


@pytest.fixture
def watching(hosted: HostedWorld, monkeypatch: pytest.MonkeyPatch, capsys: Out, tmp_path: Path) -> Watching:
    """Watch of the hosted world."""
    return Watching(hosted, monkeypatch, capsys, tmp_path / "work")


def test_days_whose_labels_are_not_known_are_said_and_no_error(watching: Watching) -> None:
    """Whole days after the merge, 4 to 10 August, are labelled a week later."""
    assert watching.plan("2026-08-17") == (0, watching.plan("2026-08-17")[1])
    code, said = watching.look("2026-08-17")

    assert code == 0 and watching.looks == []
    assert "look 1 of 8 waits; no new labelled days: those of 2026-08-04 to 2026-08-10 are known on 2026-08-18" in said


def test_a_promotion_that_pays_is_a_line_of_the_history(watching: Watching) -> None:
    """Nothing is opened; the next look takes the days after, and the figures are those of all days."""
    code, said = watching.look("2026-08-18", BETTER)
    (first,) = watching.looks

    assert code == 0, said
    assert "look 1 of 8: fine: net_benefit: " in said and "realized +$" in said
    assert (first.verdict, first.version, first.against) == ("fine", 2, 1)
    assert (first.first, first.last) == ("2026-08-04", "2026-08-10")
    assert first.realized is not None and first.realized.difference > 0
    assert watching.pulls == [] and watching.hosted.world.champion() == 2

    version = watching.hosted.world.registry.version("tiny", 2)
    watching.hosted.world.registry.describe_version("tiny", 2, f"**PROMOTE** of a person's\n\n{version.description}")
    code, said = watching.look("2026-08-25", BETTER)
    assert code == 0, said
    second = watching.looks[1]
    told = watching.hosted.world.registry.version("tiny", 2).description

    assert (
        version.description.startswith("**After the merge:** fine; ")
        and "(look 1 of 8, on 2026-08-04" in version.description
    )
    assert told.startswith("**PROMOTE** of a person's\n\n**After the merge:** fine; ") and told.count("After") == 1
    assert " against version 1 (look 2 of 8, on 2026-08-11 to 2026-08-17)" in told

    assert (second.number, second.first, second.realized.first) == (2, "2026-08-11", "2026-08-04")
    assert "no new labelled days" in watching.look("2026-08-25")[1] and len(watching.looks) == 2


def test_a_promotion_that_does_not_pay_is_proposed_to_be_taken_back(watching: Watching) -> None:
    """The rollback's own pull request, with the report as its body; the run of its check is started; nothing moves."""
    hosted = watching.hosted
    code, said = watching.look("2026-08-18", WORSE)
    (pull,) = watching.pulls

    assert code == 1 and watching.looks[0].verdict == "worse" and f"opened #{pull['number']}" in said
    assert pull["title"].startswith("Roll back tiny from version 2 to version 1")
    assert "WORSE · `tiny` version 2\n" in pull["body"] and "| net_benefit in 7 days | version 2" in pull["body"]
    assert "Its predecessor, version 1, is better." in pull["body"]
    assert "\n\n---\n" in pull["body"]  # a line, and no heading
    assert "newly missed (−" in pull["body"].replace("\u2060", "")
    assert "**Merging moves `@champion` of `tiny`: 2 -> 1**" in pull["body"]
    assert hosted.pin(hosted.tip(pull["head_ref"])).version == 1
    assert [run["inputs"] for run in hosted.github.hub.state["dispatches"]] == [{"pull_request": str(pull["number"])}]
    assert hosted.world.champion() == 2 and hosted.pin("main").version == 2


def test_one_pull_request_that_is_brought_up_to_date(watching: Watching) -> None:
    """What was found worse is looked at no more; what somebody edits away comes back, and no second one is opened."""
    watching.look("2026-08-18", WORSE)
    (pull,) = watching.pulls
    pull["body"] = "emptied"
    code, said = watching.look("2026-08-25", BETTER)

    assert code == 1 and len(watching.looks) == 1 and len(watching.pulls) == 1
    assert "WORSE" in watching.pulls[0]["body"] and f"#{pull['number']} is open" in said


def test_quiet_once_a_person_closed_it(watching: Watching) -> None:
    """A closed pull request is a no."""
    watching.look("2026-08-18", WORSE)
    watching.hosted.github.hub.close_pull(watching.pulls[0]["number"])
    code, said = watching.look("2026-08-19")

    assert code == 0 and watching.pulls == [] and "was closed, so nothing more is proposed" in said


def test_a_rollback_that_was_merged_is_not_argued_with(watching: Watching) -> None:
    """The predecessor is champion again: its floors are looked at, and it is held against nobody."""
    hosted = watching.hosted
    watching.look("2026-08-18", WORSE)
    (pull,) = watching.pulls
    hosted.squash(pull["head_ref"], f"{pull['title']} (#{pull['number']})")
    hosted.github.hub.close_pull(pull["number"], merged=True)
    assert "its pin is not applied yet" in watching.look("2026-08-19")[1]
    hosted.pull_main()
    assert hosted.world.apply() == 0
    code, said = watching.look("2026-09-30", WORSE)
    last = watching.looks[-1]

    assert code == 0 and "its floors alone, because somebody went back to it on " in said
    assert hosted.world.champion() == 1 and watching.pulls == []
    assert (last.verdict, last.version, last.against) == ("fine", 1, None)


def test_a_pull_request_that_was_cut_off_is_opened_the_next_day(watching: Watching) -> None:
    """What a look found is kept before anything is proposed, so a failure loses nothing."""
    settings = watching.hosted.github.hub.state["settings"]["workflow"]
    settings["can_approve_pull_request_reviews"] = False
    code, said = watching.look("2026-08-18", WORSE)
    assert code == 1 and "not proposed: " in said and watching.pulls == [] and len(watching.looks) == 1

    settings["can_approve_pull_request_reviews"] = True
    watching.look("2026-08-19")

    assert len(watching.pulls) == 1 and len(watching.looks) == 1


def edited(hosted: HostedWorld, change: str, text: str) -> None:
    """Change promotion.yaml on main."""
    world = hosted.world
    world.write("promotion.yaml", world.read().replace(change, text, 1))
    world.commit("Edit the policy (#9)")
    hosted.publish()


def test_a_freeze_is_obeyed(watching: Watching) -> None:
    """It is measured and said, and nothing is proposed."""
    edited(watching.hosted, "    champion:", "    freeze: audit week\n    champion:")
    code, said = watching.look("2026-08-18", WORSE)

    assert code == 1 and "frozen (audit week), so no pull request is opened" in said
    assert watching.pulls == [] and watching.looks[0].verdict == "worse"


def test_an_override_is_a_persons_word(watching: Watching) -> None:
    """What somebody put there for a reason is measured, and not argued with."""
    world = watching.hosted.world
    pin = world.candidate("three", verdict="KEEP")
    world.pin(pin.model_copy(update={"override": Override(by="Dana", reason="the regulator asks")}))
    world.commit("Override (#5)")
    watching.hosted.publish()
    watching.patch.setenv("PROMOTION_NOW", "2026-08-03T18:00:00Z")
    assert world.apply() == 0
    code, said = watching.look("2026-08-18", WORSE)

    assert code == 1 and "an override put it there (the regulator asks)" in said and watching.pulls == []


def test_two_promotions_in_one_day(watching: Watching) -> None:
    """The one that stands is looked at, against the one before it; that one's looks are its own."""
    world = watching.hosted.world
    watching.patch.setenv("PROMOTION_NOW", "2026-08-03T12:00:00Z")
    world.merge("three")
    watching.hosted.publish()
    assert world.apply() == 0
    code, said = watching.look("2026-08-18", BETTER)
    assert code == 0, said
    (look,) = watching.looks

    assert (look.version, look.against, look.first) == (3, 2, "2026-08-04")


def test_a_floor_missed_is_one_issue(watching: Watching) -> None:
    """No better predecessor, and too little money: one issue, closed when it is over."""
    state = watching.hosted.github.hub.state
    edited(watching.hosted, 'net_benefit: "> 1000"', 'net_benefit: "> 900000"')
    code, _ = watching.look("2026-08-18", BETTER)
    watching.look("2026-08-19")
    (issue,) = state["issues"]

    assert code == 1 and watching.looks[0].verdict == "floor missed"
    assert issue["title"] == "Below the floor: tiny" and "FLOOR MISSED · `tiny` version 2" in issue["body"]
    assert "`python scripts/rollback.py tiny`" in issue["body"]
    edited(watching.hosted, 'net_benefit: "> 900000"', 'net_benefit: "> 1000"')
    watching.look("2026-08-25", BETTER)

    assert state["issues"][0]["state"] == "closed" and watching.pulls == []


def first_champion_only(world: World) -> None:
    """Take back that version 2 ever followed."""
    world.git("reset", "--quiet", "--hard", "HEAD~1")
    world.git("push", "--quiet", "--force", "origin", "main:main")
    for key in [key for key in world.tags() if key.endswith(f"{world.height() + 1:08d}")]:
        world.registry.client.delete_registered_model_tag("tiny", key)


def test_a_first_champion_is_held_to_its_floors(watching: Watching) -> None:
    """It has nobody to be compared with, so it answers alone; a floor that it misses is the issue."""
    first_champion_only(watching.hosted.world)
    code, said = watching.look("2026-08-18", BETTER)
    (look,) = watching.looks

    assert code == 0, said
    assert "look 1 of 8 on 2026-08-04 to 2026-08-10, its floors alone, because it is the first champion" in said
    assert "look 1 of 8: fine: net_benefit: " in said
    assert (look.version, look.against, look.verdict) == (1, None, "fine")
    assert look.realized is not None and look.realized.level is not None and look.realized.difference is None

    edited(watching.hosted, 'net_benefit: "> 1000"', 'net_benefit: "> 900000"')
    code, _ = watching.look("2026-08-25", BETTER)
    (issue,) = watching.hosted.github.hub.state["issues"]

    assert code == 1 and watching.looks[1].verdict == "floor missed" and watching.pulls == []
    assert "FLOOR MISSED · `tiny` version 1" in issue["body"] and "rollback.py" not in issue["body"]


def test_scores_with_a_predecessor_are_none_of_a_first_champion(watching: Watching) -> None:
    """What was scored is not what was planned: nothing is kept."""
    first_champion_only(watching.hosted.world)
    code, said = watching.look("2026-08-18", BETTER, champion_predictions="sha256:" + "0" * 64)

    assert code == 1 and "it was not made with the champion's pinned files" in said and watching.looks == []


def test_looks_end(watching: Watching) -> None:
    """After the last one a promotion is left alone."""
    edited(watching.hosted, "    champion:", "    watch: {looks: 1}\n    champion:")
    watching.look("2026-08-18", BETTER)

    assert "version 2 was looked at 1 times, which is all" in watching.look("2026-09-18")[1]


# what comes in is not what was asked for


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"candidate_digest": "sha256:" + "0" * 64}, "other model files than the plan"),
        ({"champion_digest": "sha256:" + "0" * 64}, "was not made with the champion's pinned files"),
        ({"last": "2026-08-09"}, "it is about tiny on 2026-08-04 to 2026-08-09"),
        ({"test_digest": "sha256:" + "0" * 64}, "the scores do not hash to what scores.json says"),
    ],
)
def test_scores_of_something_else_are_not_judged(watching: Watching, changes: dict, saying: str) -> None:
    """One sentence; nothing is kept, so the same days are looked at when they are right."""
    code, said = watching.look("2026-08-18", WORSE, **changes)

    assert code == 1 and "tiny: not looked at: " in said and saying in said
    assert watching.looks == [] and watching.pulls == []


def test_labels_that_come_late_or_twice_use_no_look(watching: Watching) -> None:
    """A day without rows, or a row that is there twice, is a sentence; the days are looked at when they are whole."""
    watching.plan("2026-08-18")
    watching.score(BETTER)
    files = Work(watching.folder).model("tiny")
    day = files.scores / "part-2026-08-10.parquet"
    kept = day.read_bytes()
    day.unlink()
    late = watching._run("judge", "2026-08-18")
    twice = pd.concat([pd.read_parquet(files.scores / "part-2026-08-09.parquet")] * 2)
    day.write_bytes(kept)
    twice.to_parquet(files.scores / "part-2026-08-09.parquet", index=False)
    doubled = watching._run("judge", "2026-08-18")

    assert late[0] == doubled[0] == 1 and watching.looks == []
    assert "not looked at" in late[1] and "not looked at" in doubled[1]
    assert watching.look("2026-08-30", BETTER)[0] == 0
    assert watching.looks[0].first == "2026-08-04"


def test_labels_that_never_come_are_said_every_day(watching: Watching) -> None:
    """What the job that scored could not do is passed on, and nothing is used up."""
    watching.plan("2026-08-18")
    with pytest.raises(PromotionError), Work(watching.folder).model("tiny").noted():
        raise PromotionError("data.py gives no label on 2026-08-07")
    code, said = watching._run("judge", "2026-08-18")

    assert code == 1 and "tiny: not looked at: data.py gives no label on 2026-08-07" in said
    assert watching.looks == []


def test_labels_that_change_after_a_look_change_no_look(watching: Watching) -> None:
    """A look's days are used: its own table is kept, and counts in the later ones as it was then."""
    watching.look("2026-08-18", BETTER)
    kept = watching.looks[0]
    watching.look("2026-08-25", SAME)

    assert watching.looks[0] == kept


def test_a_predecessor_whose_files_are_gone(watching: Watching) -> None:
    """Said with what to do; the job that judges passes it on; nothing is used up."""
    hosted = watching.hosted
    (hosted.world.files_of(1) / "MLmodel").write_text("another\n")
    code, said = watching.plan("2026-08-18")
    after = watching._run("judge", "2026-08-18")

    assert code == 1 and "tiny version 1: the files in the registry hash to" in said
    assert after[0] == 1 and "not looked at: tiny version 1: the files" in after[1]
    assert watching.looks == []


def test_a_predecessor_whose_libraries_are_gone(watching: Watching, tmp_path: Path) -> None:
    """What its tree asks for cannot be installed any more: said by the job that scores, and no look is used up."""
    for name, value in {"UV_NO_INDEX": "1", "UV_CACHE_DIR": str(tmp_path / "uv"), "RUNNER_TEMP": str(tmp_path)}.items():
        watching.patch.setenv(name, value)
    watching.plan("2026-08-18")
    asked = Work(watching.folder).model("tiny").side("candidate").source / "requirements.txt"
    asked.write_text(f"long-gone==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    scored = score.main(["--work", str(watching.folder)])
    code, said = watching._run("judge", "2026-08-18")

    assert scored == 2 and code == 1
    assert "tiny: not looked at: models/tiny/requirements.txt: it cannot be installed" in said
    assert watching.looks == []


def test_a_predecessors_lock_may_be_older_than_the_bases(watching: Watching) -> None:
    """It was champion, so it answers with the base's packages where the two differ, as a champion does."""
    watching.plan("2026-08-18")
    (item,) = Work(watching.folder).read_plan().models
    files = Work(watching.folder).model("tiny")
    older = f"numpy==1.0 --hash=sha256:{'0' * 64}\n"
    (files.side("candidate").source / "requirements.txt").write_text(older, encoding="utf-8")

    assert packages(item, files, "candidate") is None
    with pytest.raises(PromotionError, match="numpy"):
        packages(item.model_copy(update={"action": "train"}), files, "candidate")


def test_an_earlier_table_that_is_gone(watching: Watching) -> None:
    """A look is judged on all days since the promotion, so it says which table it lacks."""
    watching.look("2026-08-18", BETTER)
    place = next(iter(read_looks(watching.hosted.world.tags())))
    folder = watching.hosted.world.files_of(2).parent / "watch" / f"{place}.001" / "scores"
    for part in folder.iterdir():
        part.unlink()
    folder.rmdir()
    code, said = watching.look("2026-08-25", BETTER)

    assert code == 1 and "the score table of look 1 is gone from run" in said and len(watching.looks) == 1


def test_the_outputs_of_plan(watching: Watching, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The job that scores runs where something is due."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    watching.plan("2026-08-18")

    assert json.loads((tmp_path / "out").read_text().splitlines()[1]) == ["tiny"]


def test_an_unknown_model_is_bad_input(watching: Watching) -> None:
    """One sentence that names the known ones."""
    assert watch.main(["plan", "--repo", str(watching.hosted.clone), "--work", str(watching.folder), "other"]) == 2
    assert "no entry for the model `other`; known: tiny" in watching.capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"last": "yesterday"}, {"number": 3}, None], ids=["a day that is none", "another look's", "gone"]
)
def test_a_look_that_somebody_changed_stops_its_model_and_no_other_look_is_written_over(
    watching: Watching, change: dict | None
) -> None:
    """The tag is named, what to do is said, and the run is red until then."""
    watching.look("2026-08-18", SAME)
    watching.look("2026-08-25", SAME)
    world = watching.hosted.world
    place, (first, _) = next(iter(read_looks(world.tags()).items()))
    if change is None:
        world.registry.client.delete_registered_model_tag("tiny", look_key(place, 1))
    else:
        world.registry.set_model_tag("tiny", look_key(place, 1), first.model_copy(update=change).tag())
    before = world.tags()

    for code, said in (watching.plan("2026-09-01"), watching.look("2026-09-01", SAME)):
        assert code == 1 and f"the tag {look_key(place, 1)} of the registered model is gone or is not" in said
    assert world.tags() == before
