//! Loading a data set that somebody else may have open.

use super::replay::Replayer;
use super::{Engine, Machine, Progress, State, progress};
use crate::commands::Settings;
use crate::log::manifest::Manifest;
use crate::log::segment::segment_name;
use crate::log::{OpenError, Recovery, Until, View};
use std::sync::Arc;

impl Engine {
    /// An engine without a log that holds what the data set of `view` held at `until`, keys that have expired included.
    /// `history` is one of [`View::histories`]. Nothing on the disk is changed.
    ///
    /// # Errors
    /// If something on the way there is damaged, missing or cannot be replayed.
    pub fn read(
        machine: Machine,
        view: &View,
        history: &Manifest,
        until: Until,
        databases: usize,
        settings: Settings,
        progress: &Arc<Progress>,
    ) -> Result<(Self, Recovery), OpenError> {
        let mut state = State::new(&machine, databases, settings);
        progress.begin(progress::bytes_of(history, |line| {
            let file = view.file(&segment_name(line.sequence));
            file.and_then(|file| progress::written_bytes(&*file)).unwrap_or(0)
        }));
        let mut replay = Replayer::new(&mut state, machine.clock.unix_ms());
        replay.watch(progress.clone());
        replay.stop_at(until.lsn.min(view.end().lsn));
        let mut recovery = view.read(history, until, &mut replay)?;
        if recovery.lsn > until.lsn {
            // It ends amid a frame.
            recovery.lsn = replay.reached_lsn();
        }
        // Replay counts hits and misses, which are not a client's.
        state.keyspace.stats = Default::default();
        Ok((Self::new(state, None, machine), recovery))
    }
}
