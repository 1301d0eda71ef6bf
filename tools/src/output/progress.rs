//! A progress bar.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mainstay::engine::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the bar looks at a load.
const PERIOD: Duration = Duration::from_millis(100);

/// A progress bar with rate and time left; it goes away when it is dropped.
pub struct Bar(ProgressBar);

impl Bar {
    /// One over so many bytes.
    pub fn new(doing: &'static str, total_bytes: u64, shown: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::hidden());
        let template =
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        // The template is a constant; with a wrong one the default is shown.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(doing);
        if shown {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        Self(bar)
    }

    /// Notes that so many more bytes are done.
    pub fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Follows a load until the result is dropped.
    pub fn follow(self, progress: Arc<Progress>) -> Following {
        let ended = Arc::new(AtomicBool::new(false));
        let thread = (!self.0.is_hidden()).then(|| {
            let ended = ended.clone();
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    self.0.set_length(progress.total_bytes());
                    self.0.set_position(progress.loaded_bytes());
                    std::thread::sleep(PERIOD);
                }
            })
        });
        Following { ended, thread }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar that follows a load.
pub struct Following {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
