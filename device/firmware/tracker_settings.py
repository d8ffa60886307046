"""What may be tuned in the tracker, with the reason for each number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How an object becomes a track and stops being one.

    Lengths are in sizes of the object, which is the longer side of its box, so that near and far objects are
    treated alike; times are seconds. How the numbers were chosen is told in docs/tracking.md.

    Attributes:
        high: a score from which a detection may start a track, 0..1.
        low: a score from which it may continue one, 0..1.
        same_overlap: of two detections of one class that overlap more than this, the weaker is left out.
        min_hits: detections before a track counts.
        lost_s: how long an unseen track still takes the detection that fits it best.
        remember_s: how long it is remembered, so that a new track can turn out to be the lost one; at least
            `lost_s`.
        new_lost_s: how long an unseen track is kept that does not count yet.
        min_overlap: smallest overlap of (widened) boxes, 0..1.
        other_overlap: the same for a detection of another class than the track's: a thing is taken for one or
            another, but a rider is not the motorcycle.
        weak_overlap: the same for a weak detection.
        young_overlap: the same for a track that does not count yet, whose speed is not known.
        widen: how far a box is widened on each side, share of its size; a track's box is widened further by
            `widen_doubt` times the standard deviation of its place.
        widen_doubt: see `widen`.
        gate: most distance of a detection from the predicted centre, in standard deviations.
        gate_size: most difference of its height (natural logarithm): a suitcase is not who left it.
        weigh_distance: how much a detection at twice the gate loses, in overlaps.
        weigh_size: how much a detection of e times the height loses, in overlaps.
        weigh_absence: how much a track unseen for a second loses to one just seen, in overlaps.
        weigh_gap: how much a track that was not seen in the frame before loses, in overlaps; so two tracks do
            not take one object in turns.
        class_bonus: how much a detection of the same class gains, in overlaps.
        noise_place: standard deviation of a detection's centre.
        noise_size: of its width and height.
        push_place: standard deviation of an object's acceleration, sizes per second squared.
        push_size: the same of its size.
        first_speed: standard deviation of the speed of a new object, sizes per second.
        first_growth: the same of its size.
        keep_speed_s: an unseen object's predicted speed falls to 1/e in this time.
        keep_growth_s: the same of its growth.
        filtered: share of the filter in the boxes given out, 0..1; the rest is the detection.
        twin_overlap: a young track that overlaps more than this with an older one may be a second box round
            the same object: it comes no nearer to counting.
        twin_cover: the same if the other covers so much of it...
        twin_height: ...and the lower of the two has this share of the other's height.
        reach: a lost object may come back so far from where it was expected...
        reach_speed: ...and so much farther for each second out of sight...
        most_reach: ...but no farther.
        reach_size: by so much (natural logarithm) may its height differ then.
        reach_lead: another pair must be so much worse, in reaches, for a re-attachment to be believed.
        rename_s: so long after it was first shown a track is compared with the lost ones once more.
        still_s: an object that has kept its place for so long stands still.
        still_travel: what counts as keeping it.
        still_lost_s: how long a standing object is remembered that is unseen since something moved before it.
        still_motion: share of a standing object's box that must be in motion for it to count as moved.
        taken_overlap: an unseen standing object is not kept where another of its class overlaps it so much.
        verify_s: a standing object is believed to be there for so long without a detection of it.
        longest_step_s: if no frame came for longer, only what stood still is looked for.
        max_tracks: the longest unseen go first beyond this.
    """

    high: float = 0.35
    low: float = 0.15
    same_overlap: float = 0.5
    min_hits: int = 3
    lost_s: float = 1.0
    remember_s: float = 2.0
    new_lost_s: float = 0.5
    min_overlap: float = 0.2
    other_overlap: float = 0.35
    weak_overlap: float = 0.25
    young_overlap: float = 0.12
    widen: float = 0.2
    widen_doubt: float = 0.5
    gate: float = 3.0
    gate_size: float = 0.6
    weigh_distance: float = 0.6
    weigh_size: float = 0.2
    weigh_absence: float = 0.15
    weigh_gap: float = 0.05
    class_bonus: float = 0.2
    noise_place: float = 0.1
    noise_size: float = 0.1
    push_place: float = 0.5
    push_size: float = 0.3
    first_speed: float = 3.0
    first_growth: float = 0.5
    keep_speed_s: float = 3.0
    keep_growth_s: float = 0.5
    filtered: float = 0.2
    twin_overlap: float = 0.5
    twin_cover: float = 0.66
    twin_height: float = 0.65
    reach: float = 0.4
    reach_speed: float = 1.0
    most_reach: float = 1.5
    reach_size: float = 0.35
    reach_lead: float = 0.0
    rename_s: float = 0.5
    still_s: float = 3.0
    still_travel: float = 0.15
    still_lost_s: float = 4.0
    still_motion: float = 0.1
    taken_overlap: float = 0.3
    verify_s: float = 60.0
    longest_step_s: float = 5.0
    max_tracks: int = 1000
