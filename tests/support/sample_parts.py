"""Parts of records as real runs make them, which samples.py puts together."""

from promotion.config.pin import PinRecord
from promotion.records.plan import Changed, FileChange, ModelPlan, Plan
from promotion.records.steps import Candidate, ScoresInfo

MODEL = "fraud-detector"
POLICY = {
    "measure": {
        "test_days": 7,
        "delay_days": 7,
        "dollars": {"caught": "amount", "review": 15},
        "cluster": ["customer_id", "terminal_id"],
        "slices": ["weekend", "amount_band"],
    },
    "gate": {"net_benefit": "> 40000", "f1": "> 0.20"},
    "challenge": {
        "confidence": 0.95,
        "looks": 5,
        "worthwhile": 1000,
        "net_benefit": "superior",
        "f1": {"not_worse_than": 0.05},
    },
}
TREE_OLD, TREE_NEW = "5b1c" + "0a9f" * 9, "9e3d" + "71c2" * 9
SHA_OLD, SHA_NEW, POLICY_SHA = ("sha256:" + c * 64 for c in "3c7")
PIN_OLD = PinRecord(version=3, source_tree=TREE_OLD, digest=SHA_OLD, evidence="sha256:" + "e" * 64)
PIN_NEW = PinRecord(version=4, source_tree=TREE_NEW, digest=SHA_NEW, evidence="sha256:" + "f" * 64)
PLAN = Plan(base="b" * 40, head="a" * 40, merge="d" * 40, lock="sha256:" + "1" * 64, models=())


def model_plan(**changes: object) -> ModelPlan:
    """The plan of a retrain PR against champion 3."""
    fields: dict = {
        "model": MODEL,
        "action": "train",
        "reason": "the tree of models/fraud-detector changed and no version was trained from it",
        "source_tree": TREE_NEW,
        "key": "fraud-detector-9e3d71c271c2",
        "champion": PIN_OLD,
        "pin": PIN_OLD,
        "policy": POLICY,
        "policy_digest": POLICY_SHA,
        "changed": changed(),
    }
    return ModelPlan(**{**fields, **changes})


def changed() -> Changed:
    """Another estimator on a week of newer data."""
    return Changed(
        settings=(
            ("as_of", "2018-08-01", "2018-08-08"),
            ("parameters.estimator", "logistic_regression", "random_forest"),
            ("parameters.settings.n_estimators", None, "100"),
            ("parameters.threshold", "net_benefit", "0.35"),
        ),
        files=(FileChange(path="model.yaml", added=6, removed=3), FileChange(path="train.py", added=14, removed=2)),
    )


def candidate() -> Candidate:
    """A trained candidate with its windows."""
    return Candidate(
        model=MODEL,
        key="fraud-detector-9e3d71c271c2",
        source_tree=TREE_NEW,
        lock="sha256:" + "1" * 64,
        digest=SHA_NEW,
        as_of="2018-08-08",
        train=("2018-07-18", "2018-07-24"),
        validation=("2018-07-25", "2018-07-31"),
        labels_known_by="2018-08-07",
        parameters={"n_estimators": 100},
        seed=7,
        inputs=(("amount", "double"), ("weekend", "long")),
        train_seconds=21.4,
    )


def scores(**changes: object) -> ScoresInfo:
    """What was scored, with latencies."""
    fields: dict = {
        "model": MODEL,
        "task": "classification",
        "first": "2018-08-08",
        "last": "2018-08-14",
        "rows": 68553,
        "keys": ("transaction_id",),
        "columns": ("day", "amount", "customer_id", "terminal_id", "weekend", "amount_band"),
        "test_digest": "sha256:" + "2" * 64,
        "candidate_digest": SHA_NEW,
        "candidate_predictions": "sha256:" + "4" * 64,
        "champion_predictions": "sha256:" + "5" * 64,
        "latency_ms": {"champion.one_row": 2.113, "candidate.one_row": 3.62},
    }
    return ScoresInfo(**{**fields, **changes})
