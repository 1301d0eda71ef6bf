//! `MEMORY`: what a key takes.

use super::numbers::integer;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, reply_help};
use crate::keyspace::Entry;
use crate::resp::Args;

/// This family's part of the table.
pub static COMMANDS: [Spec; 1] = [Spec::container("memory", &MEMORY).doc(
    "server",
    "4.0.0",
    "Depends on the subcommand.",
    "Tells about memory.",
)];

static MEMORY: [Spec; 2] = [
    Spec::data("memory|help", 2, help)
        .flags(Flags::LOADING.with(Flags::STALE), Categories::NONE)
        .doc("server", "4.0.0", "O(1)", "Lists the subcommands."),
    Spec::data("memory|usage", -3, usage)
        .syntax("key [SAMPLES count:integer]")
        .flags(Flags::READONLY, Categories::NONE)
        .keys(&[KeySpec::at(2, KeyFlags::RO)])
        .doc(
            "server",
            "4.0.0",
            "O(1), O(N) in the nodes of a list or stream",
            "Bytes of memory that a key and its value take.",
        ),
];

fn help(ctx: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    reply_help(
        &mut ctx.reply,
        "MEMORY",
        &["USAGE <key> [SAMPLES <count>]", "    Bytes of memory that a key and its value take."],
    );
    Ok(())
}

/// What the table of keys takes for each, in bytes.
const INDEX_BYTES: usize = 12;

/// What `MEMORY USAGE` says of a key: bytes of memory of its name, its value and its place in the table of keys.
pub fn usage_bytes(entry: Entry<'_>) -> usize {
    entry.memory_bytes() + INDEX_BYTES
}

/// `MEMORY USAGE key [SAMPLES count]`
///
/// Nothing is estimated from samples, so their count is only checked.
fn usage(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    match (args.get(3), args.get(4), args.len()) {
        (None, ..) => {}
        (Some(option), Some(count), 5) if option.eq_ignore_ascii_case(b"SAMPLES") => {
            if integer(count)? < 0 {
                return Err(CommandError::SYNTAX);
            }
        }
        _ => return Err(CommandError::SYNTAX),
    }
    let key = ctx.store.key(&args[2]);
    match ctx.store.peek_counted(&key) {
        Some(entry) => ctx.reply.integer(usage_bytes(entry) as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn usage_grows_with_the_value() {
        let mut bench = Bench::new();
        bench.replies("MEMORY USAGE none", "$-1");
        bench.line("SET k v");
        bench.replies("MEMORY USAGE k", ":23");
        bench.replies("MEMORY USAGE k SAMPLES 0", ":23");
        bench.replies("MEMORY USAGE k SAMPLES -1", "-ERR syntax error");
        bench.replies("MEMORY USAGE k SAMPLES", "-ERR syntax error");
        for n in 1000..3000 {
            bench.line(&format!("RPUSH l element:{n}"));
        }
        let reply = String::from_utf8(bench.line("MEMORY USAGE l").reply).unwrap();
        let bytes: usize = reply[1..].trim().parse().unwrap();
        // 12 bytes an element, and two or three around it.
        assert!((24_000..40_000).contains(&bytes), "{bytes}");
    }
}
