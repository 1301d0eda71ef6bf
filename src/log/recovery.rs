//! What a recovery gives, and why there may be none.

use super::frame::{FrameDamage, FrameHeader, Lost};
use super::lsn::Lsn;
use super::manifest::ManifestError;
use super::room;
use super::segment::{HeaderError, Preamble};
use crate::disk::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why the RDB at the beginning of a base cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreambleDamage {
    /// Where.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
    /// Nothing is damaged: it only does not fit what it is loaded into.
    pub is_sound: bool,
}

/// A unit of a sound frame that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreplayable {
    /// The command, or the transaction that it is in.
    pub unit: Range<Lsn>,
    /// Why.
    pub reason: String,
}

/// Takes what recovery reads.
pub trait Replay {
    /// Loads the RDB at the beginning of a base, which is what the log starts from.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    fn preamble(
        &mut self,
        file: &Arc<dyn File>,
        preamble: &Preamble,
        lsn: Lsn,
    ) -> Result<(), PreambleDamage>;

    /// Carries out the commands of one frame; its header says their LSN, when they were written, and which database is
    /// selected where they begin.
    ///
    /// # Errors
    /// Which of them cannot be carried out, and why.
    fn commands(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), Unreplayable>;

    /// Notes that something is missing here: commands behind it may need what is lost, and then they are passed over.
    fn lost(&mut self, lost: &Lost) {
        let _ = lost;
    }

    /// How many commands were passed over because something was missing before them.
    fn passed_over(&self) -> u64 {
        0
    }

    /// How many keys the base had, if there was one.
    fn base_keys(&self) -> Option<u64> {
        None
    }

    /// The database selected behind the last command.
    fn selected_db(&self) -> u32;
}

/// What lay behind the place at which recovery cut the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// The LSN there.
    pub lsn: Lsn,
    /// Bytes behind it, up to the last that is not zero.
    pub bytes: u64,
    /// Frames behind it whose header is valid.
    pub frames: u64,
    /// From the last frame before the cut to the last valid one behind it.
    pub span_ms: u64,
    /// Where the bytes were put; `None` before the log has begun to write.
    pub set_aside: Option<PathBuf>,
    /// What was wrong at the cut.
    pub damage: FrameDamage,
}

/// The last close was not a clean one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclean {
    /// What the lock file says of the process that did not close.
    pub process: String,
    /// Commands that were written but not known to be durable, in bytes; they were made durable, or
    /// will be once the log can begin to write.
    pub secured_bytes: u64,
}

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no data set; an empty one was made.
    pub created: bool,
    /// Keys of the base that everything began with, if there was one.
    pub base_keys: Option<u64>,
    /// Frames read.
    pub frames: u64,
    /// Bytes of commands read.
    pub bytes: u64,
    /// The LSN at which the log goes on.
    pub lsn: Lsn,
    /// When the last frame was written, as Unix time in ms; 0 if there is none.
    pub time_ms: u64,
    /// What was cut off, if anything.
    pub cut: Option<Cut>,
    /// Set if the last close was not a clean one.
    pub unclean: Option<Unclean>,
    /// What a repair could not save, in order.
    pub lost: Vec<Lost>,
    /// Commands that were passed over because they need what is lost.
    pub passed_over: u64,
    /// Why the log could not begin to write, for lack of room; it goes on trying.
    pub start_failure: Option<String>,
}

/// Why a data set cannot be opened. What makes it up was not changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process (its lock file says: {process})")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the lock file says.
        process: String,
    },
    /// The disk refused.
    #[error("{doing} {path} failed: {source}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
    /// The manifest cannot be used.
    #[error("{path}: {source}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// There is no manifest, but there is data.
    #[error(
        "{dir}: the manifest is missing, but there is data in {file}; refusing to start empty \
         (mainstay-tool repair can rebuild the manifest)"
    )]
    ManifestMissing {
        /// The directory.
        dir: PathBuf,
        /// A file that holds data.
        file: String,
    },
    /// A new data set is to begin where there is one already.
    #[error("{dir} holds a data set that this server has not written; refusing to replace it")]
    OtherData {
        /// The directory.
        dir: PathBuf,
    },
    /// A file that the manifest lists is not there.
    #[error("{path} is missing, but the manifest lists it (LSN {lsn} and later)")]
    FileMissing {
        /// The file.
        path: PathBuf,
        /// Where its data begins.
        lsn: Lsn,
    },
    /// A file's header cannot be used.
    #[error("{path}, offset {offset}: {source} (the file holds LSN {lsn} and later)")]
    Header {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Why.
        source: HeaderError,
        /// Where its data begins.
        lsn: Lsn,
    },
    /// A file is sound, but not the one that the manifest lists.
    #[error("{path}: {field} in the file's header is not what the manifest says (LSN {lsn})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// Where its data should begin.
        lsn: Lsn,
    },
    /// Acknowledged data is damaged.
    #[error(
        "{path}, offset {offset}: acknowledged data is damaged: {damage}; \
         LSN {lsn} to {lsn_end}, database {db}. Nothing was changed. \
         'mainstay-tool repair' saves everything else"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        damage: FrameDamage,
        /// First LSN that is lost.
        lsn: Lsn,
        /// LSN behind what is lost.
        lsn_end: Lsn,
        /// The database that was selected.
        db: u32,
    },
    /// The RDB at the beginning of a base is damaged.
    #[error(
        "{path}, offset {offset}: acknowledged data is damaged: {reason}; what lies before LSN {lsn}. \
         Nothing was changed. 'mainstay-tool repair' saves everything else"
    )]
    Preamble {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// The LSN as of which it is.
        lsn: Lsn,
    },
    /// Sound bytes hold what cannot be carried out or loaded.
    #[error("{path}, offset {offset}: what is there at LSN {lsn} cannot be replayed: {reason}")]
    Replay {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The LSN of the command, or of the transaction that it is in.
        lsn: Lsn,
        /// The LSN behind it; the same if it is no command.
        end_lsn: Lsn,
        /// Why.
        reason: String,
    },
}

impl OpenError {
    /// Whether it is only room that is missing.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if room::is_out_of_space(source))
    }
}

pub(super) fn disk_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> OpenError + use<'a> {
    move |source| OpenError::Disk { doing, path: path.into(), source }
}
