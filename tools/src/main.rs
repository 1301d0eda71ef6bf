//! `mainstay-tool`: looks into the files of a database.
fn main() {}
