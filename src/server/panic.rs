//! A panic ends the process at once, in whichever thread it happens.
//!
//! Around a panic the others would go on with what it left half done: a unit of which a part is in
//! memory, clients that wait for a thread that is gone. A crash is what recovery is for, so a panic
//! becomes one. The hook is the server's and not the profile's: tests and programs that embed the
//! engine decide for themselves.
//!
//! A panic while a snapshot is being taken may lie in the snapshot's encoding. The next server
//! would take one by itself, and panic again. So this one leaves a mark in the data directory
//! ([`MARK_NAME`]). A server that finds it does no such work by itself until a snapshot that was
//! asked for has succeeded. Compressing retired segments is such work, too.

use crate::server::logger;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The file in the data directory that a panic leaves while there is [`OwnWork`].
pub const MARK_NAME: &str = "mainstay-background-panic";

static MARK: OnceLock<PathBuf> = OnceLock::new();
static OWN_WORK: AtomicUsize = AtomicUsize::new(0);

/// Lives while the server does something that the next server would do again by itself.
pub struct OwnWork(());

impl OwnWork {
    /// Begins it.
    pub fn begin() -> Self {
        OWN_WORK.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for OwnWork {
    fn drop(&mut self) {
        OWN_WORK.fetch_sub(1, Ordering::Relaxed);
    }
}

/// From now on a panic ends the process. `dir` is the data directory.
pub fn install_hook(dir: &Path) {
    MARK.get_or_init(|| dir.join(MARK_NAME));
    std::panic::set_hook(Box::new(end));
}

/// Whether a process before this one has left the mark in `dir`.
pub fn is_marked(dir: &Path) -> bool {
    dir.join(MARK_NAME).exists()
}

/// Takes the mark in `dir` away.
///
/// # Errors
/// Those of the disk.
pub fn unmark(dir: &Path) -> std::io::Result<()> {
    std::fs::remove_file(dir.join(MARK_NAME))
}

fn end(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let at = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let text = info.payload_as_str().unwrap_or("no message");
    crate::log_warning!(
        "The thread '{thread}' has panicked at {at}: {text}. The process ends; the next start recovers"
    );
    if OWN_WORK.load(Ordering::Relaxed) > 0
        && let Some(path) = MARK.get()
        && let Err(error) = mark(path, &format!("'{thread}' at {at}: {text}\n"))
    {
        crate::log_warning!("{} could not be written: {error}", path.display());
    }
    logger::flush_before_abort();
    std::process::abort();
}

fn mark(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_a_line() {
        const CHILD: &str = "MAINSTAY_TEST_PANICS";
        if let Some(dir) = std::env::var_os(CHILD) {
            install_hook(Path::new(&dir));
            let _work = OwnWork::begin();
            let thread = std::thread::Builder::new().name("log".into());
            let _ = thread.spawn(|| panic!("on purpose")).expect("started").join();
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(std::env::current_exe().expect("a path"));
        let name = "server::panic::tests::a_panic_of_any_thread_ends_the_process_with_a_line";
        let output = child.args(["--exact", "--nocapture", name]).env(CHILD, dir.path()).output();
        let output = output.expect("it ran");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let line = "The thread 'log' has panicked at src/server/panic.rs:";
        assert!(text.contains(line) && text.contains(": on purpose."), "{text}");
        assert!(is_marked(dir.path()));
        unmark(dir.path()).expect("removed");
        assert!(!is_marked(dir.path()));
    }
}
