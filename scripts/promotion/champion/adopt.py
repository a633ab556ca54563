"""Adopt: pins for champions that the registry had before this project, so that nobody has to retrain first.

Only what is known is written: the version, the digest of its files as they are today, and the source
tree where the version's own tag and this checkout agree. What cannot be proven, how the champion was
won, is marked `adopted: true`.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from promotion.config.edit import add_entries, pin_lines, splice
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import Promotion, parse
from promotion.config.sections import MODEL_NAME, NAMES
from promotion.config.strict import read_text
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.registry.at_once import at_once
from promotion.registry.client import CHAMPION, RegisteredModel, Registry, Version
from promotion.registry.ledger import has_ledger
from promotion.text.progress import progress

HEADER = """\
# yaml-language-server: $schema=.github/promotion.schema.json
#
# Policy and state: what is measured, the gate, the challenge, and who is champion.
models:
"""

# A policy that judges; the comments say what to make of it before the first retrain pull request.
POLICY = {
    "classification": """\
measure:
  test_days: 7 # days of the test window
  delay_days: 7 # labels of day d are known on day d + 7
  # dollars: {caught: amount, review: 15} # what outcomes are worth; net_benefit can then be a rule
  # cluster: [customer_id] # rows that belong together; they widen the intervals
  # slices: [region] # shown in the report, and usable in rules
gate: # floors; below any of them a candidate is never registered
  f1: "> 0.20"
challenge: # candidate against champion, on the same rows
  confidence: 0.95
  looks: 5 # how many candidates may be judged on overlapping test days
  f1: superior
""",
    "regression": """\
measure:
  test_days: 28 # days of the test window
  delay_days: 7 # labels of day d are known on day d + 7
  # cluster: [customer_id] # rows that belong together; they widen the intervals
  # slices: [region] # shown in the report, and usable in rules
gate: # floors; below any of them a candidate is never registered
  r2: "> 0"
challenge: # candidate against champion, on the same rows
  confidence: 0.95
  looks: 5 # how many candidates may be judged on overlapping test days
  rmse: superior
""",
}


@dataclass(frozen=True)
class Adoptable:
    """A model whose champion is not ours yet. entry: promotion.yaml names it; why_not: one sentence, or None.

    found: the champion's version, where it came along with the model.
    """

    model: str
    version: int
    entry: bool
    why_not: str | None = None
    found: Version | None = None

    def __str__(self) -> str:
        if self.why_not is not None:
            return f"{self.model}: @champion is version {self.version}; {self.why_not}"
        kind = "its entry gets a pin" if self.entry else "it gets an entry"
        return f"{self.model}: @champion is version {self.version}; {kind}"


def adoptable(promotion: Promotion, registered: dict[str, RegisteredModel]) -> list[Adoptable]:
    """Return the models with a champion that promotion.yaml does not pin and that this project never set; pure."""
    found = []
    for name, model in sorted(registered.items()):
        champion = model.aliases.get(CHAMPION)
        entry = promotion.models.get(name)
        if champion is None or (entry is not None and entry.champion is not None):
            continue
        why_not = None
        if has_ledger(model.tags):
            why_not = "the ledger says that this project set it before; use `promote.py history` and rollback.py"
        elif not re.fullmatch(MODEL_NAME, name):
            why_not = f"its name cannot be a model's here ({NAMES}), so it cannot be adopted"
        found.append(Adoptable(name, champion, entry is not None, why_not, model.latest.get(champion)))
    return found


def chosen(found: Sequence[Adoptable], names: Sequence[str]) -> list[Adoptable]:
    """Return the models to adopt, by name; raise PromotionError for one that cannot be."""
    by_name = {item.model: item for item in found}
    for name in names:
        if name not in by_name:
            known = ", ".join(item.model for item in found if item.why_not is None) or "none"
            raise PromotionError(
                f"{name} has nothing to adopt: it is pinned already, or the registry has no @champion of that name; "
                f"to adopt: {known}"
            )
        if by_name[name].why_not is not None:
            raise PromotionError(f"{name} cannot be adopted: {by_name[name].why_not}")
    return [by_name[name] for name in dict.fromkeys(names)]


def adopted_pin(item: Adoptable, registry: Registry, repo: Repo) -> PinRecord:
    """Return the pin of a champion: its version, the digest of its files now, its tree only where it is proven."""
    version = item.found or registry.version(item.model, item.version)
    if version is None or not version.ready:
        raise PromotionError(f"{item.model}: version {item.version} is not READY, so its files cannot be read")
    with tempfile.TemporaryDirectory() as folder:
        _, digest = registry.fetch_version(version, Path(folder))
    tree = version.tags.get("source_tree")
    proven = tree is not None and version.tags.get("digest") == digest and _tree_here(repo, item.model) == tree
    return PinRecord(
        version=item.version, source_tree=tree if proven else None, digest=digest, evidence=None, adopted=True
    )


def _tree_here(repo: Repo, model: str) -> str | None:
    try:
        return repo.object_at("HEAD", f"models/{model}")
    except PromotionError:
        return None  # no git here, or no commit yet: then nothing is proven


def write_adopted(text: str | None, pins: dict[str, PinRecord], *, task: str = "classification") -> str:
    """Return promotion.yaml with these champions: pins in entries that are there, new entries below the others.

    Everything else keeps its bytes. text: None where there is no file yet. Raise PromotionError when the
    result would say anything else.
    """
    text = HEADER.rstrip("\n") + " {}\n" if text is None else text
    known = parse(text).models
    result = splice(text, {name: pin for name, pin in pins.items() if name in known})
    new = {name: _entry_lines(name, pin, POLICY[task]) for name, pin in pins.items() if name not in known}
    return add_entries(result, new, pins)


def _entry_lines(name: str, pin: PinRecord, policy: str) -> list[str]:
    return [
        "# adopted: edit this policy before the first retrain pull request",
        f"{name}:",
        *(f"  {line}" for line in policy.splitlines()),
        "  champion: # what the registry had; how it was won is not known here",
        *(f"    {line}" for line in pin_lines(pin)),
    ]


def adopt(
    path: Path, repo: Repo, registry: Registry, names: Sequence[str], *, everything: bool = False, task: str
) -> tuple[list[str], bool]:
    """Write the pins of `names`, or of `everything` whose files can be read, into the file at `path`.

    Return lines to print, and whether all that was asked for is done. Without names nothing is written: the lines say
    what could be adopted. The registry is only read.
    """
    text = read_text(path, missing="see the README for a first") if path.exists() else None
    promotion = Promotion(models={}) if text is None else parse(text, file=str(path))
    found = adoptable(promotion, registry.models())
    if not names and not everything:
        listed = [str(item) for item in found]
        if not any(item.why_not is None for item in found):
            return [*listed, f"nothing to adopt in {registry.where}"], True
        return [*listed, "name the models to adopt, or --all; nothing was written"], True
    wanted = [item for item in found if item.why_not is None] if everything else chosen(found, names)
    pins, refused = _pins(wanted, registry, repo)
    if refused and not everything:
        raise next(iter(refused.values()))
    lines = [str(item) for item in found if everything and item.why_not is not None]
    lines += [f"REFUSED {error}" for error in refused.values()]
    if not pins:
        return [*lines, f"nothing to adopt in {registry.where}"], not refused
    changed = write_adopted(text, pins, task=task)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(changed.encode("utf-8"))
    temporary.replace(path)
    lines += [_wrote(item, pins[item.model]) for item in wanted if item.model in pins]
    lines.append(
        "edit the policies marked `adopted`, open a pull request with this file alone, and merge it: "
        "promote.py then records these champions and moves nothing"
    )
    return lines, not refused


def _pins(
    wanted: Sequence[Adoptable], registry: Registry, repo: Repo
) -> tuple[dict[str, PinRecord], dict[str, PromotionError]]:
    """The pins by model, and why others have none."""

    def pin_of(item: Adoptable) -> PinRecord | PromotionError:
        try:
            return adopted_pin(item, registry, repo)
        except PromotionError as error:
            return error

    pins, refused = {}, {}
    with progress("reading files", len(wanted), "models", told=False) as step:
        for item, found in zip(wanted, at_once(pin_of, wanted, registry.at_once), strict=True):
            if isinstance(found, PinRecord):
                pins[item.model] = found
            else:
                refused[item.model] = found
            step.advance()
    return pins, refused


def _wrote(item: Adoptable, pin: PinRecord) -> str:
    proof = "its source tree is proven" if pin.source_tree else "its source is not known here"
    return f"{item.model}: version {item.version} is pinned as adopted; {proof}"
