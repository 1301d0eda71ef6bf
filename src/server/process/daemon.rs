//! The process and what started it: the data directory, the background, the pid file, the supervisor.

use crate::disk::{Disk, RealDisk};
use crate::server::config::values::DataDir;
use crate::server::config::{Config, Supervised};
use crate::{log_verbose, log_warning};
use rustix::process::{Signal, getpid, kill_process, setsid};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The pid file of a server in the background that was told none.
pub const DEFAULT_PID_FILE: &str = "/var/run/mainstay.pid";

/// Why the process could not be set up.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The data directory cannot be made or entered.
    #[error("can't use the data directory '{}': {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Only a process of one thread can go to the background.
    #[error("can't go to the background: {0} threads have already been started")]
    Threads(usize),
    /// A step on the way to the background failed.
    #[error("can't go to the background: {step}: {source}")]
    Background {
        /// What was being done.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The pid file cannot be written.
    #[error("can't write the pid file '{}': {source}", path.display())]
    PidFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Makes the data directory if it is missing, in a parent that exists, with a durable name, and makes it the working
/// directory, to which other paths of the configuration are relative. The configuration then has its
/// absolute path.
pub fn enter_data_dir(config: &mut Config) -> Result<(), DaemonError> {
    let path = PathBuf::from(&config.dir.0);
    let failed = |source| DaemonError::DataDir { path: path.clone(), source };
    RealDisk.create_dir(&path).map_err(failed)?;
    let absolute = path.canonicalize().map_err(failed)?;
    let text = absolute.to_str().ok_or_else(|| {
        failed(io::Error::new(io::ErrorKind::InvalidFilename, "its path is not valid UTF-8"))
    })?;
    std::env::set_current_dir(&absolute).map_err(failed)?;
    config.dir = DataDir(text.into());
    Ok(())
}

/// Ignores signals that would end the process without a clean close: those that Redis survives, of
/// a terminal that is closed, of a reader that is gone, and those that make it show its stacks; and
/// that of a file which would be longer than is allowed, which is an error of the write as well.
pub fn ignore_signals() {
    let ignored = [libc::SIGHUP, libc::SIGPIPE, libc::SIGUSR2, libc::SIGALRM, libc::SIGXFSZ];
    for signal in ignored {
        // SAFETY: the signals exist and can be ignored, so that the call cannot fail; no handler is installed
        // that could run code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Leaves the terminal: the caller goes on in a child process with a session of its own, while the
/// parent ends with success. To be called before any thread is started.
pub fn daemonize() -> Result<(), DaemonError> {
    let failed = |step| move |source| DaemonError::Background { step, source };
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(DaemonError::Threads(threads));
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(failed("opening /dev/null"))?;
    // SAFETY: the process has one thread, so no lock is held by another that the child would miss. The
    // parent ends at once without running what belongs to the child.
    match unsafe { libc::fork() } {
        -1 => return Err(failed("starting a process")(io::Error::last_os_error())),
        0 => {}
        // SAFETY: ends the process and touches nothing.
        _ => unsafe { libc::_exit(0) },
    }
    let step = failed("starting a session");
    setsid().map_err(|error| step(error.into()))?;
    redirect(&null).map_err(|error| failed("leaving the terminal")(error.into()))
}

fn redirect(null: &File) -> rustix::io::Result<()> {
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    rustix::stdio::dup2_stderr(null)
}

/// A file with the number of this process, removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    content: String,
}

impl PidFile {
    /// Writes the pid file if one is configured or the server is in the background. To be called by the
    /// process that stays, once the data directory is entered.
    pub fn create(config: &Config, in_background: bool) -> Result<Option<Self>, DaemonError> {
        let path = match &config.pidfile {
            Some(path) => Path::new(path),
            None if in_background => Path::new(DEFAULT_PID_FILE),
            None => return Ok(None),
        };
        Self::create_at(path).map(Some)
    }

    fn create_at(path: &Path) -> Result<Self, DaemonError> {
        let content = format!("{}\n", std::process::id());
        let failed = |source| DaemonError::PidFile { path: path.into(), source };
        let absolute = std::path::absolute(path).map_err(failed)?;
        fs::write(&absolute, &content).map_err(failed)?;
        Ok(Self { path: absolute, content })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another server may have taken the file over by now; then it is not ours to remove.
        if fs::read_to_string(&self.path).is_ok_and(|content| content == self.content) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The supervisor that started the server, if it wants to hear of its progress.
#[derive(Debug)]
pub struct Supervisor {
    /// Where systemd listens.
    notify_socket: Option<SocketAddr>,
    present: bool,
}

impl Supervisor {
    /// No supervisor.
    pub const NONE: Self = Self { notify_socket: None, present: false };

    /// Finds the supervisor that the configuration names and tells it that the server starts. To be
    /// called before going to the background, which a supervised server must not do.
    pub fn start(mode: Supervised) -> Self {
        let mode = match mode {
            Supervised::Auto if std::env::var_os("UPSTART_JOB").is_some() => Supervised::Upstart,
            Supervised::Auto if std::env::var_os("NOTIFY_SOCKET").is_some() => Supervised::Systemd,
            other => other,
        };
        match mode {
            Supervised::Systemd => Self::systemd(std::env::var_os("NOTIFY_SOCKET").as_deref()),
            Supervised::Upstart => Self::upstart(),
            Supervised::Auto | Supervised::No => Self::NONE,
        }
    }

    fn systemd(socket: Option<&std::ffi::OsStr>) -> Self {
        let address = match socket.map(OsStrExt::as_bytes) {
            None => {
                log_warning!("systemd supervision was requested, but NOTIFY_SOCKET is not set");
                return Self::NONE;
            }
            Some([b'@', name @ ..]) => SocketAddr::from_abstract_name(name),
            Some(_) => SocketAddr::from_pathname(Path::new(socket.unwrap_or_default())),
        };
        match address {
            Ok(address) => {
                let supervisor = Self { notify_socket: Some(address), present: true };
                supervisor.status("Mainstay is starting");
                supervisor
            }
            Err(error) => {
                let socket = socket.unwrap_or_default().display();
                log_warning!("systemd supervision: NOTIFY_SOCKET '{socket}' is unusable: {error}");
                Self::NONE
            }
        }
    }

    /// Upstart learns that the server is ready from its stopping itself, and wakes it again.
    fn upstart() -> Self {
        if std::env::var_os("UPSTART_JOB").is_none() {
            log_warning!("upstart supervision was requested, but UPSTART_JOB is not set");
            return Self::NONE;
        }
        log_verbose!("Supervised by upstart, stopping to signal readiness");
        if let Err(error) = kill_process(getpid(), Signal::STOP) {
            log_warning!("upstart supervision: stopping failed: {error}");
        }
        Self { notify_socket: None, present: true }
    }

    /// Whether the server must stay in the foreground.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Says in words what the server is doing.
    pub fn status(&self, text: &str) {
        self.notify(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// Says that connections are accepted.
    pub fn ready(&self) {
        self.notify("READY=1\nSTATUS=Ready to accept connections");
    }

    /// Asks for more time to start, as a server does that recovers much data.
    pub fn still_starting(&self, text: &str, more: Duration) {
        let text = text.replace('\n', " ");
        self.notify(&format!("EXTEND_TIMEOUT_USEC={}\nSTATUS={text}", more.as_micros()));
    }

    /// Says that the server is shutting down.
    pub fn stopping(&self) {
        self.notify("STOPPING=1\nSTATUS=Shutting down");
    }

    fn notify(&self, message: &str) {
        let Some(address) = &self.notify_socket else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            // A supervisor that does not listen must not hold the server up.
            socket.set_nonblocking(true)?;
            socket.send_to_addr(message.as_bytes(), address)
        });
        if let Err(error) = sent {
            log_warning!("Could not notify systemd: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn check_messages(socket: &UnixDatagram, name: &OsStr) {
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        let supervisor = Supervisor::systemd(Some(name));
        assert!(supervisor.is_present());
        assert_eq!(received(socket), "STATUS=Mainstay is starting");
        supervisor.still_starting("Loading\n5%", Duration::from_secs(2));
        assert_eq!(received(socket), "EXTEND_TIMEOUT_USEC=2000000\nSTATUS=Loading 5%");
        supervisor.ready();
        assert_eq!(received(socket), "READY=1\nSTATUS=Ready to accept connections");
        supervisor.stopping();
        assert_eq!(received(socket), "STOPPING=1\nSTATUS=Shutting down");
    }

    #[test]
    fn systemd_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        check_messages(&UnixDatagram::bind(&path).expect("bound"), path.as_os_str());

        let name = format!("mainstay-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("bound");
        check_messages(&socket, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn a_missing_supervisor_is_no_error() {
        assert!(!Supervisor::systemd(None).is_present());
        assert!(!Supervisor::systemd(Some(OsStr::new(&"x".repeat(200)))).is_present());
        assert!(!Supervisor::start(Supervised::No).is_present());
        Supervisor::NONE.ready();
        // Nobody listens there.
        Supervisor::systemd(Some(OsStr::new("/nonexistent/socket"))).ready();
    }

    #[test]
    fn pid_files_go_with_their_server() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.pid");
        let mut config = Config::default();
        assert!(PidFile::create(&config, false).expect("none wanted").is_none());
        config.pidfile = Some(path.display().to_string());
        let file = PidFile::create(&config, false).expect("written");
        let text = fs::read_to_string(&path).expect("a pid file");
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());

        let file = PidFile::create(&config, true).expect("written");
        fs::write(&path, "1\n").expect("taken over");
        drop(file);
        assert!(path.exists(), "the file of another server stays");
        config.pidfile = Some(dir.path().join("none/a.pid").display().to_string());
        let error = PidFile::create(&config, false).expect_err("no such directory").to_string();
        assert!(error.starts_with("can't write the pid file '"), "{error}");
    }

    #[test]
    fn many_threads_cannot_go_to_the_background() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert!(matches!(daemonize(), Err(DaemonError::Threads(2..))));
        drop(release);
        let _ = thread.join();
    }

    #[test]
    fn a_data_directory_is_made_one_level_deep() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("a/b");
        let mut config = Config { dir: DataDir(deep.display().to_string()), ..Config::default() };
        let error = enter_data_dir(&mut config).expect_err("two levels").to_string();
        assert!(error.contains("/a/b': No such file"), "{error}");
        fs::write(dir.path().join("file"), "").expect("written");
        config.dir = DataDir(dir.path().join("file").display().to_string());
        assert!(enter_data_dir(&mut config).is_err());
    }
}
