//! Carrying out the commands of an append-only file, as Redis does when it starts with one.

use super::reader::{CommandReader, ReadError, Step};
use super::report::{Cut, CutCause, ImportError};
use super::{Importer, Input, rdb};
use crate::engine::replay::{Refusal, Replayer, is_one_of};
use crate::resp::{Args, OwnedArgs};

/// How an RDB file begins, Redis's or Valkey's, also one that is the first part of an append-only file.
const RDB_MAGICS: [[u8; 5]; 2] = [*b"REDIS", *b"VALKE"];

/// The progress is noted after so many commands.
const PROGRESS_COMMANDS: u64 = 1024;

/// Commands that a Redis may write and that change no data.
pub(super) const IGNORED: [&str; 4] = ["PUBLISH", "SPUBLISH", "PING", "SCRIPT"];

/// An open `MULTI`: where it begins, and what was queued with where it began.
type Transaction = (u64, Vec<(u64, OwnedArgs)>);

impl Importer<'_> {
    /// Loads one part of an append-only file. Only the last one may end in the middle of something.
    pub(super) fn aof(&mut self, input: &Input, is_last: bool) -> Result<(), ImportError> {
        let mut magic = [0; 5];
        let is_rdb = input.len >= magic.len() as u64 && {
            let read = input.file.read_exact_at(&mut magic, 0);
            read.map_err(|error| input.disk_error(error))?;
            RDB_MAGICS.contains(&magic)
        };
        let offset = if is_rdb { self.rdb(input, rdb::Role::Preamble)? } else { 0 };
        let mut reader = CommandReader::new(input.file.clone(), input.len, offset);
        let Some((offset, cause)) = self.commands(input, &mut reader)? else { return Ok(()) };
        let path = input.path.clone();
        if !is_last || !self.options.load_truncated {
            return Err(ImportError::Truncated { path, offset, cause, last: is_last });
        }
        self.report.cut = Some(Cut { path, offset, bytes: input.len - offset, cause });
        Ok(())
    }

    /// Carries out what `reader` gives. If the file ends in the middle of something, says where that begins.
    fn commands(
        &mut self,
        input: &Input,
        reader: &mut CommandReader,
    ) -> Result<Option<(u64, CutCause)>, ImportError> {
        let mut replayer = Replayer::of_redis(self.state, self.now_ms);
        let mut transaction: Option<Transaction> = None;
        let mut count = 0u64;
        let (report, path) = (&mut self.report, &input.path);
        let mut run = |offset, args: Args<'_>| {
            report.commands += 1;
            match replayer.command(args) {
                Ok(()) => Ok(()),
                Err(_) if is_one_of(args, &IGNORED) => {
                    report.commands -= 1;
                    report.ignored += 1;
                    Ok(())
                }
                // What follows would go to another database than it is meant for.
                Err(Refusal::Failed(_, reason)) if is_one_of(args, &["SELECT"]) => {
                    let reason = format!("the database cannot be selected: {reason}");
                    Err(ImportError::Command { path: path.clone(), offset, reason })
                }
                // Redis goes on as well: the command had failed there in the same way.
                Err(failed @ Refusal::Failed(..)) => {
                    report.fail(path, offset, &failed);
                    Ok(())
                }
                Err(refusal) => {
                    let reason = refusal.to_string();
                    Err(ImportError::Command { path: path.clone(), offset, reason })
                }
            }
        };
        loop {
            let step = reader.next().map_err(|error| match error {
                ReadError::Disk(error) => input.disk_error(error),
                ReadError::Format { offset, reason } => {
                    ImportError::Format { path: path.clone(), offset, reason }
                }
            })?;
            let offset = match step {
                Step::Command { offset } => offset,
                // What an open transaction has queued is none of the data.
                Step::End => return Ok(transaction.map(|(at, _)| (at, CutCause::Transaction))),
                Step::Cut { offset } => {
                    let open = transaction.map(|(at, _)| (at, CutCause::Transaction));
                    return Ok(open.or(Some((offset, CutCause::Command))));
                }
            };
            let args = reader.args();
            match &mut transaction {
                None if is_one_of(args, &["MULTI"]) => transaction = Some((offset, Vec::new())),
                None => run(offset, args)?,
                Some((_, queue)) if is_one_of(args, &["EXEC"]) => {
                    for (offset, queued) in queue.drain(..) {
                        run(offset, queued.as_args())?;
                    }
                    transaction = None;
                }
                Some((_, queue)) => queue.push((offset, args.to_owned())),
            }
            count += 1;
            if count.is_multiple_of(PROGRESS_COMMANDS) {
                self.progress.reached(self.bytes_before + reader.offset());
            }
        }
    }
}
