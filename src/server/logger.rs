//! The server's own log: one line for each message, in the form that tools for Redis read.
//!
//! `PID:role DD Mon YYYY HH:MM:SS.mmm level message`, to standard output or to a file that is opened for
//! every line, so that it can be moved away at any time. Logging never fails and never panics: a message
//! that cannot be written is lost, and the server goes on.

use super::config::values::SyslogFacility;
use super::config::{Config, LogLevel};
use parking_lot::RwLock;
use std::ffi::CString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
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

#[derive(Debug, Default)]
struct Target {
    file: Option<PathBuf>,
    syslog: bool,
}

static THRESHOLD: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(b'M');
static TARGET: RwLock<Target> = RwLock::new(Target { file: None, syslog: false });

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
    let message = message.to_string();
    let role = char::from(ROLE.load(Ordering::Relaxed));
    let line = format_line(std::process::id(), role, SystemTime::now(), level, &message);
    let target = TARGET.read();
    // There is no better place to report a failure to log.
    let _ = match &target.file {
        None => io::stdout().lock().write_all(line.as_bytes()).and_then(|()| io::stdout().flush()),
        Some(path) => open(path).and_then(|mut file| file.write_all(line.as_bytes())),
    };
    if target.syslog {
        write_syslog(level, &message);
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
