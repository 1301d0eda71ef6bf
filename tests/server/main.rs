//! The server as its users meet it.

mod clients;
mod configuration;
mod data;
mod info;
mod outputs;
mod protocol;
mod starting;
#[path = "../support/mod.rs"]
mod support;
