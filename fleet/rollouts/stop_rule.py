"""When a rollout stops itself: too many of those who answered have failed. Pure.

The share of failures is judged by the lower end of Wilson's score interval (E. B. Wilson, "Probable
inference, the law of succession, and statistical inference", Journal of the American Statistical Association
22 (158), 1927, 209-212), which holds for few answers and for shares near 0 and 1. It is looked at after every
answer, so the true chance of stopping a good release is somewhat greater than one look's 2.5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from fleet.errors import BadInput

Z_DEFAULT: Final = 1.959964
"""Of the standard normal distribution: 97.5 % lie below."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How many have answered, and how many of them failed; a silence that is too long is an answer."""

    answered: int = 0
    failed: int = 0

    def more(self, failed: int) -> Answers:
        """Return what it is with so many more failures."""
        return Answers(self.answered + failed, self.failed + failed)


NONE: Final = Answers()


@dataclass(frozen=True, slots=True)
class StopRule:
    """What is allowed to fail.

    Attributes:
        share_max: a rollout stops when surely more than this share of the answers are failures, 0..1.
        failures_max: or when more devices than this have failed, however many answered; at least 0.
        z: how sure, in standard deviations of the normal distribution.
    """

    share_max: float = 0.05
    failures_max: int = 100
    z: float = Z_DEFAULT

    def check(self) -> None:
        """Check that the numbers make sense.

        Raises:
            BadInput: with the one that does not.
        """
        if not 0 <= self.share_max < 1:
            raise BadInput(
                "stop rule: the share of failures that is allowed is from 0 to below 1 (0.05 is 5 %)"
            )
        if not 0 <= self.failures_max <= 1_000_000:
            raise BadInput("stop rule: the number of failures that is allowed is from 0 to 1000000")
        if not 0.5 <= self.z <= 5:
            raise BadInput("stop rule: z is from 0.5 to 5 (1.96 is 97.5 % sure)")


def wilson_lower(failed: int, answered: int, z: float) -> float:
    """Return the lower end of Wilson's interval for the share of failures, 0..1; 0 without answers."""
    if answered <= 0:
        return 0.0
    share, square = failed / answered, z * z
    middle = share + square / (2 * answered)
    half = z * math.sqrt(share * (1 - share) / answered + square / (4 * answered * answered))
    return min(1.0, max(0.0, (middle - half) / (1 + square / answered)))


def why_stopped(rule: StopRule, stage: Answers, whole: Answers) -> str:
    """Return why a rollout has to stop; empty when it may go on.

    Args:
        rule: what is allowed.
        stage: answers of the stage that runs.
        whole: of all stages.
    """
    for answers, where in ((stage, "in this stage"), (whole, "in all stages")):
        surely = wilson_lower(answers.failed, answers.answered, rule.z)
        if surely > rule.share_max:
            told = f"{answers.failed} of {answers.answered} answers {where} are failures"
            return f"{told}, surely more than {100 * rule.share_max:g} %"
    if whole.failed > rule.failures_max:
        return f"{whole.failed} devices have failed, more than {rule.failures_max}"
    return ""
