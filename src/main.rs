//! `mainstay-server`: the database server.

use mainstay::server::args::{self, Invocation};
use mainstay::server::{config, run};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    match run::run(loaded) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(status.clamp(1, 255) as u8),
        Err(error) => {
            mainstay::log_warning!("Can't start: {error}");
            eprintln!("mainstay-server: can't start: {error}");
            ExitCode::FAILURE
        }
    }
}
