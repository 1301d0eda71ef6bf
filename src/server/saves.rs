//! RDB files: when they are written, how, and what is known of the last ones.

use super::config::{Config, RdbVersion, SavePoints};
use super::run::unix_s;
use super::shared::Shared;
use crate::commands::CommandError;
use crate::engine::{Guard, SaveError, SaveOptions};
use crate::rdb::Target;
use crate::{log_notice, log_warning};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// After a failure, save points trigger nothing for so many seconds.
const RETRY_DELAY_S: u64 = 5;

/// What is written while commands go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// An RDB file: `BGSAVE`, save points.
    Rdb,
    /// What the log starts from: `BGREWRITEAOF`.
    Base,
}

/// Whoever writes snapshots while commands go on. When one has ended, [`Saves::end_snapshot`] is told.
pub trait Snapshotter {
    /// Begins one of what is there now. None is in progress.
    ///
    /// # Errors
    /// Why it cannot begin.
    fn begin_snapshot(&self, engine: &mut Guard<'_>, kind: SnapshotKind) -> Result<(), String>;
}

/// A snapshot that is being written.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// What it is.
    pub kind: SnapshotKind,
    /// When it began.
    pub started: Instant,
    /// [`Guard::changes`] then.
    changes: u64,
}

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
    /// How long that took, in s; `None` before the first.
    pub background_took_s: Option<u64>,
    /// When that began: Unix time in s, 0 before the first.
    background_tried_s: u64,
    /// The snapshot in progress.
    pub running: Option<Running>,
    /// What begins once that has ended.
    pub scheduled: Option<SnapshotKind>,
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
            background_took_s: None,
            background_tried_s: 0,
            running: None,
            scheduled: None,
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

    /// Writes the RDB file now; see [`Guard::save`].
    ///
    /// # Errors
    /// As [`Guard::save`].
    pub fn save(&self, engine: &mut Guard<'_>, config: &Config) -> Result<(), SaveError> {
        self.0.lock().count += 1;
        let (path, started) = (rdb_path(config), Instant::now());
        let saved = engine.save(&path, options(config)).inspect_err(|error| {
            log_warning!("Saving {} failed: {error}", path.display());
        })?;
        log_notice!(
            "DB saved to {}: {} keys, {} bytes, {:.3} seconds",
            path.display(),
            saved.keys,
            saved.bytes,
            started.elapsed().as_secs_f64()
        );
        let mut status = self.0.lock();
        (status.last_s, status.changes) = (unix_s(), engine.changes());
        status.background_ok = true;
        drop(status);
        engine.set_write_refusal(None);
        Ok(())
    }

    /// `BGSAVE`: the reply.
    ///
    /// # Errors
    /// If one is in progress, or cannot begin.
    pub fn save_in_background(
        &self,
        engine: &mut Guard<'_>,
        snapshotter: &dyn Snapshotter,
        schedule: bool,
    ) -> Result<&'static str, CommandError> {
        match self.status().running.map(|running| running.kind) {
            Some(SnapshotKind::Rdb) => {
                Err(CommandError::fixed("ERR Background save already in progress"))
            }
            Some(SnapshotKind::Base) if schedule || engine.in_exec() => {
                self.0.lock().scheduled = Some(SnapshotKind::Rdb);
                Ok("Background saving scheduled")
            }
            Some(SnapshotKind::Base) => Err(CommandError::fixed(
                "ERR The log's base is being rewritten: can't BGSAVE right now. Use BGSAVE SCHEDULE in order \
                 to schedule a BGSAVE whenever possible.",
            )),
            None if engine.in_exec() => {
                self.0.lock().scheduled = Some(SnapshotKind::Rdb);
                Ok("Background saving scheduled")
            }
            None => {
                self.begin_snapshot(engine, snapshotter, SnapshotKind::Rdb)?;
                Ok("Background saving started")
            }
        }
    }

    /// `BGREWRITEAOF`: the reply.
    ///
    /// # Errors
    /// If one is in progress, or cannot begin.
    pub fn rewrite_in_background(
        &self,
        engine: &mut Guard<'_>,
        snapshotter: &dyn Snapshotter,
    ) -> Result<&'static str, CommandError> {
        match self.status().running.map(|running| running.kind) {
            Some(SnapshotKind::Base) => Err(CommandError::fixed(
                "ERR Background append only file rewriting already in progress",
            )),
            None if !engine.in_exec() => {
                self.begin_snapshot(engine, snapshotter, SnapshotKind::Base)?;
                Ok("Background append only file rewriting started")
            }
            _ => {
                self.0.lock().scheduled = Some(SnapshotKind::Base);
                Ok("Background append only file rewriting scheduled")
            }
        }
    }

    /// Begins what is scheduled, or an RDB file if a save point is due. To be called now and then.
    pub fn begin_due(
        &self,
        engine: &mut Guard<'_>,
        snapshotter: &dyn Snapshotter,
        points: &SavePoints,
    ) {
        let status = self.status();
        if status.running.is_some() || engine.is_loading() {
            return;
        }
        let due = due_point(&status, points, engine.changes(), unix_s());
        if let Some((changes, seconds)) = due {
            log_notice!("{changes} changes in {seconds} seconds. Saving...");
        }
        let kind = status.scheduled.or(due.map(|_| SnapshotKind::Rdb));
        if let Some(kind) = kind {
            self.0.lock().scheduled = None;
            // What keeps it from beginning has been logged.
            let _ = self.begin_snapshot(engine, snapshotter, kind);
        }
    }

    fn begin_snapshot(
        &self,
        engine: &mut Guard<'_>,
        snapshotter: &dyn Snapshotter,
        kind: SnapshotKind,
    ) -> Result<(), CommandError> {
        if kind == SnapshotKind::Rdb {
            let mut status = self.0.lock();
            status.count += 1;
            status.background_tried_s = unix_s();
        }
        snapshotter.begin_snapshot(engine, kind).map_err(|error| {
            log_warning!("A snapshot could not begin: {error}");
            CommandError::new(format!("ERR {error}"))
        })?;
        let (started, changes) = (Instant::now(), engine.changes());
        self.0.lock().running = Some(Running { kind, started, changes });
        Ok(())
    }

    /// Notes how the snapshot in progress has ended.
    pub fn end_snapshot(
        &self,
        engine: &mut Guard<'_>,
        result: Result<(), String>,
        config: &Config,
    ) {
        let mut status = self.0.lock();
        let Some(running) = status.running.take() else { return };
        if let Err(error) = &result {
            log_warning!("Background saving failed: {error}");
        }
        if running.kind == SnapshotKind::Base {
            return;
        }
        status.background_ok = result.is_ok();
        status.background_took_s = Some(running.started.elapsed().as_secs());
        if result.is_ok() {
            (status.last_s, status.changes) = (unix_s(), running.changes);
        }
        engine.set_write_refusal(refusal(&status, config));
    }

    /// Notes that directives have changed.
    pub fn reconfigure(&self, engine: &mut Guard<'_>, config: &Config) {
        engine.set_write_refusal(refusal(&self.0.lock(), config));
    }

    /// Whether the data are saved at the end: because somebody asks for it, or because of save points.
    /// With nothing to save they are, too, as in Redis.
    pub fn saves_at_end(config: &Config, save: bool, no_save: bool) -> bool {
        save || (!no_save && !config.save.0.is_empty())
    }
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

/// How RDB files are written under this configuration.
pub fn options(config: &Config) -> SaveOptions {
    SaveOptions {
        target: match config.rdb_version {
            RdbVersion::Auto => None,
            RdbVersion::V9 => Some(Target::V9),
            RdbVersion::V10 => Some(Target::V10),
            RdbVersion::V11 => Some(Target::V11),
            RdbVersion::V12 => Some(Target::V12),
            RdbVersion::Valkey80 => Some(Target::Valkey80),
        },
        compress: config.rdbcompression,
        checksum: config.rdbchecksum,
        incremental_sync: config.rdb_save_incremental_fsync,
    }
}

/// Saves the data before the server ends, if that is wanted; nothing is executed after it.
///
/// # Errors
/// If they cannot be saved. Then the server goes on, unless it is to end all the same (`force`).
pub fn save_at_end(
    shared: &Shared,
    engine: &mut Guard<'_>,
    (save, no_save, force): (bool, bool, bool),
) -> Result<(), SaveError> {
    let config = shared.config.read().clone();
    if !engine.is_loading() && Saves::saves_at_end(&config, save, no_save) {
        log_notice!("Saving the final RDB snapshot before exiting");
        match shared.saves.save(engine, &config) {
            Err(error) if !force => return Err(error),
            _ => {}
        }
    }
    shared.ending.store(true, std::sync::atomic::Ordering::Release);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Settings;
    use crate::engine::{Engine, Machine};
    use crate::server::config::load_text;

    /// Fails if it is told to.
    struct Fake(Result<(), &'static str>);

    impl Snapshotter for Fake {
        fn begin_snapshot(&self, _: &mut Guard<'_>, _: SnapshotKind) -> Result<(), String> {
            self.0.map_err(str::to_owned)
        }
    }

    #[test]
    fn snapshots_are_one_at_a_time_and_the_next_one_may_be_scheduled() {
        let engine = Engine::in_memory(Machine::real(), 1, Settings::default());
        let (mut engine, saves) = (engine.lock(), Saves::default());
        let (engine, good) = (&mut engine, Fake(Ok(())));
        let config = Config::default();
        let text = |result: Result<&'static str, CommandError>| match result {
            Ok(text) => text.to_owned(),
            Err(error) => error.text().to_owned(),
        };
        let broken = Fake(Err("no room"));
        assert_eq!(text(saves.save_in_background(engine, &broken, false)), "ERR no room");
        assert!(saves.status().running.is_none());
        let started = "Background saving started";
        assert_eq!(text(saves.save_in_background(engine, &good, false)), started);
        let again = text(saves.save_in_background(engine, &good, true));
        assert_eq!(again, "ERR Background save already in progress");
        let rewrite = text(saves.rewrite_in_background(engine, &good));
        assert_eq!(rewrite, "Background append only file rewriting scheduled");
        saves.end_snapshot(engine, Ok(()), &config);
        assert_eq!(saves.status().background_took_s, Some(0));
        saves.begin_due(engine, &good, &config.save);
        assert_eq!(saves.status().running.map(|r| r.kind), Some(SnapshotKind::Base));
        let rewrite = text(saves.rewrite_in_background(engine, &good));
        assert_eq!(rewrite, "ERR Background append only file rewriting already in progress");
        assert!(text(saves.save_in_background(engine, &good, false)).contains("BGSAVE SCHEDULE"));
        let scheduled = text(saves.save_in_background(engine, &good, true));
        assert_eq!(scheduled, "Background saving scheduled");
        saves.end_snapshot(engine, Ok(()), &config);
        saves.begin_due(engine, &good, &config.save);
        assert_eq!(saves.status().running.map(|r| r.kind), Some(SnapshotKind::Rdb));
        assert_eq!((saves.status().count, saves.status().scheduled), (3, None));
    }

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
    fn a_failed_snapshot_refuses_writes_if_that_is_wanted() {
        let engine = Engine::in_memory(Machine::real(), 1, Settings::default());
        let (mut engine, saves) = (engine.lock(), Saves::default());
        let (engine, good) = (&mut engine, Fake(Ok(())));
        for (text, refuses) in [
            ("save 1 1", true),
            ("save ''", false),
            ("save 1 1\nstop-writes-on-bgsave-error no", false),
        ] {
            let config = load_text(text.as_bytes()).unwrap().config;
            saves.save_in_background(engine, &good, false).unwrap();
            saves.end_snapshot(engine, Err("the disk is full".to_owned()), &config);
            assert_eq!(refusal(&saves.status(), &config).is_some(), refuses, "{text}");
        }
        saves.save_in_background(engine, &good, false).unwrap();
        let config = load_text(b"save 1 1").unwrap().config;
        saves.end_snapshot(engine, Ok(()), &config);
        assert!(refusal(&saves.status(), &config).is_none());
    }
}
