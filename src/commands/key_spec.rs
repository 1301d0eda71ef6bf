//! Where the keys of a command are, and the keys of a request.

use super::flags::KeyFlags;

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// How to go on from there.
    pub find: Find,
    /// What happens to the keys.
    pub flags: KeyFlags,
}

impl KeySpec {
    /// One key, at argument `index`.
    pub const fn at(index: u16, flags: KeyFlags) -> Self {
        Self::range(index, 0, 1, flags)
    }

    /// Keys from argument `index` on, every `step`-th, up to `last` as in [`Find::Range`].
    pub const fn range(index: u16, last: i16, step: u16, flags: KeyFlags) -> Self {
        Self { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, flags }
    }

    /// A number of keys at argument `index`, and then the keys.
    pub const fn counted(index: u16, flags: KeyFlags) -> Self {
        Self {
            begin: Begin::Index(index),
            find: Find::Count { count: 0, first: 1, step: 1 },
            flags,
        }
    }

    /// Whether these are keys at all, and not only arguments that travel like keys.
    pub fn is_key(&self) -> bool {
        !self.flags.has(KeyFlags::NOT_KEY)
    }

    /// Whether there may be keys that this does not find.
    pub fn is_incomplete(&self) -> bool {
        self.flags.has(KeyFlags::INCOMPLETE)
    }
}

/// Where the keys of a [`KeySpec`] begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(u16),
    /// After this keyword, searched from argument `from` on (backwards from the end if negative).
    Keyword {
        /// The keyword, in upper case.
        keyword: &'static str,
        /// Where the search starts.
        from: i16,
    },
    /// Nobody can say from the arguments' order alone.
    Unknown,
}

/// How a [`KeySpec`] goes on from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` arguments further (negative: counted from the end), every `step`-th; with
    /// `limit` > 1 only the first 1/limit of them.
    Range {
        /// Last key, relative to the beginning; -1 is the last argument.
        last: i16,
        /// Distance of keys.
        step: u16,
        /// Fraction to look at; 0 and 1 mean all.
        limit: u16,
    },
    /// A count at `count`, then keys from `first` on, every `step`-th (relative to the beginning).
    Count {
        /// Where the count is.
        count: u16,
        /// Where the first key is.
        first: u16,
        /// Distance of keys.
        step: u16,
    },
    /// Unknown.
    Unknown,
}

/// How many key specs a command has at most.
const RANGES_MAX: usize = 4;

/// One key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Which argument it is.
    pub index: usize,
    /// What happens to it, as in [`KeySpec::flags`].
    pub flags: KeyFlags,
}

/// The keys of a request, in the order of the key specs. A few ranges; nothing is allocated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    ranges: [Range; RANGES_MAX],
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    first: usize,
    /// Inclusive.
    last: usize,
    step: usize,
    flags: KeyFlags,
}

impl Keys {
    /// Adds the arguments from `first` to `last` (inclusive), every `step`-th.
    pub fn push(&mut self, first: usize, last: usize, step: usize, flags: KeyFlags) {
        self.ranges[self.len] = Range { first, last, step: step.max(1), flags };
        self.len += 1;
    }

    /// Each key.
    pub fn iter(&self) -> impl Iterator<Item = FoundKey> {
        self.ranges[..self.len].iter().flat_map(|range| {
            let indexes = (range.first..=range.last).step_by(range.step);
            indexes.map(|index| FoundKey { index, flags: range.flags })
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.ranges[..self.len].iter().map(|r| (r.last - r.first) / r.step + 1).sum()
    }
}
