//! `diff`.

use crate::output::{End, Failure, Output};
use clap::Args;

/// Compares two sources key by key.
#[derive(Args)]
pub struct Arguments {}

/// Does it.
pub fn run(_: &Arguments, _: &Output) -> Result<End, Failure> {
    Err(Failure::new("this verb is not there yet"))
}
