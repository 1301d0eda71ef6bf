//! Why a command was refused, in the words that Redis uses.

use std::borrow::Cow;
use std::fmt;

/// An error reply. The text begins with its code, as it goes over the wire without the `-`. It is text but for
/// what it quotes, which goes back as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandError(Cow<'static, [u8]>);

impl CommandError {
    /// A known option at the wrong place, or an unknown one.
    pub const SYNTAX: Self = Self::fixed("ERR syntax error");
    /// The key holds another type.
    pub const WRONG_TYPE: Self =
        Self::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// Not a 64-bit decimal integer.
    pub const NOT_INTEGER: Self = Self::fixed("ERR value is not an integer or out of range");
    /// A timeout that ends after all times.
    pub const TIMEOUT_OUT_OF_RANGE: Self = Self::fixed("ERR timeout is out of range");
    /// Not a number.
    pub const NOT_FLOAT: Self = Self::fixed("ERR value is not a valid float");
    /// The key must exist.
    pub const NO_SUCH_KEY: Self = Self::fixed("ERR no such key");
    /// `SELECT`, `MOVE`, `COPY`, `SWAPDB` with a number past `databases`.
    pub const DB_OUT_OF_RANGE: Self = Self::fixed("ERR DB index is out of range");
    /// An index past what a string may hold.
    pub const OUT_OF_RANGE: Self = Self::fixed("ERR index out of range");

    /// A string would grow beyond `proto-max-bulk-len`.
    pub const STRING_TOO_LONG: Self =
        Self::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// `MOVE` or `COPY` from a key to itself.
    pub const SAME_OBJECT: Self = Self::fixed("ERR source and destination objects are the same");

    /// An error of fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// An error whose text is made for the occasion.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// An error that quotes an argument.
    pub fn quoting(before: &str, arg: &[u8], after: &str) -> Self {
        Self::new([before.as_bytes(), quoted(arg, usize::MAX), after.as_bytes()].concat())
    }

    /// Too few or too many arguments; `name` is the full name, in lower case (`client|kill`).
    pub fn wrong_arity(name: &str) -> Self {
        Self::new(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// An expiry time that is not positive or does not fit; `name` is the command's name.
    pub fn invalid_expire_time(name: &str) -> Self {
        Self::new(format!("ERR invalid expire time in '{name}' command"))
    }

    /// A subcommand that does not take these arguments; `name` is the container's, in upper case.
    pub fn subcommand_syntax(name: &str, subcommand: &[u8]) -> Self {
        Self::quoting(
            "ERR unknown subcommand or wrong number of arguments for '",
            quoted(subcommand, 128),
            &format!("'. Try {name} HELP."),
        )
    }

    /// The text, code first, as it goes over the wire. For people there is `Display`.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What may be written to a log that shows no user data: a text for the occasion may quote
    /// arguments, of which only the name of a command that there is not is shown.
    pub fn without_arguments(&self) -> Cow<'_, str> {
        if let Cow::Borrowed(text) = self.0 {
            return String::from_utf8_lossy(text);
        }
        let end = |words: &[u8]| self.0.windows(words.len()).position(|window| window == words);
        let is_safe = [&b"ERR wrong number of arguments"[..], b"ERR invalid expire time"]
            .iter()
            .any(|safe| self.0.starts_with(safe));
        match end(b", with args beginning with: ") {
            _ if is_safe => String::from_utf8_lossy(&self.0),
            Some(end) if self.0.starts_with(b"ERR unknown command") => {
                String::from_utf8_lossy(&self.0[..end])
            }
            _ => self.code().into(),
        }
    }

    /// The code: everything before the first blank.
    pub fn code(&self) -> &str {
        let code = self.0.split(|&byte| byte == b' ').next().unwrap_or_default();
        // Nothing is quoted before a blank.
        std::str::from_utf8(code).unwrap_or_default()
    }
}

/// An argument as an error quotes it: at most `bytes_max` of it, and up to the first NUL, as C
/// prints strings.
pub fn quoted(arg: &[u8], bytes_max: usize) -> &[u8] {
    let arg = &arg[..arg.len().min(bytes_max)];
    let end = arg.iter().position(|&byte| byte == 0).unwrap_or(arg.len());
    &arg[..end]
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommandError").field(&String::from_utf8_lossy(&self.0)).finish()
    }
}

impl std::error::Error for CommandError {}
