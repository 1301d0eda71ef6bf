//! Many keys at once, for tests: `DEBUG POPULATE`.

use super::{Caller, Guard};
use crate::commands::{CommandError, CommandResult, DATA, Handler};
use crate::resp::{Output, OwnedArgs};

/// So many bytes of keys and values are put in by one command, which is one unit of the log.
const BYTES_MAX: u64 = 512 << 20;
/// About what a key takes beside its value.
const KEY_BYTES: u64 = 64;

impl Guard<'_> {
    /// Puts the keys `prefix:0`, `prefix:1`, … in that are not there, with the values `value:0`,
    /// `value:1`, …, cut or filled up with zero bytes to `value_bytes`. As what a client writes
    /// they go to the log.
    ///
    /// # Errors
    /// If writes are refused, or it is too much for one command.
    pub fn populate(
        &mut self,
        db: usize,
        count: u64,
        prefix: &[u8],
        value_bytes: Option<usize>,
    ) -> CommandResult {
        let each =
            (KEY_BYTES + prefix.len() as u64).saturating_add(value_bytes.unwrap_or(0) as u64);
        if count.checked_mul(each).is_none_or(|bytes| bytes > BYTES_MAX) {
            return Err(CommandError::fixed(
                "ERR that is too much for one command: 512 MiB at most",
            ));
        }
        self.check_writable()?;
        let Some(Handler::Data(handler)) = DATA.by_name(b"setnx").map(|spec| spec.handler) else {
            unreachable!("SETNX is a command on data")
        };
        let (caller, mut reply) = (Caller { db, ..Caller::default() }, Output::default());
        for number in 0..count {
            let key = [prefix, b":", itoa::Buffer::new().format(number).as_bytes()].concat();
            let mut value = format!("value:{number}").into_bytes();
            if let Some(value_bytes) = value_bytes {
                value.resize(value_bytes, 0);
            }
            let args = OwnedArgs::from_slices(&[b"SETNX", &key, &value]);
            reply.truncate(0);
            self.run_data(handler, caller, args.as_args(), &mut reply).result?;
        }
        Ok(())
    }
}
