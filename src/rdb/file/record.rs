//! The records of a file.

use super::super::{Dialect, Error, ModuleName, Problem, Reader, decode_value, kind, module};
use super::opcode;
use crate::data::{Limits, NewValue};
use std::borrow::Cow;

/// How records are read.
#[derive(Clone, Debug)]
pub struct Decoding {
    /// The dialect of value kinds.
    pub dialect: Dialect,
    /// Limits of the small encodings.
    pub limits: Limits,
    /// Whether values of modules are skipped instead of refused.
    pub skip_modules: bool,
}

/// A record.
#[derive(Debug)]
pub enum Record<'a> {
    /// An auxiliary field. Unknown ones are skipped.
    Aux {
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its value.
        value: Cow<'a, [u8]>,
    },
    /// The database of the keys that follow.
    SelectDatabase(u32),
    /// How many keys the database has: a hint.
    ResizeDatabase {
        /// All.
        keys: u64,
        /// Those that expire.
        expiring: u64,
    },
    /// How many keys of the database a slot of a cluster has: a hint.
    SlotInfo {
        /// The slot.
        slot: u64,
        /// All keys.
        keys: u64,
        /// Those that expire.
        expiring: u64,
    },
    /// The source of a function library.
    Function(Cow<'a, [u8]>),
    /// Auxiliary data of a module, which was skipped.
    ModuleAux(ModuleName),
    /// A key with its value.
    Key(KeyRecord<'a>),
    /// A key with an empty collection, as old servers wrote; it is not loaded.
    EmptyKey(Cow<'a, [u8]>),
    /// A key with a value of a module, which was skipped.
    ModuleKey(Cow<'a, [u8]>, ModuleName),
    /// The end.
    End,
}

/// A key with its value.
#[derive(Debug)]
pub struct KeyRecord<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// Its value.
    pub value: NewValue<'a>,
    /// When it expires, as Unix time in ms.
    pub expiry_ms: Option<i64>,
    /// Seconds since its last use.
    pub idle_s: Option<u64>,
    /// How often it was used, as LFU counts it.
    pub frequency: Option<u8>,
}

/// A record that was refused, and its key if that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The error.
    pub error: Error,
    /// The key.
    pub key: Option<Box<[u8]>>,
}

impl From<Error> for RecordError {
    fn from(error: Error) -> Self {
        Self { error, key: None }
    }
}

/// Reads a record.
///
/// # Errors
/// If it is cut, damaged, or of an unsupported kind.
pub fn decode_record<'a>(
    reader: &mut Reader<'a>,
    decoding: &Decoding,
) -> Result<Record<'a>, RecordError> {
    reader.reading("a record's type");
    let (mut expiry_ms, mut idle_s, mut frequency) = (None, None, None);
    loop {
        match reader.byte()? {
            opcode::EXPIRY_MS => {
                reader.reading("an expiry time");
                expiry_ms = Some(reader.milliseconds()?);
            }
            opcode::EXPIRY_S => {
                reader.reading("an expiry time");
                let s = i32::from_le_bytes(reader.array()?);
                expiry_ms = Some(i64::from(s) * 1000);
            }
            opcode::IDLE => {
                reader.reading("a key's idle time");
                idle_s = Some(reader.number()?);
            }
            opcode::FREQUENCY => {
                reader.reading("a key's frequency");
                frequency = Some(reader.byte()?);
            }
            kind @ ..opcode::SLOT_IMPORT => {
                let (key, value) = key_and_value(kind, reader, decoding)?;
                return Ok(match value {
                    Loaded::Value(value) => {
                        Record::Key(KeyRecord { key, value, expiry_ms, idle_s, frequency })
                    }
                    Loaded::Empty => Record::EmptyKey(key),
                    Loaded::Module(name) => Record::ModuleKey(key, name),
                });
            }
            _ if expiry_ms.is_some() || idle_s.is_some() || frequency.is_some() => {
                return Err(reader
                    .error("no key after its expiry time, idle time or frequency")
                    .into());
            }
            code => return Ok(other(code, reader)?),
        }
        reader.reading("a record's type");
    }
}

enum Loaded<'a> {
    Value(NewValue<'a>),
    Empty,
    Module(ModuleName),
}

fn key_and_value<'a>(
    kind: u8,
    reader: &mut Reader<'a>,
    decoding: &Decoding,
) -> Result<(Cow<'a, [u8]>, Loaded<'a>), RecordError> {
    if kind > kind::HASH_LISTPACK_EX {
        return Err(reader.problem(Problem::Unknown(kind)).into());
    }
    reader.reading("a key");
    let key = reader.string()?;
    let value = if kind == kind::MODULE_2 && decoding.skip_modules {
        module::name(reader).and_then(|name| module::skip(reader).map(|()| Loaded::Module(name)))
    } else {
        match decode_value(kind, reader, decoding.dialect, &decoding.limits) {
            Ok(value) => return Ok((key, Loaded::Value(value))),
            Err(Error { problem: Problem::Empty, .. }) => Ok(Loaded::Empty),
            Err(error) => Err(error),
        }
    };
    match value {
        Ok(value) => Ok((key, value)),
        Err(error) => Err(RecordError { error, key: Some(key.into()) }),
    }
}

/// A record other than a key.
fn other<'a>(code: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Error> {
    Ok(match code {
        opcode::AUX => {
            reader.reading("a field about the file");
            Record::Aux { name: reader.string()?, value: reader.string()? }
        }
        opcode::SELECT_DB => {
            reader.reading("a database's number");
            let number = u32::try_from(reader.number()?);
            Record::SelectDatabase(number.map_err(|_| reader.error("a number that is too high"))?)
        }
        opcode::RESIZE_DB => {
            reader.reading("the sizes of a database");
            Record::ResizeDatabase { keys: reader.number()?, expiring: reader.number()? }
        }
        opcode::SLOT_INFO => {
            reader.reading("the sizes of a slot");
            let (slot, keys) = (reader.number()?, reader.number()?);
            Record::SlotInfo { slot, keys, expiring: reader.number()? }
        }
        opcode::FUNCTION => {
            reader.reading("a function library");
            Record::Function(reader.string()?)
        }
        opcode::MODULE_AUX => {
            let name = module::name(reader)?;
            module::skip_aux(reader)?;
            Record::ModuleAux(name)
        }
        opcode::END => Record::End,
        opcode::FUNCTION_PRE_GA => {
            return Err(reader.error("a function library in the format of release candidates"));
        }
        opcode::SLOT_IMPORT => {
            return Err(reader.error("an unfinished import of a cluster's slots"));
        }
        _ => return Err(reader.problem(Problem::Unknown(code))),
    })
}
