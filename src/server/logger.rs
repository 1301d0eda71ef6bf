//! The server's own log: one line for each message, in the form that tools for Redis read.
//!
//! `PID:role DD Mon YYYY HH:MM:SS.mmm level message`, to standard output or to a file that is
//! opened for every group of lines, so that it can be moved away at any time. Logging never fails
//! and never panics: a message that cannot be written is lost, and the server goes on.
//!
//! Once the server runs, lines are written by a [`Thread`] of their own, so that no caller waits
//! for a file or a pipe: many of them hold the engine. What waits for it is bounded; beyond, lines
//! are dropped and counted.

use crate::server::config::values::SyslogFacility;
use crate::server::config::{Config, LogLevel};
use parking_lot::{Condvar, Mutex, RwLock};
use std::ffi::CString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use thiserror::Error;

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggerError {
    /// The log file cannot be opened.
    #[error("Can't open the log file '{}': {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What the process is, as one letter in each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows another server.
    Replica,
}

/// While more than this waits for the thread, lines are dropped.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// A process that aborts waits this long for what is being written.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Target {
    file: Option<PathBuf>,
    syslog: bool,
}

static THRESHOLD: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(b'M');
static TARGET: RwLock<Target> = RwLock::new(Target { file: None, syslog: false });
static WAITING: Mutex<Waiting> = Mutex::new(Waiting::NONE);
static ADDED: Condvar = Condvar::new();
/// Held while lines are written, so that they keep their order.
static WRITING: Mutex<()> = Mutex::new(());

/// One message, as a line and by itself.
struct Line {
    level: LogLevel,
    text: String,
    message: String,
}

/// Lines on their way to the thread.
struct Waiting {
    lines: Vec<Line>,
    bytes: usize,
    /// Lines that had no room.
    dropped: u64,
    /// Whether there is a thread; otherwise the caller writes.
    has_thread: bool,
}

impl Waiting {
    const NONE: Self = Self { lines: Vec::new(), bytes: 0, dropped: 0, has_thread: false };

    /// Takes what waits, and a line about what was dropped behind it.
    fn take(&mut self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            lines.push(Line::new(
                LogLevel::Warning,
                format!("{dropped} lines were dropped here: the log is not written fast enough"),
            ));
        }
        lines
    }
}

impl Line {
    fn new(level: LogLevel, message: String) -> Self {
        let role = char::from(ROLE.load(Ordering::Relaxed));
        let text = format_line(std::process::id(), role, SystemTime::now(), level, &message);
        Self { level, text, message }
    }
}

/// The thread that writes lines, until this is dropped. What is logged then is written by the
/// caller again.
pub struct Thread(Option<JoinHandle<()>>);

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub fn start() -> io::Result<Self> {
        WAITING.lock().has_thread = true;
        match std::thread::Builder::new().name("logger".into()).spawn(write_until_ended) {
            Ok(thread) => Ok(Self(Some(thread))),
            Err(error) => {
                WAITING.lock().has_thread = false;
                Err(error)
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        WAITING.lock().has_thread = false;
        ADDED.notify_all();
        // It writes what waits, and ends.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

fn write_until_ended() {
    loop {
        let ended = {
            let mut waiting = WAITING.lock();
            ADDED
                .wait_while(&mut waiting, |waiting| waiting.lines.is_empty() && waiting.has_thread);
            !waiting.has_thread
        };
        let writing = WRITING.lock();
        let lines = WAITING.lock().take();
        write(&lines);
        drop(writing);
        if ended {
            return;
        }
    }
}

/// Writes what waits for the thread, before a process that ends without warning. If the thread
/// itself is held up, its lines are lost.
pub fn flush_before_abort() {
    let Some(_writing) = WRITING.try_lock_for(ABORT_PATIENCE) else { return };
    let Some(mut waiting) = WAITING.try_lock_for(ABORT_PATIENCE) else { return };
    let lines = waiting.take();
    drop(waiting);
    write(&lines);
}

/// Directs the log where the configuration says. To be called once the data directory is entered, to
/// which a relative path refers; until then, messages go to standard output.
pub fn init(config: &Config) -> Result<(), LoggerError> {
    let mut target = Target { file: None, syslog: config.syslog_enabled };
    if !config.logfile.is_empty() {
        let path = PathBuf::from(&config.logfile);
        let failed = |source| LoggerError::File { path: path.clone(), source };
        let absolute = std::path::absolute(&path).map_err(failed)?;
        // Found out now, since later there is nobody left to tell.
        open(&absolute).map_err(failed)?;
        target.file = Some(absolute);
    }
    if config.syslog_enabled {
        open_syslog(&config.syslog_ident, config.syslog_facility);
    }
    *TARGET.write() = target;
    set_level(config.loglevel);
    Ok(())
}

/// Changes how much is logged.
pub fn set_level(level: LogLevel) {
    THRESHOLD.store(level as u8, Ordering::Relaxed);
}

/// Changes the role that lines show.
pub fn set_role(role: Role) {
    let letter = match role {
        Role::Primary => b'M',
        Role::Replica => b'S',
    };
    ROLE.store(letter, Ordering::Relaxed);
}

/// Whether a message of this level would be written.
pub fn is_enabled(level: LogLevel) -> bool {
    level as u8 >= THRESHOLD.load(Ordering::Relaxed)
}

/// Whether a message of this level appears on standard output.
pub fn is_on_stdout(level: LogLevel) -> bool {
    is_enabled(level) && TARGET.read().file.is_none()
}

/// Writes one message. The macros call this; they format only what is enabled.
pub fn log(level: LogLevel, message: fmt::Arguments<'_>) {
    if !is_enabled(level) {
        return;
    }
    let line = Line::new(level, message.to_string());
    let mut waiting = WAITING.lock();
    if !waiting.has_thread {
        drop(waiting);
        let _writing = WRITING.lock();
        write(&[line]);
        return;
    }
    let bytes = waiting.bytes + line.text.len();
    if bytes > WAITING_BYTES_MAX {
        waiting.dropped += 1;
        return;
    }
    waiting.bytes = bytes;
    waiting.lines.push(line);
    drop(waiting);
    ADDED.notify_one();
}

fn write(lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    let target = TARGET.read();
    let text: String = lines.iter().map(|line| line.text.as_str()).collect();
    // There is no better place to report a failure to log.
    let _ = match &target.file {
        None => io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()),
        Some(path) => open(path).and_then(|mut file| file.write_all(text.as_bytes())),
    };
    if target.syslog {
        lines.iter().for_each(|line| write_syslog(line.level, &line.message));
    }
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// One line of the log, with the time in the zone of this machine.
fn format_line(pid: u32, role: char, at: SystemTime, level: LogLevel, message: &str) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let millis = since.subsec_millis();
    let mark = match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        LogLevel::Warning | LogLevel::Nothing => '#',
    };
    let time = local_time(since.as_secs());
    format!("{pid}:{role} {time}.{millis:03} {mark} {message}\n")
}

/// `DD Mon YYYY HH:MM:SS` in the zone of this machine.
fn local_time(seconds: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX);
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to live values of the right types, which the call reads and writes before
    // it returns. The zone is read from the environment, which nothing in this process changes.
    let filled = !unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) }.is_null();
    if !filled {
        return format!("@{seconds}");
    }
    // SAFETY: `tm` is plain integers and one pointer, so that zeroes were valid even before the call.
    let parts = unsafe { parts.assume_init() };
    let month = usize::try_from(parts.tm_mon).ok().and_then(|month| MONTHS.get(month));
    format!(
        "{:02} {} {} {:02}:{:02}:{:02}",
        parts.tm_mday,
        month.unwrap_or(&"???"),
        i64::from(parts.tm_year) + 1900,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    )
}

fn open_syslog(ident: &str, facility: SyslogFacility) {
    let facility = match facility {
        SyslogFacility::User => libc::LOG_USER,
        SyslogFacility::Local0 => libc::LOG_LOCAL0,
        SyslogFacility::Local1 => libc::LOG_LOCAL1,
        SyslogFacility::Local2 => libc::LOG_LOCAL2,
        SyslogFacility::Local3 => libc::LOG_LOCAL3,
        SyslogFacility::Local4 => libc::LOG_LOCAL4,
        SyslogFacility::Local5 => libc::LOG_LOCAL5,
        SyslogFacility::Local6 => libc::LOG_LOCAL6,
        SyslogFacility::Local7 => libc::LOG_LOCAL7,
    };
    // The system keeps the pointer for as long as the process lives.
    let ident: &'static CString = Box::leak(Box::new(c_text(ident)));
    // SAFETY: the identifier is terminated and, leaked, valid for ever.
    unsafe {
        libc::openlog(
            ident.as_ptr(),
            libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT,
            facility,
        );
    }
}

fn write_syslog(level: LogLevel, message: &str) {
    let priority = match level {
        LogLevel::Debug => libc::LOG_DEBUG,
        LogLevel::Verbose => libc::LOG_INFO,
        LogLevel::Notice => libc::LOG_NOTICE,
        LogLevel::Warning | LogLevel::Nothing => libc::LOG_WARNING,
    };
    let message = c_text(message);
    // SAFETY: both texts are terminated and live through the call; the message is an argument, never the
    // format, so that nothing in it is taken for a conversion.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), message.as_ptr()) };
}

/// Text for C, where a NUL byte would end it early.
fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "?")).unwrap_or_default()
}

/// Logs at a level; the macros named after the levels are shorter.
#[macro_export]
macro_rules! log_at {
    ($level:expr, $($message:tt)+) => {
        if $crate::server::logger::is_enabled($level) {
            $crate::server::logger::log($level, ::std::format_args!($($message)+));
        }
    };
}

/// Logs what helps only to find a fault in the server.
#[macro_export]
macro_rules! log_debug {
    ($($message:tt)+) => { $crate::log_at!($crate::server::config::LogLevel::Debug, $($message)+) };
}

/// Logs what happens often and is rarely of interest.
#[macro_export]
macro_rules! log_verbose {
    ($($message:tt)+) => { $crate::log_at!($crate::server::config::LogLevel::Verbose, $($message)+) };
}

/// Logs what an operator wants to know about a healthy server.
#[macro_export]
macro_rules! log_notice {
    ($($message:tt)+) => { $crate::log_at!($crate::server::config::LogLevel::Notice, $($message)+) };
}

/// Logs what an operator should look at.
#[macro_export]
macro_rules! log_warning {
    ($($message:tt)+) => { $crate::log_at!($crate::server::config::LogLevel::Warning, $($message)+) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_that_tools_read() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_042);
        let line = format_line(123, 'M', at, LogLevel::Notice, "Ready to accept connections");
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[0], words[2], words[3]), ("123:M", "Nov", "2023"));
        assert!(["14", "15"].contains(&words[1]), "{line}");
        assert!(words[4].ends_with(":20.042") && words[4].len() == 12, "{line}");
        assert!(line.ends_with(" * Ready to accept connections\n"));
    }

    /// One test for all that is global, since tests share the process.
    #[test]
    fn messages_go_to_the_file_even_after_it_was_moved_away() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        let mut config = Config { logfile: path.display().to_string(), ..Config::default() };
        init(&config).expect("a log file");
        log_notice!("one {}", 1);
        log_verbose!("hidden");
        std::fs::rename(&path, dir.path().join("old.log")).expect("moved");
        set_level(LogLevel::Debug);
        set_role(Role::Replica);
        log_debug!("two");
        set_level(LogLevel::Nothing);
        log_warning!("hidden");
        let old = std::fs::read_to_string(dir.path().join("old.log")).expect("the old file");
        assert!(old.contains(" * one 1\n") && !old.contains("hidden"), "{old}");
        let new = std::fs::read_to_string(&path).expect("the new file");
        // Tests that run beside this one may log as well.
        assert!(
            new.contains(":S ")
                && new.contains(
                    " . two
"
                ),
            "{new}"
        );
        assert!(!new.contains("one 1") && !new.contains("hidden"), "{new}");

        config.logfile = dir.path().join("none/a.log").display().to_string();
        let error = init(&config).expect_err("no such directory").to_string();
        assert!(error.starts_with("Can't open the log file '"), "{error}");
        config.logfile.clear();
        init(&config).expect("standard output");
        set_role(Role::Primary);
    }
}
