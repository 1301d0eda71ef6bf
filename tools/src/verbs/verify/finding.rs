//! What is damaged.

use crate::output;
use mainstay::log::Lsn;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// A damaged range of a file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    /// Where the range begins.
    pub offset: u64,
    /// How long it is; 0 if it is a place, or nothing that is there.
    pub bytes: u64,
    /// What is wrong.
    pub damage: String,
    /// The commands that it holds or held: first LSN, and the LSN behind the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<(Lsn, Lsn)>,
    /// The number of commands lost after the first LSN is unknown, because the evidence is damaged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown_end: bool,
    /// When they were written (Unix ms): not before the first, not after the second; `null` if
    /// unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<(Option<u64>, Option<u64>)>,
    /// The database of the keys, or that was selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<u32>,
    /// How many keys of a base it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_count: Option<u64>,
    /// Keys that it touches, as far as they can be made out; escaped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// How many more were made out.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_keys: u64,
    /// Nothing shows that it was acknowledged: an unfinished write looks like this, and a start cuts it off.
    pub unfinished_write: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Finding {
    /// Damage at a place.
    pub fn at(file: &str, offset: u64, damage: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), offset, damage: damage.to_string(), ..Self::default() }
    }

    /// Names these keys.
    pub fn name_keys(&mut self, keys: &BTreeSet<Vec<u8>>) {
        self.keys = output::first_names(keys);
        self.more_keys = (keys.len() - self.keys.len()) as u64;
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, offset {}", self.file, self.offset)?;
        if self.bytes > 0 {
            write!(f, " to {}", self.offset + self.bytes)?;
        }
        write!(f, ": {}", self.damage)?;
        if self.unfinished_write {
            write!(f, " (an unfinished write looks like this: a start cuts it off)")?;
        }
        match self.lsn {
            Some((lsn, _)) if self.unknown_end => {
                write!(f, "; an unknown amount is lost at LSN {lsn}")?;
            }
            Some((lsn, end)) if lsn == end => write!(f, "; at LSN {lsn}, no command is lost")?,
            Some((lsn, end)) => write!(f, "; LSN {lsn} to {end}")?,
            None => {}
        }
        if let Some((from, to)) = self.time_ms {
            let time = |ms: u64| output::time_ms(ms as i64);
            match (from, to) {
                (Some(from), Some(to)) if from == to => write!(f, ", written {}", time(from))?,
                (Some(from), Some(to)) => write!(f, ", written {} to {}", time(from), time(to))?,
                (Some(from), None) => write!(f, ", written {} or later", time(from))?,
                (None, Some(to)) => write!(f, ", written {} or earlier", time(to))?,
                (None, None) => {}
            }
        }
        if let Some(db) = self.db {
            write!(f, ", database {db}")?;
        }
        if let Some(count) = self.key_count {
            write!(f, ", {} of the base", output::counted(count, "key", "keys"))?;
        }
        if !self.keys.is_empty() {
            let total = self.keys.len() as u64 + self.more_keys;
            write!(f, "; touches: {}", output::names(&self.keys, total))?;
        }
        Ok(())
    }
}
