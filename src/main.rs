//! `mainstay-server`: the database server.
fn main() {}
