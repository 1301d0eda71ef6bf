//! `mainstay-server`: the database server.

use mainstay::server::process::args::{self, Invocation};
use mainstay::server::process::start;
use mainstay::server::{config, logger};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The allocator's settings, which it reads from this symbol. Pages that nobody uses go back to the
/// system within one second: its ten would show as a tenth more resident memory after a million small inserts.
// SAFETY: the name is the one that jemalloc declares as a pointer to a string that ends with a zero, and
// a reference to an array is such a pointer.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 20] = b"dirty_decay_ms:1000\0";

fn main() -> ExitCode {
    let sources = match args::of_process() {
        Invocation::Help => {
            print!("{}", args::help());
            return ExitCode::SUCCESS;
        }
        Invocation::Version => {
            println!("{}", args::version());
            return ExitCode::SUCCESS;
        }
        Invocation::TestConfig(sources) => {
            return match config::load(&sources, &mut std::io::stdin()) {
                Ok(loaded) => {
                    loaded.notes.iter().for_each(|note| println!("{note}"));
                    loaded.durability.iter().for_each(|text| println!("{text}"));
                    println!("The configuration is valid");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            };
        }
        Invocation::Run(sources) => sources,
    };
    let loaded = match config::load(&sources, &mut std::io::stdin()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match start::run(loaded) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(status.clamp(1, 255) as u8),
        Err(error) => {
            mainstay::log_warning!("Can't start: {error}");
            // Where the log is not on the terminal, somebody may be looking there.
            if !logger::is_on_stdout(config::LogLevel::Warning) {
                eprintln!("Can't start: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
