//! Ranges of scores and of members.

/// A range of scores.
#[derive(Clone, Copy, Debug)]
pub struct ScoreRange {
    /// The lowest score, or the one above which the range begins.
    pub min: f64,
    /// Whether `min` itself is outside.
    pub excludes_min: bool,
    /// The highest score, or the one below which the range ends.
    pub max: f64,
    /// Whether `max` itself is outside.
    pub excludes_max: bool,
}

impl ScoreRange {
    /// Whether a score is not too low.
    pub fn begins_before(&self, score: f64) -> bool {
        if self.excludes_min { score > self.min } else { score >= self.min }
    }

    /// Whether a score is not too high.
    pub fn ends_after(&self, score: f64) -> bool {
        if self.excludes_max { score < self.max } else { score <= self.max }
    }
}

/// Where a range of members begins or ends.
#[derive(Clone, Copy, Debug)]
pub enum LexBound<'a> {
    /// Below all members.
    Lowest,
    /// Above all members.
    Highest,
    /// At this member, which is inside.
    Inclusive(&'a [u8]),
    /// At this member, which is outside.
    Exclusive(&'a [u8]),
}

/// A range of members. It has a meaning for elements whose scores are all the same.
#[derive(Clone, Copy, Debug)]
pub struct LexRange<'a> {
    /// Where it begins.
    pub min: LexBound<'a>,
    /// Where it ends.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether a member is not too low.
    pub fn begins_before(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Inclusive(min) => member >= min,
            LexBound::Exclusive(min) => member > min,
        }
    }

    /// Whether a member is not too high.
    pub fn ends_after(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(max) => member <= max,
            LexBound::Exclusive(max) => member < max,
        }
    }

    /// Whether nothing can lie between the bounds.
    pub fn is_empty(&self) -> bool {
        use LexBound::{Exclusive, Highest, Inclusive, Lowest};
        match (self.min, self.max) {
            (Highest, _) | (_, Lowest) => true,
            (Lowest, _) | (_, Highest) => false,
            (Inclusive(min), Inclusive(max)) => min > max,
            (Inclusive(min) | Exclusive(min), Inclusive(max) | Exclusive(max)) => min >= max,
        }
    }
}
