//! A server in a temporary directory.

use super::{Client, PATIENCE, eventually, free_port, info};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Runs the server with these arguments to its end, which must come by itself.
pub fn run_to_end(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay-server"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let start = Instant::now();
    while child.try_wait().expect("waited").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the server goes on with {arguments:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

/// The highest that is allowed stays, so that it can be raised again.
fn soft_limit(current: Option<u64>) -> Rlimit {
    Rlimit { current, maximum: getrlimit(Resource::Fsize).maximum }
}

/// How a server is started. Everything happens inside a directory of its own.
pub struct Setup {
    home: tempfile::TempDir,
    /// Where the server's data is, if not in the directory of its own.
    data: Option<PathBuf>,
    directives: Vec<String>,
    strace: Option<String>,
    trace: Option<PathBuf>,
    file: Option<String>,
    files_max: Option<u32>,
    file_bytes_max: Option<u64>,
}

impl Setup {
    /// A server with `--directive value` pairs, on a free port, with small segments.
    pub fn new(directives: &[&str]) -> Self {
        let directives = directives.iter().map(|&word| word.to_owned()).collect();
        let home = tempfile::Builder::new().prefix("mainstay-").tempdir().expect("a directory");
        Self {
            home,
            data: None,
            directives,
            strace: None,
            trace: None,
            file: None,
            files_max: None,
            file_bytes_max: None,
        }
    }

    /// The directory in which everything happens.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Keeps the data in another directory.
    pub fn data_in(mut self, dir: &Path) -> Self {
        self.data = Some(dir.to_owned());
        self
    }

    /// The `dir` directive.
    pub fn dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.home().join("data"))
    }

    /// The directory of the log's files.
    pub fn log_dir(&self) -> PathBuf {
        self.dir().join("mainstay")
    }

    /// Other directives from the next start on.
    pub fn set_directives(&mut self, directives: &[&str]) {
        self.directives = directives.iter().map(|&word| word.to_owned()).collect();
    }

    /// A configuration file.
    pub fn set_file(&mut self, path: &str) {
        self.file = Some(path.to_owned());
    }

    /// From the next start on, the server may have so many files open.
    pub fn limit_open_files(&mut self, max: u32) {
        self.files_max = Some(max);
    }

    /// No file that a server writes becomes longer, as if the disk had no room for it.
    pub fn limit_files(&mut self, bytes_max: Option<u64>) {
        self.file_bytes_max = bytes_max;
    }

    /// Starts are traced, with this manipulation of system calls (`strace -e inject=…`).
    pub fn inject(&mut self, injection: Option<&str>) {
        self.strace = injection.map(str::to_owned);
    }

    /// What is traced is written down, with the paths of descriptors.
    pub fn trace_to(&mut self, path: &Path) {
        self.trace = Some(path.to_owned());
    }

    fn command(&self, port: u16) -> Command {
        // Another one than was built is only of use for writing golden directories.
        let server = std::env::var("MAINSTAY_TEST_SERVER");
        let server = server.as_deref().unwrap_or(env!("CARGO_BIN_EXE_mainstay-server"));
        let mut command = match &self.strace {
            None => match self.files_max {
                None => Command::new(server),
                Some(max) => {
                    // A privileged process could raise the limit again.
                    let script = format!(
                        "ulimit -n {max} && if [ $(id -u) = 0 ]; \
                         then exec setpriv --bounding-set=-sys_resource \"$0\" \"$@\"; \
                         else exec \"$0\" \"$@\"; fi"
                    );
                    let mut shell = Command::new("sh");
                    shell.args(["-c", &script, server]);
                    shell
                }
            },
            Some(injection) => {
                let call = injection.split(':').next().unwrap_or_default();
                let mut strace = Command::new("strace");
                strace.args(["-f", "-y", "--seccomp-bpf", "-qq", "-o"]);
                strace.arg(self.trace.as_deref().unwrap_or(Path::new("/dev/null")));
                strace.args(["-e", &format!("trace={call}")]);
                strace.args(["-e", &format!("inject={injection}"), server]);
                strace
            }
        };
        command.args(&self.file);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(self.dir());
        command.args(&self.directives).current_dir(self.home()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(bytes_max) = self.file_bytes_max {
            let limit = soft_limit(Some(bytes_max));
            let set = move || Ok(setrlimit(Resource::Fsize, limit)?);
            // SAFETY: between fork and exec it makes one system call and allocates nothing.
            unsafe { command.pre_exec(set) };
        }
        command
    }

    /// Starts a server without waiting until it is ready.
    pub fn spawn(&self) -> Server {
        let port = free_port();
        Server::new(self.command(port).spawn().expect("started"), port)
    }

    /// Starts a server and waits until it is ready, or has ended: then gives what it said.
    pub fn try_start(&self) -> Result<Server, String> {
        // Somebody else may take the port before the server does.
        for _ in 0..10 {
            let mut server = self.spawn();
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                Err(log) if log.contains("Address already in use") => continue,
                Err(log) => return Err(log),
            }
        }
        panic!("no port is free")
    }

    /// Starts a server and waits until it is ready.
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }

    /// Starts a server that must refuse to; gives what it says.
    pub fn start_refused(&self) -> String {
        match self.try_start() {
            Ok(_) => panic!("the server started"),
            Err(log) => log,
        }
    }
}

/// A server that runs.
pub struct Server {
    child: Child,
    /// Its port.
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    fn new(mut child: Child, port: u16) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = |stream: Box<dyn std::io::Read + Send>| {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().expect("no panic").push(line);
                }
            })
        };
        let readers = vec![
            read(Box::new(child.stdout.take().expect("piped"))),
            read(Box::new(child.stderr.take().expect("piped"))),
        ];
        Self { child, port, lines, readers }
    }

    /// Waits until it has logged `words`: what it writes is read by a thread.
    pub fn wait_for_log(&self, words: &str) {
        eventually(&format!("the log says {words:?}"), || self.log().contains(words).then_some(()));
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        eventually("the server gets ready or ends", || {
            if self.log().contains("Ready to accept connections") {
                return Some(Ok(()));
            }
            self.child.try_wait().expect("waited")?;
            self.readers.drain(..).for_each(|reader| reader.join().expect("read"));
            Some(Err(self.log()))
        })
    }

    /// Lifts the limit of [`Setup::limit_files`].
    pub fn unlimit_files(&self) {
        let pid = Pid::from_raw(self.pid()).expect("a process");
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: maximum, maximum };
        prlimit(Some(pid), Resource::Fsize, limit).expect("it may be raised");
    }

    /// The server's process, which is not our child when it is traced.
    pub fn pid(&self) -> i32 {
        let log = self.log();
        let (_, rest) = log.split_once(" PID: ").expect("the banner names the process");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// One field of `INFO`.
    pub fn info(&self, field: &str) -> String {
        info(&mut self.client(), field)
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to the process that this test started.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        if self.log().contains(" PID: ") {
            self.signal(libc::SIGKILL);
        } else {
            let _ = self.child.kill();
        }
        self.wait();
    }

    /// Sends it commands, the last of which ends it by a panic; gives its log.
    pub fn panic(mut self, lines: &[&str]) -> String {
        let mut client = self.client();
        client.send_all(lines.iter().copied());
        let status = self.wait();
        self.readers.drain(..).for_each(|reader| reader.join().expect("read"));
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}:\n{}", self.log());
        self.log()
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().expect("waited"))
    }

    /// Ends it with `SIGTERM`, which must succeed; gives its log.
    pub fn stop(self) -> String {
        self.signal(libc::SIGTERM);
        self.wait_for_success()
    }

    /// Waits for it to end with success; gives its log.
    pub fn wait_for_success(mut self) -> String {
        let status = self.wait();
        self.readers.drain(..).for_each(|reader| reader.join().expect("read"));
        assert!(status.success(), "the server ended with {status}:\n{}", self.log());
        self.log()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if self.log().contains(" PID: ") {
                self.signal(libc::SIGKILL);
            } else {
                let _ = self.child.kill();
            }
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}
