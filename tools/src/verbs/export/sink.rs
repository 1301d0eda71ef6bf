//! Where a copy goes.

use crate::output::{Failure, Temporary, create_file};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const BUFFER_BYTES: usize = 1 << 18;

/// A file, which is there whole or not at all, or the standard output.
pub(super) struct Sink {
    out: Out,
    temporary: Option<Temporary>,
    bytes: u64,
}

enum Out {
    File(BufWriter<File>),
    Stream(BufWriter<io::Stdout>),
}

impl Sink {
    /// A file that gets the name `path` once it ends, in the place of one that is there only with
    /// `force`; the standard output for `-`.
    pub(super) fn new(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let out = Out::Stream(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()));
            return Ok(Self { out, temporary: None, bytes: 0 });
        }
        let (temporary, file) = Temporary::file(path, force)?;
        let out = Out::File(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { out, temporary: Some(temporary), bytes: 0 })
    }

    /// A file in a directory that is itself there whole or not at all.
    pub(super) fn plain(path: &Path) -> Result<Self, Failure> {
        let file = create_file(path, 0o600).map_err(Failure::doing("creating", path.display()))?;
        let out = Out::File(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { out, temporary: None, bytes: 0 })
    }

    /// Ends it, durably; gives its size.
    pub(super) fn end(mut self) -> Result<u64, Failure> {
        self.flush()?;
        if let Out::File(file) = &self.out {
            file.get_ref().sync_all()?;
        }
        self.temporary.map_or(Ok(()), Temporary::persist)?;
        Ok(self.bytes)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.out {
            Out::File(file) => file.write(bytes)?,
            Out::Stream(stream) => stream.write(bytes)?,
        };
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::File(file) => file.flush(),
            Out::Stream(stream) => stream.flush(),
        }
    }
}
