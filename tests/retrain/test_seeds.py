"""`retrain.py try --seeds`: the same recipe with other seeds, and where the candidate lies among them."""

import re
from pathlib import Path

import pytest
from promotion.config.model_yaml import with_seed
from promotion.errors import PromotionError
from promotion.retrain.seeds import Refit, told

from tests.support.sample_judgements import comparisons, evaluation
from tests.support.tiny import MODEL, TinyProject

YAML = "as_of: 2024-03-01\ntrain_days: 7 # a week\nvalidation_days: 7\nseed: 3 # any\nparameters: {seed: 3}\n"


def refit(seed: int, benefit: float, verdict: str = "PROMOTE") -> Refit:
    """A refit of the sample's recipe that earns so much."""
    return Refit(seed, evaluation(verdict, "", comparisons=comparisons(47124, benefit, 2133, (0.57, 0.68))))


def test_where_the_candidate_lies_is_said() -> None:
    """A line a seed, the candidate's first; its place, the range, and how many would get its verdict."""
    lines = told(refit(7, 50184.0), [refit(8, 51200.0), refit(9, 46900.0, "KEEP"), refit(10, 48000.0, "INCONCLUSIVE")])

    assert re.search(r"7 \(yours\) +\$50,184 +0\.680 +\+\$3,060 +PROMOTE", lines[1])
    assert re.search(r"9 +\$46,900 .* −\$224 +KEEP", lines[3])
    assert lines[-2] == (
        "Of 4 seeds yours is number 2 in net benefit, from the best on: $46,900 to $51,200, standard deviation $1,969."
    )
    assert lines[-1] == "1 of the 3 others would get the same verdict, PROMOTE."


def test_a_recipe_without_chance_says_so() -> None:
    """Where every refit has the same figures, there is no place among them."""
    assert told(refit(7, 50184.0), [refit(8, 50184.0)])[-1].startswith("The seed changes nothing")


def test_a_seed_is_set_and_nothing_else() -> None:
    """Comments stay, and so does a parameter of that name."""
    assert with_seed(YAML, 4, "model.yaml") == YAML.replace("seed: 3 # any", "seed: 4 # any")
    with pytest.raises(PromotionError, match=r"model.yaml:1: the file lacks `seed`"):
        with_seed(YAML.replace("seed: 3 # any\n", ""), 4, "model.yaml")


@pytest.mark.slow
def test_refits_are_trained_and_judged_like_the_trial(tmp_path: Path) -> None:
    """Each seed trains another model on the same days; the trial's own folder and verdict stay as they were."""
    project = TinyProject(tmp_path)
    project.edit("train.py", ".fit(train.X, train.y)\n    return", ".fit(*noisy(train, spec))\n    return")
    noise = (
        "\n\ndef noisy(train: Rows, spec: Spec):\n    import numpy as np\n"
        "    chosen = np.random.default_rng(spec.seed).random(len(train.y)) < 0.2\n"
        "    return train.X[chosen], train.y[chosen]\n"
    )
    project.edit("train.py", "\n\ndef fit(", f"{noise}\n\ndef fit(")
    tried = project.attempt("--seeds", "1")
    seeds = project.clone / ".work-try" / "seeds"

    assert tried.code == 0, tried.err
    assert tried.evaluation is not None and tried.evaluation.verdict == "FIRST"
    assert sorted(path.name for path in seeds.iterdir()) == ["1"]
    assert len(set(re.findall(r"^ *[01](?: \(yours\))? +(\$\S+)", tried.out, re.MULTILINE))) == 2
    assert re.search(r"Of 2 seeds yours is number [12] in ", tried.out)
    assert (project.registry.model(MODEL), project.registry.runs(MODEL)) == (None, [])
