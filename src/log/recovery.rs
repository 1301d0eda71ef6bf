//! The results of a recovery, and the reasons for refusing one.

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
    /// The problem.
    pub reason: String,
    /// The bytes are sound, but cannot be loaded here.
    pub is_sound: bool,
}

/// A unit of a sound frame that cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreplayable {
    /// The command, or the transaction that it is in.
    pub unit: Range<Lsn>,
    /// Why.
    pub reason: String,
}

/// Receives the data read by a recovery.
pub trait Replay {
    /// Loads the preamble of a base.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    fn preamble(
        &mut self,
        file: &Arc<dyn File>,
        preamble: &Preamble,
        lsn: Lsn,
    ) -> Result<(), PreambleDamage>;

    /// Runs the commands of one frame. Its header holds their LSN, when they were written, and the
    /// database selected where they begin.
    ///
    /// # Errors
    /// Which unit cannot be replayed, and why.
    fn commands(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), Unreplayable>;

    /// Notes lost data: later commands that fail because of it are skipped.
    fn lost(&mut self, lost: &Lost) {
        let _ = lost;
    }

    /// How many commands were skipped because of lost data before them.
    fn passed_over(&self) -> u64 {
        0
    }

    /// The number of keys of the base, if there was one.
    fn base_keys(&self) -> Option<u64> {
        None
    }

    /// The database selected after the last command.
    fn selected_db(&self) -> u32;
}

/// The bytes that recovery cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// The LSN there.
    pub lsn: Lsn,
    /// Bytes after it, up to the last non-zero one.
    pub bytes: u64,
    /// Frames after it with a valid header.
    pub frames: u64,
    /// Time from the last frame before the cut to the last valid one after it, in ms.
    pub span_ms: u64,
    /// The file that the bytes were copied to; `None` before the log has begun to write.
    pub set_aside: Option<PathBuf>,
    /// The damage at the cut.
    pub damage: FrameDamage,
}

/// The previous process did not close the data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclean {
    /// The content of the lock file, which identifies that process.
    pub process: String,
    /// Bytes of commands that were written but not known to be durable. They are durable now, or
    /// will be when the log can begin to write.
    pub secured_bytes: u64,
}

/// The result of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no data set; an empty one was made.
    pub created: bool,
    /// Keys of the base, if there was one.
    pub base_keys: Option<u64>,
    /// Frames read.
    pub frames: u64,
    /// Bytes of commands read.
    pub bytes: u64,
    /// The LSN at which the log continues.
    pub lsn: Lsn,
    /// When the last frame was written, as Unix time in ms; 0 if there is none.
    pub time_ms: u64,
    /// The bytes cut off, if there are any.
    pub cut: Option<Cut>,
    /// Set if the previous process did not close the data set.
    pub unclean: Option<Unclean>,
    /// Losses recorded by a repair, in order.
    pub lost: Vec<Lost>,
    /// Commands that were skipped because they depend on lost data.
    pub passed_over: u64,
    /// Why the log could not begin to write, for lack of space. It keeps trying.
    pub start_failure: Option<String>,
}

/// Why a data set cannot be opened. Its files were not changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process (lock file: {process})")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The lock file's content.
        process: String,
    },
    /// The disk refused.
    #[error("{doing} {path} failed: {source}")]
    Disk {
        /// The failed operation.
        doing: &'static str,
        /// The path.
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
    /// A new data set cannot replace one that this process did not write.
    #[error("{dir} holds a data set that this server did not write; refusing to replace it")]
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
    /// A file is sound, but is not the one that the manifest lists.
    #[error("{path}: {field} in the file's header does not match the manifest (LSN {lsn})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The field that differs.
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
        /// The problem there.
        damage: FrameDamage,
        /// First LSN that is lost.
        lsn: Lsn,
        /// LSN after the loss.
        lsn_end: Lsn,
        /// The database that was selected.
        db: u32,
    },
    /// The RDB at the beginning of a base is damaged.
    #[error(
        "{path}, offset {offset}: acknowledged data is damaged: {reason}; before LSN {lsn}. \
         Nothing was changed. 'mainstay-tool repair' saves everything else"
    )]
    Preamble {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The problem there.
        reason: String,
        /// The LSN as of which it is.
        lsn: Lsn,
    },
    /// Sound bytes hold something that cannot be replayed or loaded.
    #[error("{path}, offset {offset}: LSN {lsn} cannot be replayed: {reason}")]
    Replay {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The LSN of the command, or of the transaction that it is in.
        lsn: Lsn,
        /// The LSN after it; the same if it is no command.
        end_lsn: Lsn,
        /// Why.
        reason: String,
    },
}

impl OpenError {
    /// Whether the only cause is a lack of space.
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
