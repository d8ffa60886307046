"""What trials came to, as a table for people and as an object for JSON; a scenario's seeds are added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pehra.demo.scenarios.judging import ENOUGH, Score
from pehra.demo.scenarios.trial import Outcome

HEADER = ("scenario", "rule", "event", "true", "told", "right", "missed", "false", "prec.", "recall")


@dataclass(frozen=True, slots=True)
class Summary:
    """One scenario over its seeds.

    Attributes:
        name: of the scenario.
        seeds: that were shown.
        scores: all seeds together, one for each rule and kind.
        outcomes: seed by seed.
    """

    name: str
    seeds: tuple[int, ...]
    scores: tuple[Score, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def is_enough(self) -> bool:
        """Whether every rule reached its precision and recall."""
        return all(score.is_enough for score in self.scores)

    @property
    def still_share(self) -> float:
        """Of the frames with nobody in sight, the share that the motion gate skipped, mean of the seeds."""
        return sum(outcome.still_share for outcome in self.outcomes) / len(self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "scenario": self.name,
            "seeds": list(self.seeds),
            "is_enough": self.is_enough,
            "rules": [_numbers(score) for score in self.scores],
            "frames": sum(outcome.frames for outcome in self.outcomes),
            "looked": sum(outcome.looked for outcome in self.outcomes),
            "skipped_of_still": round(self.still_share, 4),
            "wrong": [f"seed {o.seed}: {line}" for o in self.outcomes for line in o.wrong],
        }


def summary(outcomes: Sequence[Outcome]) -> Summary:
    """Add up the outcomes of one scenario's seeds, at least one."""
    added: dict[tuple[str, str], Score] = {}
    for outcome in outcomes:
        for score in outcome.scores:
            key = (score.rule, score.kind)
            added[key] = added[key] + score if key in added else score
    seeds = tuple(outcome.seed for outcome in outcomes)
    return Summary(outcomes[0].name, seeds, tuple(added.values()), tuple(outcomes))


def rows(found: Summary) -> list[tuple[str, ...]]:
    """Return the rows of the table under `HEADER`."""
    return [
        (found.name, score.rule, score.kind, str(score.true), str(score.told), str(score.right),
         str(score.missed), str(score.false), f"{score.precision:.3f}", f"{score.recall:.3f}")
        for score in found.scores
    ]  # fmt: skip


def lines(found: Summary) -> list[str]:
    """Return what belongs below the table: what was wrong and why, and what the gate saved."""
    frames = sum(outcome.frames for outcome in found.outcomes)
    looked = sum(outcome.looked for outcome in found.outcomes)
    said = [f"seed {o.seed}: {line}" for o in found.outcomes for line in o.wrong]
    said.append(
        f"{found.name}: {frames} frames, the detector looked at {looked}; of those with nobody in sight the "
        f"motion gate skipped {found.still_share:.1%}"
    )
    if not found.is_enough:
        said.append(f"{found.name}: NOT GOOD ENOUGH, precision or recall is below {ENOUGH}")
    return said


def _numbers(score: Score) -> dict[str, Any]:
    return {
        **asdict(score),
        "missed": score.missed,
        "false": score.false,
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
    }
