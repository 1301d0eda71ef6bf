//! RDB files: when they are written, how, and what is known of the last ones.

use crate::commands::CommandError;
use crate::engine::Guard;
use crate::engine::compact::SnapshotError;
use crate::rdb::{Format, Target};
use crate::server::config::{Config, RdbVersion, SavePoints};
use crate::server::state::clock::unix_s;
use crate::words::counted;
use crate::{log_notice, log_warning};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// After a failure, save points trigger nothing for so many seconds.
const RETRY_DELAY_S: u64 = 5;

/// What is known of saves; `INFO persistence` shows it.
#[derive(Clone, Debug)]
pub struct SaveStatus {
    /// When the last one succeeded, or the server started: Unix time in s.
    pub last_s: u64,
    /// Changes of the data before that one.
    changes: u64,
    /// How many were begun, `SAVE` and `BGSAVE` together.
    pub count: u64,
    /// Whether the last one in the background succeeded.
    pub background_ok: bool,
    /// When that began: Unix time in s, 0 before the first.
    background_tried_s: u64,
    /// Changes of the data before that one.
    background_changes: u64,
}

impl SaveStatus {
    /// How many changes of the data no RDB file has, if there have been so many in all.
    pub fn unsaved_changes(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.changes)
    }
}

/// RDB files: what is known of them.
pub struct Saves(Mutex<SaveStatus>);

impl Default for Saves {
    fn default() -> Self {
        Self(Mutex::new(SaveStatus {
            last_s: unix_s(),
            changes: 0,
            count: 0,
            background_ok: true,
            background_tried_s: 0,
            background_changes: 0,
        }))
    }
}

const REFUSAL: CommandError = CommandError::fixed(
    "MISCONF The last RDB snapshot could not be written, so commands that change the data are refused \
     (stop-writes-on-bgsave-error). The server's log says why",
);

impl Saves {
    /// What is known now.
    pub fn status(&self) -> SaveStatus {
        self.0.lock().clone()
    }

    /// Writes the RDB file now, with the engine held.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn save(&self, engine: &mut Guard<'_>, config: &Config) -> Result<(), String> {
        self.0.lock().count += 1;
        let (path, started) = (rdb_path(config), Instant::now());
        let bytes = engine.save(&path, format(engine, config)).map_err(|error| {
            log_warning!("{}", explain(&path, &error, Reader::Log));
            explain(&path, &error, Reader::Client)
        })?;
        log_notice!(
            "DB saved to {}: {}, {:.3} seconds",
            path.display(),
            counted(bytes, "byte", "bytes"),
            started.elapsed().as_secs_f64()
        );
        let mut status = self.0.lock();
        (status.last_s, status.changes) = (unix_s(), engine.changes());
        status.background_ok = true;
        drop(status);
        engine.set_write_refusal(None);
        Ok(())
    }

    /// Notes that a save in the background has begun.
    pub fn begun_in_background(&self, changes: u64) {
        let mut status = self.0.lock();
        status.count += 1;
        status.background_tried_s = unix_s();
        status.background_changes = changes;
    }

    /// Notes how a save in the background has ended.
    pub fn ended_in_background(&self, succeeded: bool) {
        let mut status = self.0.lock();
        status.background_ok = succeeded;
        if succeeded {
            (status.last_s, status.changes) = (unix_s(), status.background_changes);
        }
    }

    /// Refuses writes or takes them again, as the last save and the directives have it. To be called now and then.
    pub fn refuse_writes(&self, engine: &mut Guard<'_>, config: &Config) {
        engine.set_write_refusal(refusal(&self.0.lock(), config));
    }

    /// The first save point that is due: its changes and its seconds.
    pub fn due(&self, points: &SavePoints, changes: u64) -> Option<(i32, i64)> {
        due_point(&self.0.lock(), points, changes, unix_s())
    }
}

/// Whether the data are saved at the end: because somebody asks for it, or because of save points. With nothing
/// to save they are, too, as in Redis.
pub(super) fn saves_at_end(config: &Config, save: bool, no_save: bool) -> bool {
    save || (!no_save && !config.save.0.is_empty())
}

/// Who reads what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Who may read the data, too.
    Client,
    /// Who reads the server's log, which shows no user data.
    Log,
}

/// What went wrong, and what can be done about it.
pub fn explain(path: &Path, error: &SnapshotError, reader: Reader) -> String {
    let cause = match error {
        SnapshotError::NotHeld(refused) if reader == Reader::Log => {
            format!("{} (SAVE names the key to its client)", refused.reason)
        }
        error => error.to_string(),
    };
    let advice = match error {
        SnapshotError::NotHeld(_) | SnapshotError::FunctionsNotHeld(_) => {
            " ('rdb-version' says which version is written)"
        }
        _ => "",
    };
    format!("saving {} failed: {cause}{advice}", path.display())
}

/// Why writes are refused, if they are.
fn refusal(status: &SaveStatus, config: &Config) -> Option<CommandError> {
    let refuses = config.stop_writes_on_bgsave_error && !config.save.0.is_empty();
    (refuses && !status.background_ok).then_some(REFUSAL)
}

/// The first save point that is due: its changes and seconds.
fn due_point(
    status: &SaveStatus,
    points: &SavePoints,
    changes: u64,
    now_s: u64,
) -> Option<(i32, i64)> {
    let unsaved = status.unsaved_changes(changes);
    let since_s = now_s.saturating_sub(status.last_s);
    let may_try =
        status.background_ok || now_s.saturating_sub(status.background_tried_s) > RETRY_DELAY_S;
    let is_due = |changes: i32, seconds: i64| {
        unsaved >= changes.max(0) as u64 && since_s > seconds.max(0) as u64 && may_try
    };
    let point = points.0.iter().find(|point| is_due(point.changes, point.seconds))?;
    Some((point.changes, point.seconds))
}

/// Where the RDB file is.
pub fn rdb_path(config: &Config) -> PathBuf {
    Path::new(&config.dir.0).join(&config.dbfilename)
}

/// How RDB files of what is there now are written under this configuration.
pub fn format(engine: &Guard<'_>, config: &Config) -> Format {
    let target = match config.rdb_version {
        RdbVersion::Auto => engine.rdb_target(),
        RdbVersion::V9 => Target::V9,
        RdbVersion::V10 => Target::V10,
        RdbVersion::V11 => Target::V11,
        RdbVersion::V12 => Target::V12,
        RdbVersion::Valkey80 => Target::Valkey80,
    };
    Format { target, compress: config.rdbcompression }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::load_text;

    #[test]
    fn save_points_are_due_after_changes_and_time() {
        let config = load_text(b"save 100 1 10 50").unwrap().config;
        let mut status = Saves::default().status();
        (status.last_s, status.changes) = (1000, 7);
        let due = |status: &SaveStatus, changes, now_s| {
            due_point(status, &config.save, changes, now_s).map(|(changes, _)| changes)
        };
        assert_eq!(due(&status, 7, 5000), None);
        assert_eq!(due(&status, 8, 1100), None);
        assert_eq!(due(&status, 8, 1101), Some(1));
        assert_eq!(due(&status, 56, 1011), None);
        assert_eq!(due(&status, 57, 1011), Some(50));
        status.background_ok = false;
        status.background_tried_s = 1010;
        assert_eq!(due(&status, 57, 1015), None);
        assert_eq!(due(&status, 57, 1016), Some(50));
    }

    #[test]
    fn a_failed_save_refuses_writes_if_that_is_wanted() {
        let saves = Saves::default();
        let refuses = |text: &str| {
            let config = load_text(text.as_bytes()).unwrap().config;
            refusal(&saves.status(), &config).is_some()
        };
        assert!(!refuses("save 1 1"));
        saves.begun_in_background(7);
        saves.ended_in_background(false);
        assert!(refuses("save 1 1"));
        assert!(!refuses("save ''"));
        assert!(!refuses("save 1 1\nstop-writes-on-bgsave-error no"));
        saves.begun_in_background(8);
        saves.ended_in_background(true);
        assert!(!refuses("save 1 1"));
        assert_eq!((saves.status().count, saves.status().unsaved_changes(10)), (2, 2));
    }
}
