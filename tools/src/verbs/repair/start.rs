//! Whether a server starts with the copy.

use super::report::Report;
use crate::output::{Failure, Output, counted};
use crate::source;
use crate::verbs::verify;
use mainstay::disk::{Disk, RealDisk};
use mainstay::log::{Lsn, OpenError, Until, View};
use std::ops::Range;
use std::path::Path;

/// So many units are passed over because they cannot be executed. Behind the first, commands that
/// fail are passed over by a start itself; so this is about commands that are unknown, of which
/// each costs one more copy.
const REFUSED_MAX: usize = 16;

/// A command that cannot be executed, or its transaction.
pub struct Unit {
    /// Where it is.
    pub lsns: Range<Lsn>,
    /// Why.
    pub reason: String,
}

/// How a start ends.
pub enum Start {
    /// A server serves what was saved.
    Good,
    /// It refuses this one.
    Refused(Unit),
}

/// Executes the copy in `dir` as a server does that starts with it, and reads it back. `refused`
/// was left out of it.
pub fn try_copy(
    dir: &Path,
    refused: &[Unit],
    output: &Output,
    report: &mut Report,
) -> Result<Start, Failure> {
    let unkept = |what: &str, why: &dyn std::fmt::Display| {
        Err(Failure::new(format_args!("the copy {what}, so it was not kept: {why}")))
    };
    let view = View::open(&RealDisk, dir).map_err(Failure::new)?;
    let started = source::execute(&view, view.manifest(), Until::END, "starting", output);
    if let Err(OpenError::Replay { lsn, end_lsn, reason, .. }) = &started
        && lsn < end_lsn
        && refused.len() < REFUSED_MAX
    {
        return Ok(Start::Refused(Unit { lsns: *lsn..*end_lsn, reason: reason.clone() }));
    }
    let copy = verify::data_set(dir, output)?;
    if let Some(finding) = copy.findings.first() {
        return unkept("was read back and is damaged", finding);
    }
    match started {
        Ok((_, recovery)) => {
            if recovery.passed_over > 0 {
                let commands = counted(recovery.passed_over, "command", "commands");
                report.remark(format!(
                    "a start passes over {commands}: what is lost is needed there"
                ));
            }
            Ok(Start::Good)
        }
        Err(error) => unkept("does not start", &error),
    }
}

/// Removes a copy, so that another one can be written.
pub fn clear(dir: &Path) -> Result<(), Failure> {
    for name in RealDisk.list(dir).map_err(Failure::doing("listing", dir.display()))? {
        let path = dir.join(name);
        RealDisk.remove(&path).map_err(Failure::doing("removing", path.display()))?;
    }
    Ok(())
}
