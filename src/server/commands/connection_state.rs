//! The host's state of one connection: what commands about it remember beyond its session.

use super::migrate;
use crate::engine::BlockedClient;
use crate::log::{Log, Lsn};
use crate::resp::Reply;
use crate::server::state::clients::ClientInfo;
use crate::server::state::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// A command that waits before it replies.
pub enum Block {
    /// For keys; the engine knows.
    Key(Arc<BlockedClient>),
    /// For the log.
    Log(LogBlock),
    /// For another server.
    Migrate(migrate::Request),
}

/// A command that waits for the log.
pub struct LogBlock {
    /// Everything below this LSN is to be durable; `None` if it waits for nothing but its timeout,
    /// because there are no replicas.
    pub until: Option<(Arc<Log>, Lsn)>,
    /// For how long at most; `None` for ever.
    pub timeout: Option<Duration>,
    /// What the reply says of the log: whether everything below the LSN is durable.
    pub local: Option<(Arc<Log>, Lsn)>,
    /// Writes the reply; the flag is the answer to `local`.
    pub reply: fn(&mut Reply<'_>, bool),
}

/// Whether a connection gets replies: `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// It does.
    On,
    /// It does not.
    Off,
    /// The command behind the one at hand gets none.
    SkipNext,
    /// The command at hand gets none.
    Skip,
}

/// What the server remembers of a connection beyond the engine's session.
pub struct ConnectionState {
    /// What all connections share.
    pub shared: Arc<Shared>,
    /// What others may know of the connection.
    pub client: Arc<ClientInfo>,
    /// Connected through the loopback interface or the Unix socket.
    pub is_local: bool,
    /// The connection ends after the reply at hand.
    pub close: bool,
    /// The command at hand waits.
    pub block: Option<Block>,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// Where in the output begins what is not sent of the reply at hand.
    pub muted_from: Option<usize>,
}

impl ConnectionState {
    /// The state of a new connection.
    pub fn new(shared: Arc<Shared>, client: Arc<ClientInfo>, is_local: bool) -> Self {
        Self {
            shared,
            client,
            is_local,
            close: false,
            block: None,
            reply_mode: ReplyMode::On,
            muted_from: None,
        }
    }

    /// Notes that a command begins, whose reply is to be written to the output from `position` on.
    pub fn begin_reply(&mut self, position: usize) {
        self.muted_from = self.is_muted().then_some(position);
    }

    /// Notes that the command at hand has its reply, if it is not one that waits. Whether that is
    /// sent.
    pub fn end_reply(&mut self) -> bool {
        let muted = self.is_muted();
        if self.block.is_none() {
            self.reply_mode = match self.reply_mode {
                ReplyMode::SkipNext => ReplyMode::Skip,
                ReplyMode::Skip => ReplyMode::On,
                mode => mode,
            };
        }
        !muted
    }

    /// Whether what comes next is answered with nothing.
    pub fn is_muted(&self) -> bool {
        matches!(self.reply_mode, ReplyMode::Off | ReplyMode::Skip)
    }

    /// Counts an error reply.
    pub fn count_error(&self) {
        Shared::count(&self.shared.counters.errors, 1);
    }
}
