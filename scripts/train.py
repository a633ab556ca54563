"""Fit and save the candidate, and make its features: reads plan.json and the exported source.

Model code runs in processes of its own whose environment holds no secret. A tree that was trained before is not
trained again: prepare.py has put its files in place, and only the features of the test rows are made.
"""

import shutil

from promotion.cli import command_line, handled
from promotion.config.model_yaml import maker, read_spec, windows
from promotion.pullrequest.candidate import candidate_record
from promotion.pullrequest.incoming import allowed_by
from promotion.pullrequest.sides import make_features, packages
from promotion.pullrequest.workdir import Work
from promotion.records.files import digest_files
from promotion.records.plan import ModelPlan
from promotion.records.steps import Candidate
from promotion.sandbox.artifact import read_artifact
from promotion.sandbox.run import run_model_code
from promotion.text.progress import progress


def train(plan: ModelPlan, work: Work, lock: str) -> Candidate:
    """Train one model from its exported tree; raise PromotionError when its code or data fail."""
    files = work.model(plan.model)
    side = files.side("candidate")
    spec = read_spec(side.source, shown=plan.shown)
    measure = plan.judged_by.measure
    spans = windows(spec, test_days=measure.test_days, delay_days=measure.delay_days)
    shutil.rmtree(side.model, ignore_errors=True)
    result = run_model_code(
        "train",
        {
            "source": str(side.source.resolve()),
            "packages": packages(plan, files, "candidate"),
            "out": str(side.model.resolve()),
            "training": str(side.training.resolve()),
            "spec": {
                "as_of": str(spec.as_of),
                "train_days": spec.train_days,
                "validation_days": spec.validation_days,
                "seed": spec.seed,
                "parameters": spec.parameters,
            },
            "train": [str(spans.train.first), spans.train.days],
            "validation": [str(spans.validation.first), spans.validation.days],
        },
        log=side.root / "train.log",
        blame=plan.shown,
    )
    read_artifact(side.model, allowed_by(plan), source=side.source)
    seconds = float(result["train_seconds"])
    record = candidate_record(plan, spec, digest=digest_files(side.model), lock=lock, seconds=seconds)
    record.write(files.candidate_record)
    return record


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and train every planned model, or one."""
    parser = command_line(
        "Fit and save the candidates of a plan.",
        "work",
        epilog="Reads WORK/plan.json and WORK/MODEL/candidate/source/. "
        "Writes WORK/MODEL/candidate/{candidate.json,model/,features/,table/,train.log}. Holds no credentials.",
    )
    parser.add_argument("--model", help="only this model (default: every planned one)")
    args = parser.parse_args(argv)
    work = Work(args.work)
    with work.held():
        lock = work.read_plan().lock
        for item in work.chosen(args.model, ("train", "judge")):
            with work.model(item.model).noted():
                _one(item, work, lock)
    return 0


def _one(item: ModelPlan, work: Work, lock: str) -> None:
    if item.elsewhere is not None:
        print(f"{item.model}: trained elsewhere, by {maker(item.elsewhere)}; nothing to train")
    elif item.action == "judge":
        print(f"{item.model}: already trained from this tree (run {item.run_id}); not trained again")
    else:
        with progress(f"{item.model}: training from tree {(item.source_tree or '')[:12]}"):
            record = train(item, work, lock)
        days = f"{record.train[0]} to {record.train[1]}"
        print(f"{item.model}: trained in {record.train_seconds:.1f} s on {days}")
    make_features(item, work.model(item.model), "candidate")


if __name__ == "__main__":
    raise SystemExit(main())
