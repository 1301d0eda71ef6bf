//! Commands, for people and machines.

use crate::output::{Failure, JsonText, counted, escaped, time_ms};
use mainstay::log::{Lost, Lsn};
use mainstay::resp::{Args, write_command};
use serde::Serialize;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Arguments that are longer are shortened, to so many bytes.
const ARGUMENT_BYTES_MAX: usize = 64;
/// Of commands with more arguments only so many are shown.
const ARGUMENTS_MAX: usize = 24;

/// How commands are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line a command, for people
    Human,
    /// As a server reads them: for 'redis-cli --pipe'
    Resp,
    /// A line of JSON a command
    Json,
}

/// Where a command was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place<'a> {
    /// In a log.
    Log {
        /// Where it begins.
        lsn: Lsn,
        /// Where it ends.
        end_lsn: Lsn,
    },
    /// In an append-only file.
    File {
        /// The file's name, if there are several.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<&'a str>,
        /// Where in it the command begins.
        offset: u64,
    },
}

impl Place<'_> {
    /// Its LSN or offset.
    pub fn begin(self) -> u64 {
        match self {
            Self::Log { lsn, .. } => lsn,
            Self::File { offset, .. } => offset,
        }
    }
}

/// A command.
#[derive(Clone, Copy)]
pub struct Command<'a> {
    /// Where it was found.
    pub place: Place<'a>,
    /// When it was written, as Unix time in ms, if that is known.
    pub time_ms: Option<u64>,
    /// The database that it is carried out in.
    pub db: u32,
    /// Its arguments.
    pub args: Args<'a>,
    /// Where the transaction begins that it belongs to.
    pub transaction: Option<u64>,
}

#[derive(Serialize)]
struct JsonCommand<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    time_ms: Option<u64>,
    db: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<u64>,
    args: Vec<JsonText<'a>>,
}

/// Prints commands to the standard output.
pub struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    /// Whether everything is shown in full.
    full: bool,
    /// The database that who reads the output has selected.
    selected_db: u32,
    buffer: Vec<u8>,
}

impl Printer {
    /// One that has printed nothing yet.
    pub fn new(format: Format, full: bool) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { out, format, full, selected_db: 0, buffer: Vec::new() }
    }

    /// A transaction, some of whose commands follow.
    ///
    /// # Errors
    /// Those of the output, here and below.
    pub fn multi(
        &mut self,
        place: Place<'_>,
        time_ms: Option<u64>,
        db: u32,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Human => {
                self.head(place, time_ms, db).and_then(|()| Ok(writeln!(self.out, "MULTI")?))
            }
            Format::Resp => self.resp(&[b"MULTI"]),
            Format::Json => Ok(()),
        }
    }

    /// The end of a transaction.
    ///
    /// # Errors
    /// Those of the output.
    pub fn exec(&mut self, place: Place<'_>, time_ms: Option<u64>, db: u32) -> Result<(), Failure> {
        match self.format {
            Format::Human => {
                self.head(place, time_ms, db).and_then(|()| Ok(writeln!(self.out, "EXEC")?))
            }
            Format::Resp => self.resp(&[b"EXEC"]),
            Format::Json => Ok(()),
        }
    }

    /// A transaction has no end: none of its commands must be run.
    ///
    /// # Errors
    /// Those of the output.
    pub fn discard(&mut self) -> Result<(), Failure> {
        match self.format {
            Format::Human => Ok(writeln!(self.out, "DISCARD")?),
            Format::Resp => self.resp(&[b"DISCARD"]),
            Format::Json => Ok(()),
        }
    }

    /// A command.
    ///
    /// # Errors
    /// Those of the output.
    pub fn command(&mut self, command: Command<'_>) -> Result<(), Failure> {
        let Command { place, time_ms, db, args, transaction } = command;
        match self.format {
            Format::Human => {
                self.head(place, time_ms, db)?;
                let indent = if transaction.is_some() { "  " } else { "" };
                write!(self.out, "{indent}{}", escaped(args.at(0)))?;
                let shown = if self.full { args.len() } else { ARGUMENTS_MAX };
                for arg in args.iter().take(shown).skip(1) {
                    self.argument(arg)?;
                }
                if let Some(more @ 1..) = args.len().checked_sub(shown) {
                    write!(self.out, " … {more} more")?;
                }
                Ok(writeln!(self.out)?)
            }
            Format::Resp => {
                if db != self.selected_db {
                    self.resp(&[b"SELECT", db.to_string().as_bytes()])?;
                    self.selected_db = db;
                }
                let words: Vec<&[u8]> = args.iter().collect();
                self.resp(&words)
            }
            Format::Json => {
                let args = args.iter().map(JsonText).collect();
                self.json(&JsonCommand { place, time_ms, db, transaction, args })
            }
        }
    }

    /// What a repair could not save.
    ///
    /// # Errors
    /// Those of the output.
    pub fn lost(&mut self, lost: &Lost) -> Result<(), Failure> {
        let Lost { lsn, end_lsn, from_ms, to_ms, keys } = *lost;
        match self.format {
            Format::Human => {
                let what = match keys {
                    0 => format!("LOST before a repair: commands up to LSN {end_lsn}"),
                    keys => {
                        let keys = counted(keys, "key", "keys");
                        format!("LOST before a repair: {keys} of the base")
                    }
                };
                let (from, to) = (time_ms(from_ms as i64), time_ms(to_ms as i64));
                let between =
                    if from_ms == 0 { format!("by {to}") } else { format!("{from} to {to}") };
                Ok(writeln!(self.out, "{lsn:>12}  {what}, written {between}")?)
            }
            // Nothing that could be sent to a server.
            Format::Resp => Ok(()),
            Format::Json => {
                let lost = serde_json::json!({
                    "lsn": lsn, "end_lsn": end_lsn, "from_ms": from_ms, "to_ms": to_ms, "keys": keys
                });
                self.json(&serde_json::json!({ "lost": lost }))
            }
        }
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    fn head(&mut self, place: Place<'_>, time: Option<u64>, db: u32) -> Result<(), Failure> {
        if let Place::File { file: Some(file), .. } = place {
            write!(self.out, "{file}:")?;
        }
        let time = time.map_or_else(|| "-".to_owned(), |time| time_ms(time as i64));
        Ok(write!(self.out, "{:>12}  {time:<24}  {db:>2}  ", place.begin())?)
    }

    fn argument(&mut self, arg: &[u8]) -> Result<(), Failure> {
        if self.full || arg.len() <= ARGUMENT_BYTES_MAX {
            return Ok(write!(self.out, " \"{}\"", escaped(arg))?);
        }
        let mut shown = ARGUMENT_BYTES_MAX;
        // Not amid a character, where it is text.
        while shown > ARGUMENT_BYTES_MAX - 4 && arg[shown] & 0xc0 == 0x80 {
            shown -= 1;
        }
        let bytes = counted(arg.len() as u64, "byte", "bytes");
        Ok(write!(self.out, " \"{}…\" ({bytes})", escaped(&arg[..shown]))?)
    }

    fn resp(&mut self, words: &[&[u8]]) -> Result<(), Failure> {
        self.buffer.clear();
        write_command(&mut self.buffer, words);
        Ok(self.out.write_all(&self.buffer)?)
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        Ok(writeln!(self.out)?)
    }
}
