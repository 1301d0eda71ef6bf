//! Commands out of an append-only file, through a buffer that holds little more than the command at hand.

use crate::disk::File;
use crate::resp::request::Parsed;
use crate::resp::{Args, RequestLimits, RequestParser};
use std::io;
use std::sync::Arc;

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// A buffer that one command blew up is not kept beyond this.
const KEPT_BYTES_MAX: usize = 4 * READ_BYTES;

/// The longest line of an annotation.
const ANNOTATION_BYTES_MAX: usize = 4096;

/// What comes next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command, which begins at this offset; [`CommandReader::args`] has it.
    Command {
        /// Where it begins.
        offset: u64,
    },
    /// Nothing.
    End,
    /// The beginning of a command, and then the file's end.
    Cut {
        /// Where it begins.
        offset: u64,
    },
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused.
    #[error("it cannot be read: {0}")]
    Disk(io::Error),
    /// What begins at `offset` is no command.
    #[error("offset {offset}: {reason}")]
    Format {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Reads commands.
pub struct CommandReader {
    file: Arc<dyn File>,
    /// The file's length when it was opened: nobody writes it any more.
    len: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were dealt with.
    start: usize,
    /// The file's offset at which the buffer begins.
    base: u64,
    parser: RequestParser,
    ranges: Vec<(usize, usize)>,
    time_s: Option<u64>,
}

impl CommandReader {
    /// Reads from `offset` on.
    pub fn new(file: Arc<dyn File>, len: u64, offset: u64) -> Self {
        Self {
            file,
            len,
            buffer: Vec::new(),
            start: 0,
            base: offset,
            parser: RequestParser::default(),
            ranges: Vec::new(),
            time_s: None,
        }
    }

    /// The command that was read last.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.buffer, &self.ranges)
    }

    /// When what was read last had been written, as Unix time in s, if the file says so: in annotations `#TS:`, which
    /// `aof-timestamp-enabled` writes.
    pub fn time_s(&self) -> Option<u64> {
        self.time_s
    }

    /// How many bytes of the file were dealt with.
    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Reads on to the next command.
    ///
    /// # Errors
    /// Those of the disk, and if the bytes are no command.
    #[allow(clippy::should_implement_trait)] // What it has read is overwritten by the next one.
    pub fn next(&mut self) -> Result<Step, ReadError> {
        loop {
            let offset = self.offset();
            let is_there = match self.buffer.get(self.start).copied() {
                None => self.fill(1)?,
                Some(b'#') => self.skip_annotation()?,
                Some(b'*') => return self.command(),
                Some(other) => {
                    let reason = format!("a command begins with '*', not with byte {other:#04x}");
                    return Err(ReadError::Format { offset, reason });
                }
            };
            if !is_there {
                return Ok(Step::End);
            }
        }
    }

    fn command(&mut self) -> Result<Step, ReadError> {
        let offset = self.offset();
        let wrong = |reason: String| ReadError::Format { offset, reason };
        // What a file claims to hold but does not is missing, and nothing is allocated for it.
        let limits = RequestLimits { bulk_bytes_max: usize::MAX / 4, ..RequestLimits::default() };
        self.ranges.clear();
        loop {
            let rest = &mut self.buffer[self.start..];
            let parsed = self.parser.parse(rest, self.start, &limits, &mut self.ranges);
            match parsed.map_err(|error| wrong(error.to_string()))? {
                Parsed::Incomplete { needed } if !self.fill(needed)? => {
                    return Ok(Step::Cut { offset });
                }
                Parsed::Incomplete { .. } => {}
                Parsed::Request { consumed } => {
                    if self.ranges.is_empty() {
                        return Err(wrong("a command without a name".to_owned()));
                    }
                    let ends = |&(_, end): &(usize, usize)| self.buffer[end..].starts_with(b"\r\n");
                    if !self.ranges.iter().all(ends) {
                        return Err(wrong("an argument is not followed by CR LF".to_owned()));
                    }
                    self.start += consumed;
                    return Ok(Step::Command { offset });
                }
            }
        }
    }

    /// Passes a line over. False if it has no end.
    fn skip_annotation(&mut self) -> Result<bool, ReadError> {
        let mut searched = 0;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(at) = rest[searched..].iter().position(|&byte| byte == b'\n') {
                let line = &rest[..searched + at];
                let time = line
                    .strip_prefix(b"#TS:")
                    .and_then(|time| std::str::from_utf8(time.trim_ascii_end()).ok()?.parse().ok());
                self.time_s = time.or(self.time_s);
                self.start += searched + at + 1;
                return Ok(true);
            }
            searched = rest.len();
            if searched > ANNOTATION_BYTES_MAX {
                let reason = "a line that begins with '#' is too long".to_owned();
                return Err(ReadError::Format { offset: self.offset(), reason });
            }
            if !self.fill(1)? {
                return Ok(false);
            }
        }
    }

    /// Reads at least `needed` more bytes into the buffer. False if the file has not so many.
    fn fill(&mut self, needed: usize) -> Result<bool, ReadError> {
        let left = self.len.saturating_sub(self.base + self.buffer.len() as u64);
        if left < needed as u64 {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.base += self.start as u64;
        self.start = 0;
        let have = self.buffer.len();
        if have < READ_BYTES && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer.shrink_to(READ_BYTES);
        }
        let more = left.min(needed.max(READ_BYTES) as u64) as usize;
        self.buffer.resize(have + more, 0);
        let offset = self.base + have as u64;
        self.file.read_exact_at(&mut self.buffer[have..], offset).map_err(ReadError::Disk)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, SimDisk};
    use crate::resp::write_command;
    use proptest::prelude::*;
    use std::path::Path;

    fn reader(bytes: &[u8]) -> CommandReader {
        let disk = SimDisk::new();
        disk.put(Path::new("f"), bytes);
        CommandReader::new(disk.open(Path::new("f")).unwrap(), bytes.len() as u64, 0)
    }

    /// The commands with their offsets, and what came behind them.
    type Read = (Vec<(u64, Vec<Vec<u8>>)>, Result<Step, (u64, String)>);

    fn read(bytes: &[u8]) -> Read {
        let (mut reader, mut commands) = (reader(bytes), Vec::new());
        loop {
            match reader.next() {
                Ok(Step::Command { offset }) => {
                    commands.push((offset, reader.args().iter().map(<[u8]>::to_vec).collect()));
                }
                Ok(step) => return (commands, Ok(step)),
                Err(ReadError::Format { offset, reason }) => {
                    return (commands, Err((offset, reason)));
                }
                Err(ReadError::Disk(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn annotations_are_passed_over() {
        let (commands, end) = read(b"#TS:1\r\n*1\r\n$1\r\na\r\n#TS:2\r\n#\n*1\r\n$1\r\nb\r\n#TS:3");
        assert_eq!(commands, [(7, vec![b"a".to_vec()]), (27, vec![b"b".to_vec()])]);
        assert_eq!(end, Ok(Step::End));
    }

    #[test]
    fn annotations_tell_the_time_of_what_follows() {
        let mut reader =
            reader(b"*1\r\n$1\r\na\r\n#TS:17\r\n*1\r\n$1\r\nb\r\n#TS:x\r\n*1\r\n$1\r\nc\r\n");
        let mut times = Vec::new();
        while let Ok(Step::Command { .. }) = reader.next() {
            times.push(reader.time_s());
        }
        assert_eq!(times, [None, Some(17), Some(17)]);
    }

    #[test]
    fn what_is_no_command_is_refused_where_it_begins() {
        for bad in
            ["PING\r\n", "*0\r\n", "*-1\r\n", "*x\r\n", "\0\0\0", "*1\r\n$1\r\nabc", "*1\r\n:1\r\n"]
        {
            let bytes = [b"*1\r\n$1\r\na\r\n", bad.as_bytes()].concat();
            let (commands, end) = read(&bytes);
            assert_eq!(commands.len(), 1);
            assert_eq!(end.unwrap_err().0, 11, "{bad:?}");
        }
        let long = [b"#", &[b'x'; 3 * READ_BYTES][..]].concat();
        assert_eq!(read(&long).1.unwrap_err().0, 0);
    }

    #[test]
    fn a_length_that_the_file_does_not_have_is_a_cut() {
        assert_eq!(read(b"*1\r\n$4611686018427387903\r\nab").1, Ok(Step::Cut { offset: 0 }));
        assert!(reader(b"*1\r\n$99999999\r\na").next().is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is cut off, the commands before it are read, and the cut is where one begins.
        #[test]
        fn every_whole_command_is_read(
            sizes in prop::collection::vec(prop::collection::vec(0..200usize, 1..4), 1..20),
            big in 0..3 * READ_BYTES,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut sizes = sizes;
            sizes[0][0] = big;
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for sizes in &sizes {
                let args: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![b'x'; size]).collect();
                let slices: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                expected.push((bytes.len() as u64, args.clone()));
                write_command(&mut bytes, &slices);
            }
            prop_assert_eq!(read(&bytes), (expected.clone(), Ok(Step::End)));
            let end = cut.index(bytes.len());
            let (commands, step) = read(&bytes[..end]);
            let whole = commands.len();
            prop_assert_eq!(&commands[..], &expected[..whole]);
            let offset = expected[whole].0;
            let expected = if offset == end as u64 { Step::End } else { Step::Cut { offset } };
            prop_assert_eq!(step, Ok(expected));
        }
    }
}
