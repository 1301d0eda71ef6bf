//! Whether what is sound can be carried out: every history, as a start or a restore to a moment
//! does it.
//!
//! It is done only when asked for, because `verify` is to run beside a server, on any machine that has the files: of 675,000 keys
//! in 67 MiB of files it took 0.5 to 0.7 s and 14 MB without, 1.6 to 2.7 s and 136 MB with it (two cores, other work on them).

use super::Report;
use super::finding::Finding;
use crate::output::{Failure, Output, counted};
use crate::source;
use mainstay::log::{OpenError, Until, View};

/// Notes that nothing was executed.
pub fn not_executed(report: &mut Report, why: &str) {
    report.remarks.push(format!("its commands were not executed: {why}"));
}

/// Executes all that a view holds, unless something is damaged.
pub fn execute(view: &View, report: &mut Report, output: &Output) -> Result<(), Failure> {
    if report.findings.iter().any(|finding| !finding.unfinished_write) {
        not_executed(report, "it is damaged");
        return Ok(());
    }
    // An older history is wanted as far as the base of the next one, which holds the rest.
    let mut until = Until::END;
    report.executed = true;
    for history in view.histories() {
        match source::execute(view, &history, until, "executing", output) {
            Ok((_, recovery)) if recovery.passed_over > 0 => report.remarks.push(format!(
                "passed over, because an earlier repair could not save what is needed: {}",
                counted(recovery.passed_over, "command", "commands")
            )),
            Ok(_) => {}
            Err(error) => report.findings.push(finding(error)?),
        }
        until.lsn = history.base.map_or(0, |base| base.lsn);
    }
    Ok(())
}

/// What cannot be executed.
fn finding(error: OpenError) -> Result<Finding, Failure> {
    match error {
        OpenError::Replay { path, offset, lsn, end_lsn, reason } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let damage = format!("sound bytes that cannot be replayed: {reason}");
            let mut finding = Finding::at(&name, offset, damage);
            finding.lsn = Some((lsn, end_lsn));
            Ok(finding)
        }
        error => Err(Failure::new(error)),
    }
}
