//! `TIME`, `MODULE`, `LOLWUT`.

use super::spec::{Categories, Flags, Spec};
use super::{CommandResult, Context, numbers, reply_help};
use crate::resp::Args;

/// Allowed whatever state the data is in.
const ALWAYS: Flags = Flags::LOADING.with(Flags::STALE);
/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.4.1";

/// This family's part of the table.
pub static COMMANDS: [Spec; 3] = [
    Spec::data("time", 1, time)
        .flags(ALWAYS.with(Flags::FAST), Categories::NONE)
        .doc("server", "2.6.0", "O(1)", "The server's clock: seconds and microseconds.")
        .tips(&["nondeterministic_output"]),
    Spec::container("module", &MODULE).doc(
        "server",
        "4.0.0",
        "Depends on the subcommand.",
        "Tells about modules, of which there are none.",
    ),
    Spec::data("lolwut", -1, lolwut)
        .syntax("[VERSION version:integer]")
        .flags(Flags::READONLY.with(Flags::FAST), Categories::NONE)
        .doc("server", "5.0.0", "O(1)", "A picture, and the version."),
];

static MODULE: [Spec; 2] = [
    Spec::data("module|list", 2, module_list)
        .flags(Flags::ADMIN.with(Flags::NOSCRIPT), Categories::NONE)
        .doc("server", "4.0.0", "O(1)", "The modules that are loaded: none.")
        .tips(&["nondeterministic_output_order"]),
    Spec::data("module|help", 2, module_help).flags(ALWAYS, Categories::NONE).doc(
        "server",
        "5.0.0",
        "O(1)",
        "Lists the subcommands.",
    ),
];

/// `MODULE LIST`
fn module_list(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.array(0);
    Ok(())
}

/// `MODULE HELP`
fn module_help(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(
        &mut ctx.reply,
        "MODULE",
        &["LIST", "    The modules that are loaded: there are none."],
    );
    Ok(())
}

/// A mast, held by its stays.
const PICTURE: &str = "\
           |>
          /|\\
         / | \\
        /  |  \\
       /   |   \\
      /    |    \\
     /_____|_____\\
   ________|________
   \\               /
~~~~\\_____________/~~~~
  ~~~~   ~~~~   ~~~~
";

/// `LOLWUT [VERSION version] [arg …]`: one picture, whatever is asked for.
fn lolwut(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"VERSION"))
        && let Some(version) = args.get(2)
    {
        numbers::integer(version)?;
    }
    let text = format!(
        "{PICTURE}\nEvery stay holds. Mainstay {}, as Redis ver. {REDIS_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    );
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// `TIME`
///
/// A command sees time in milliseconds, so the last three digits of the second part are zero.
fn time(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.array(2);
    ctx.reply.bulk_integer(ctx.store.now_ms.div_euclid(1000));
    ctx.reply.bulk_integer(ctx.store.now_ms.rem_euclid(1000) * 1000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn there_are_no_modules_and_one_picture() {
        let mut bench = Bench::new();
        bench.replies("MODULE LIST", "*0");
        let picture = bench.line("LOLWUT").reply;
        let text = String::from_utf8(picture.clone()).expect("text");
        assert!(text.contains("Redis ver. 7.4.1\n"), "{text}");
        for line in ["LOLWUT VERSION 5 1 2 3", "LOLWUT VERSION", "LOLWUT any"] {
            assert_eq!(bench.line(line).reply, picture, "{line}");
        }
        bench.replies("LOLWUT VERSION x", "-ERR value is not an integer or out of range");
    }

    #[test]
    fn time_is_the_commands_time() {
        let mut bench = Bench::new();
        bench.now_ms = 1_700_000_000_123;
        bench.replies("TIME", "*2 $10 1700000000 $6 123000");
    }
}
