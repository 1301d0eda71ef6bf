//! Everything that is said of a path, for people, machines and the page.

use super::log::{Counts, Log};
use super::summary::Summary;
use crate::output::time_ms;
use mainstay::log::Lsn;
use serde::Serialize;

/// Everything that is said of a path.
#[derive(Serialize)]
pub struct Report {
    /// The path as it was given.
    pub path: String,
    /// What it leads to.
    pub kind: &'static str,
    /// When it was looked at, as Unix time in ms.
    pub inspected_ms: i64,
    /// The version of the RDB, if it is one or begins with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rdb_version: Option<String>,
    /// Whether a server has it open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_live: Option<bool>,
    /// Of a data set: its number, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Of a data set: its timelines, the current one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timelines: Vec<TimelineReport>,
    /// Its files.
    pub files: Vec<FileReport>,
    /// What its frames say, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// What its keys are.
    pub contents: Option<ContentsReport>,
    /// Why keys or frames could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A timeline.
#[derive(Serialize)]
pub struct TimelineReport {
    /// Its name, in hexadecimal.
    pub id: String,
    /// The LSN at which it began.
    pub begin_lsn: Lsn,
}

/// A file.
#[derive(Default, Serialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Its length.
    pub bytes: u64,
    /// Number of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// `open`, `sealed` or `retired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// When it was retired, as Unix time in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_ms: Option<u64>,
    /// Its frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Counts>,
}

impl FileReport {
    /// What it is, and in which state, in words.
    pub fn described(&self) -> String {
        match (self.state, self.retired_ms) {
            (_, Some(ms)) => {
                format!("{}, retired {}", self.what, time_ms(i64::try_from(ms).unwrap_or(i64::MAX)))
            }
            (Some(state), None) => format!("{}, {state}", self.what),
            (None, None) => self.what.clone(),
        }
    }
}

/// What is in it.
#[derive(Serialize)]
pub struct ContentsReport {
    /// Everything below this LSN is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<Lsn>,
    /// As of when it is, as Unix time in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Fields about the file: name and value.
    pub aux: Vec<(String, String)>,
    /// Libraries of functions.
    pub functions: Vec<FunctionReport>,
    /// What was passed over: names and counts.
    pub skipped: Vec<(&'static str, u64)>,
    /// Which keys are counted, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What the keys are.
    #[serde(flatten)]
    pub keys: Summary,
}

/// A library of functions.
#[derive(Serialize)]
pub struct FunctionReport {
    /// The first line of its source, which names it.
    pub first_line: String,
    /// Length of its source.
    pub bytes: u64,
}
