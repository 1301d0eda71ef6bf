//! What was saved and what is lost.

use crate::output::{self, Failure, Output};
use mainstay::log::{Lost, Lsn};
use serde::Serialize;

/// Commands that are lost.
#[derive(Clone, Debug, Serialize)]
pub struct LostRange {
    /// LSN of the first.
    pub lsn: Lsn,
    /// LSN after the last; `null` if unknown.
    pub end_lsn: Option<Lsn>,
    /// Not written before this Unix time in ms.
    pub from_ms: Option<u64>,
    /// Not written after this one.
    pub to_ms: Option<u64>,
    /// Where they were, and what is there now.
    pub place: String,
    /// Nothing shows that they were acknowledged: an unfinished write looks like this.
    pub unfinished_write: bool,
}

/// A block of the base that is lost.
#[derive(Clone, Debug, Serialize)]
pub struct LostBlock {
    /// The file.
    pub file: String,
    /// Where it was.
    pub offset: u64,
    /// How long it was.
    pub bytes: u64,
    /// The database of its keys.
    pub db: u32,
    /// How many of its keys are lost; `null` if unknown.
    pub keys: Option<u64>,
    /// Those that can be made out, a hundred at most; escaped.
    pub names: Vec<String>,
}

/// A block of the base whose checksum is wrong, of which something was saved.
#[derive(Clone, Debug, Serialize)]
pub struct UnverifiedBlock {
    /// The file.
    pub file: String,
    /// Where it was.
    pub offset: u64,
    /// How long it was.
    pub bytes: u64,
    /// The database of its keys.
    pub db: u32,
    /// How many of its keys were saved; the head of the base has none.
    pub keys: u64,
    /// Their names, a hundred at most; escaped.
    pub names: Vec<String>,
}

/// What was saved and what is lost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where the copy is.
    pub written_to: Option<String>,
    /// LSN as of which the base is that the copy begins with.
    pub base_lsn: Lsn,
    /// LSN behind the last command saved.
    pub end_lsn: Lsn,
    /// Blocks of the base that were saved.
    pub blocks: u64,
    /// Frames that were saved.
    pub frames: u64,
    /// How many of them were taken from other files than those where they should be.
    pub frames_from_elsewhere: u64,
    /// Bytes of commands that were saved.
    pub command_bytes: u64,
    /// Commands that are lost.
    pub lost: Vec<LostRange>,
    /// Blocks that are lost.
    pub lost_blocks: Vec<LostBlock>,
    /// Blocks whose checksum is wrong and of which something was saved.
    pub unverified_blocks: Vec<UnverifiedBlock>,
    /// Nothing could be read at all.
    pub is_unreadable: bool,
    /// Blocks were saved that cannot be verified.
    pub is_unverified: bool,
    /// There was no usable manifest: files may be missing without a trace.
    pub is_rebuilt: bool,
    /// What people should know.
    pub remarks: Vec<String>,
}

impl Report {
    /// Notes something worth to be said.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// Whether something is lost.
    pub fn is_lossy(&self) -> bool {
        !self.lost.is_empty()
            || !self.lost_blocks.is_empty()
            || !self.unverified_blocks.is_empty()
            || self.is_unverified
    }

    /// Whether of nothing it is known that it is lost, only that something may be.
    fn is_only_unknown(&self) -> bool {
        self.lost_blocks.is_empty() && self.lost.iter().all(|lost| lost.end_lsn.is_none())
    }

    /// Whether nothing was saved though something is lost.
    pub fn is_nothing(&self) -> bool {
        let has_none = self.frames == 0 && self.blocks == 0 && self.unverified_blocks.is_empty();
        self.is_lossy() && has_none
    }

    /// How many keys of the base are lost, at least.
    pub fn lost_keys(&self) -> u64 {
        self.lost_blocks.iter().map(|block| block.keys.unwrap_or(1)).sum()
    }

    /// Notes lost commands.
    pub fn lost(&mut self, lost: &Lost, place: &str, unfinished_write: bool) {
        self.lost.push(LostRange {
            lsn: lost.lsn,
            end_lsn: Some(lost.end_lsn),
            from_ms: Some(lost.from_ms).filter(|&ms| ms > 0),
            to_ms: Some(lost.to_ms).filter(|&ms| ms < u64::MAX),
            place: place.to_owned(),
            unfinished_write,
        });
    }

    /// Shows it.
    pub fn show(&self, output: &Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.json(self);
        }
        for lost in &self.lost {
            let end = lost.end_lsn.map_or("an unknown one".to_owned(), |end| end.to_string());
            let time = |ms: Option<u64>| ms.map_or("?".to_owned(), |ms| output::time_ms(ms as i64));
            let unfinished = match lost.unfinished_write {
                true => " (an unfinished write looks like this)",
                false => "",
            };
            output.line(format_args!(
                "{}: LSN {} to {end}, written {} to {}; {}{unfinished}",
                output.red("lost"),
                lost.lsn,
                time(lost.from_ms),
                time(lost.to_ms),
                lost.place
            ))?;
        }
        for block in &self.lost_blocks {
            let keys = block.keys.map_or("unknown".to_owned(), output::count);
            let total = block.keys.unwrap_or(0).max(block.names.len() as u64);
            let names = match total {
                0 => String::new(),
                _ => format!(": {}", output::names(&block.names, total)),
            };
            output.line(format_args!(
                "{}: keys of a block of the base, {} offset {} to {}, database {}, keys: {keys}{names}",
                output.red("lost"),
                block.file,
                block.offset,
                block.offset + block.bytes,
                block.db
            ))?;
        }
        for block in &self.unverified_blocks {
            let saved = match block.keys {
                0 => "the head of the base, with functions if there were any".to_owned(),
                keys => format!(
                    "database {}, keys: {}: {}",
                    block.db,
                    output::count(keys),
                    output::names(&block.names, keys)
                ),
            };
            output.line(format_args!(
                "{}: the checksum of a block of the base is wrong, and what still decodes was saved; names and \
                 values may be others than they were; {} offset {} to {}, {saved}",
                output.red("unverified"),
                block.file,
                block.offset,
                block.offset + block.bytes
            ))?;
        }
        for remark in &self.remarks {
            output.line(remark)?;
        }
        let is_nothing = self.is_nothing() || self.is_unreadable;
        let verdict = match (self.is_lossy() || is_nothing, is_nothing) {
            (false, _) if self.is_rebuilt => output.green("all that was found was saved"),
            (false, _) => output.green("everything was saved"),
            (true, false) if self.is_only_unknown() && !self.unverified_blocks.is_empty() => {
                output.red("what was saved is unverified in part")
            }
            (true, false) if self.is_only_unknown() => output.red("something may be lost"),
            (true, false) => output.red("something is lost"),
            (true, true) => output.red("nothing can be saved"),
        };
        output.line(format_args!(
            "{verdict}: {} as of LSN {}, {} with {} of commands up to LSN {} ({} from elsewhere)",
            output::counted(self.blocks, "block", "blocks"),
            self.base_lsn,
            output::counted(self.frames, "frame", "frames"),
            output::bytes(self.command_bytes),
            self.end_lsn,
            output::counted(self.frames_from_elsewhere, "frame", "frames")
        ))?;
        if let Some(path) = &self.written_to {
            output.line(format_args!("written to {path}"))?;
        }
        Ok(())
    }
}
