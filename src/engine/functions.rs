//! Libraries of functions, as source text: nothing runs them yet, and nothing loses them.

use crate::rdb::Reader;
use crate::rdb::checksum::checksum;
use crate::resp::{Args, write_command};
use std::collections::BTreeMap;

/// The byte before a library in a dump of functions (`RDB_OPCODE_FUNCTION2` in Redis's `rdb.h`).
const LIBRARY: u8 = 245;

/// Bytes of version and checksum behind such a dump.
const FOOTER_BYTES: usize = 10;

/// All libraries: source text by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    libraries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Functions {
    /// How many libraries there are.
    pub fn len(&self) -> usize {
        self.libraries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }

    /// The libraries' source texts, in the order of their names.
    pub fn sources(&self) -> impl Iterator<Item = &[u8]> {
        self.libraries.values().map(Vec::as_slice)
    }

    /// Adds a library.
    ///
    /// # Errors
    /// If its first line does not name it as Redis wants it, or if there is one of that name and it is
    /// not to be replaced.
    pub fn load(&mut self, source: &[u8], replace: bool) -> Result<(), String> {
        let name = library_name(source)?;
        if !replace && self.libraries.contains_key(name) {
            return Err("a library of this name exists already".to_owned());
        }
        self.libraries.insert(name.to_vec(), source.to_vec());
        Ok(())
    }

    /// Carries out a `FUNCTION` command that changes libraries, as a log has it.
    ///
    /// # Errors
    /// If it is another one, or cannot be carried out.
    pub fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let word = |index: usize| args.get(index).unwrap_or_default().to_ascii_uppercase();
        match (&word(1)[..], args.len()) {
            (b"LOAD", 3) => self.load(args.at(2), false),
            (b"LOAD", 4) if word(2) == b"REPLACE" => self.load(args.at(3), true),
            (b"DELETE", 3) => match self.libraries.remove(args.at(2)) {
                Some(_) => Ok(()),
                None => Err("Library not found".to_owned()),
            },
            (b"FLUSH", 2 | 3) => {
                self.libraries.clear();
                Ok(())
            }
            (b"RESTORE", 3 | 4) => self.restore(args.at(2), &word(3)),
            _ => Err("an unknown form of FUNCTION".to_owned()),
        }
    }

    /// Adds the libraries of a dump: all of them or none.
    fn restore(&mut self, payload: &[u8], policy: &[u8]) -> Result<(), String> {
        let end = payload.len().checked_sub(FOOTER_BYTES).ok_or("the dump is too short")?;
        if checksum(&payload[..end + 2]).to_le_bytes() != payload[end + 2..] {
            return Err("the dump's checksum is wrong".to_owned());
        }
        let mut restored = if policy == b"FLUSH" { Self::default() } else { self.clone() };
        let mut reader = Reader::new(&payload[..end]);
        while reader.left() > 0 {
            let wrong = |error: crate::rdb::Error| error.to_string();
            if reader.byte().map_err(wrong)? != LIBRARY {
                return Err(reader.error("no library").to_string());
            }
            restored.load(&reader.string().map_err(wrong)?, policy == b"REPLACE")?;
        }
        *self = restored;
        Ok(())
    }

    /// Appends commands that rebuild the libraries.
    pub fn write_commands(&self, out: &mut Vec<u8>) {
        for source in self.sources() {
            write_command(out, &[b"FUNCTION", b"LOAD", b"REPLACE", source]);
        }
    }
}

/// The name in a library's first line: `#!lua name=mylib`.
fn library_name(source: &[u8]) -> Result<&[u8], String> {
    let line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_prefix(b"#!").ok_or("Missing library metadata")?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(format!("Engine '{}' not found", String::from_utf8_lossy(engine)));
    }
    let name = words.find_map(|word| word.strip_prefix(b"name="));
    let is_name = |name: &&[u8]| {
        !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    name.filter(is_name).ok_or_else(|| "Library name was not given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    const A: &[u8] = b"#!lua name=a\nredis.register_function('f', function() return 1 end)";
    const B: &[u8] = b"#!LUA name=b\n";

    fn run(functions: &mut Functions, words: &[&[u8]]) -> Result<(), String> {
        functions.command(OwnedArgs::from_slices(words).as_args())
    }

    #[test]
    fn libraries_are_kept_by_name() {
        let mut functions = Functions::default();
        run(&mut functions, &[b"FUNCTION", b"load", A]).unwrap();
        run(&mut functions, &[b"FUNCTION", b"LOAD", b"replace", B]).unwrap();
        assert!(run(&mut functions, &[b"FUNCTION", b"LOAD", A]).is_err());
        assert_eq!(functions.sources().collect::<Vec<_>>(), [A, B]);
        let mut commands = Vec::new();
        functions.write_commands(&mut commands);
        assert!(commands.starts_with(b"*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n"));
        run(&mut functions, &[b"FUNCTION", b"DELETE", b"a"]).unwrap();
        assert!(run(&mut functions, &[b"FUNCTION", b"DELETE", b"a"]).is_err());
        assert_eq!(functions.len(), 1);
        run(&mut functions, &[b"FUNCTION", b"FLUSH", b"ASYNC"]).unwrap();
        assert!(functions.is_empty());
        for bad in [&b"return 1"[..], b"#!js name=a\n", b"#!lua\n", b"#!lua name=a-b\n", b""] {
            assert!(functions.load(bad, true).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dump_of_libraries_is_restored_whole_or_not_at_all() {
        let dump = |sources: &[&[u8]]| {
            let mut bytes = Vec::new();
            for source in sources {
                bytes.extend_from_slice(&[LIBRARY, source.len() as u8]);
                bytes.extend_from_slice(source);
            }
            bytes.extend_from_slice(&11u16.to_le_bytes());
            let sum = checksum(&bytes);
            bytes.extend_from_slice(&sum.to_le_bytes());
            bytes
        };
        let (short, other) = (&b"#!lua name=a\n--1"[..], &b"#!lua name=a\n--2"[..]);
        let mut functions = Functions::default();
        run(&mut functions, &[b"FUNCTION", b"RESTORE", &dump(&[B, short])]).unwrap();
        assert_eq!(functions.len(), 2);
        assert!(run(&mut functions, &[b"FUNCTION", b"RESTORE", &dump(&[other])]).is_err());
        let mut damaged = dump(&[other]);
        damaged[4] ^= 1;
        let replace: &[u8] = b"REPLACE";
        assert!(run(&mut functions, &[b"FUNCTION", b"RESTORE", &damaged, replace]).is_err());
        assert_eq!(functions.sources().next(), Some(short));
        run(&mut functions, &[b"FUNCTION", b"RESTORE", &dump(&[other]), replace]).unwrap();
        assert_eq!(functions.sources().collect::<Vec<_>>(), [other, B]);
        run(&mut functions, &[b"FUNCTION", b"RESTORE", &dump(&[short]), b"FLUSH"]).unwrap();
        assert_eq!(functions.sources().collect::<Vec<_>>(), [short]);
    }
}
