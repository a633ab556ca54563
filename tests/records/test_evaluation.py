"""Records: canonical bytes, also of those that an older release wrote."""

from promotion import __version__
from promotion.records.evaluation import Evaluation

OF_0_0 = """\
{
  "schema_version": 1,
  "model": "m",
  "verdict": "FIRST",
  "headline": "h",
  "policy": {
    "measure": {
      "test_days": 7,
      "delay_days": 7,
      "dollars": {
        "caught": "amount",
        "review": 15
      },
      "cluster": [
        "customer_id"
      ]
    },
    "gate": {
      "f1": "> 0.20"
    },
    "challenge": {
      "confidence": 0.95,
      "looks": 5,
      "f1": {
        "not_worse_than": 0.05
      }
    }
  },
  "policy_digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111",
  "test": {
    "first": "2026-01-01",
    "last": "2026-01-07",
    "rows": 3,
    "positives": null,
    "digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222"
  },
  "candidate": {
    "source_tree": null,
    "digest": "sha256:3333333333333333333333333333333333333333333333333333333333333333",
    "predictions": null,
    "version": null,
    "labels_known_by": null
  },
  "champion": null,
  "gate": [],
  "challenge": [],
  "comparisons": [],
  "days": [],
  "power": [],
  "looks": null,
  "notes": [],
  "confidence_used": 0.95
}
"""


def test_evidence_of_an_older_release_keeps_its_digest() -> None:
    """Fields that came later do not enter the text of a record that lacks them, so its pin still names it."""
    old = Evaluation.parse(OF_0_0, where="evaluation.json")

    assert old.release is None
    assert old.text() == OF_0_0
    assert old.sha256 == "sha256:9106554e481267afa81f1aae7b1540da93e9d530816dd1306b7a9db92c6e10c2"


def test_release_that_judged_is_in_the_evidence() -> None:
    """What is judged today says by which release, and reads back the same."""
    new = Evaluation.parse(OF_0_0, where="evaluation.json").model_copy(update={"release": __version__})

    assert f'"release": "{__version__}"' in new.text()
    assert Evaluation.parse(new.text(), where="evaluation.json") == new
