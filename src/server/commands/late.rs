//! Replies that are made once the engine is free.
//!
//! What looks at every client, reads `/proc` or writes a file would hold everybody up under the
//! engine's lock. Such a command takes what it needs of the engine, and leaves the rest to a
//! closure, which its connection runs behind the batch. The closure's reply is put where the
//! command's would have been, also within the one of an `EXEC`.

use crate::commands::{CommandError, CommandResult};
use crate::resp::{Protocol, Reply};
use crate::server::commands::admin::ConnectionState;

type Make = Box<dyn FnOnce(&mut ConnectionState, &mut Reply<'_>) -> CommandResult + Send>;

/// Replies of a batch that are still to be made, in the order of their commands.
#[derive(Default)]
pub struct Late(Vec<LateReply>);

struct LateReply {
    /// Where in the output it belongs; `None` if it is not sent.
    at: Option<usize>,
    /// The command's full name.
    name: &'static str,
    protocol: Protocol,
    make: Make,
}

/// An error reply, and the full name of its command.
pub type LateError = (&'static str, CommandError);

impl Late {
    /// Has the reply of the command `name` made, which belongs at `at`.
    pub fn add(
        &mut self,
        name: &'static str,
        at: usize,
        protocol: Protocol,
        make: impl FnOnce(&mut ConnectionState, &mut Reply<'_>) -> CommandResult + Send + 'static,
    ) {
        self.0.push(LateReply { at: Some(at), name, protocol, make: Box::new(make) });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends none of those that belong at `from` or behind it. They are made all the same.
    pub fn mute(&mut self, from: usize) {
        for late in &mut self.0 {
            late.at = late.at.filter(|&at| at < from);
        }
    }

    /// Whether one of them is sent.
    pub fn is_sent(&self) -> bool {
        self.0.iter().any(|late| late.at.is_some())
    }

    /// Makes all of them, and puts them into `output`. Gives the errors among them.
    pub fn make(self, state: &mut ConnectionState, output: &mut Vec<u8>) -> Vec<LateError> {
        let mut errors = Vec::new();
        let Some(start) = self.0.iter().find_map(|late| late.at) else {
            errors.extend(self.0.into_iter().filter_map(|late| made(late, state, &mut Vec::new())));
            return errors;
        };
        let behind = output.split_off(start);
        let mut copied = start;
        for late in self.0 {
            match late.at {
                Some(at) => {
                    output.extend_from_slice(&behind[copied - start..at - start]);
                    copied = at;
                    errors.extend(made(late, state, output));
                }
                None => errors.extend(made(late, state, &mut Vec::new())),
            }
        }
        output.extend_from_slice(&behind[copied - start..]);
        errors
    }
}

/// Appends one reply, which may be an error.
fn made(late: LateReply, state: &mut ConnectionState, output: &mut Vec<u8>) -> Option<LateError> {
    let start = output.len();
    let mut reply = Reply::new(output, late.protocol);
    let error = (late.make)(state, &mut reply).err()?;
    reply.truncate(start);
    reply.error(error.bytes());
    Some((late.name, error))
}
