//! `SAVE`, `BGSAVE`, `BGREWRITEAOF`, `LASTSAVE`, `SHUTDOWN`.

use super::{ALWAYS, ALWAYS_ADMIN as ADMIN, Call, ConnectionState, Free};
use crate::commands::spec::Categories;
use crate::commands::{CommandError, CommandResult, Flags, Spec};
use crate::resp::Args;
use crate::server::tasks::{background, last_save};
use crate::session::Row;

const SAVING: Flags = Flags::NO_ASYNC_LOADING.with(Flags::ADMIN).with(Flags::NOSCRIPT);

/// This family's part of the table.
pub static COMMANDS: [Row<ConnectionState>; 5] =
    [
        Row::engine(
            Spec::host("bgrewriteaof", 1).flags(SAVING, Categories::NONE).doc(
                "server",
                "1.0.0",
                "O(1)",
                "Writes a new base of the log in the background.",
            ),
            bgrewriteaof,
        ),
        Row::engine(
            Spec::host("bgsave", -1)
                .syntax("[SCHEDULE@3.2.2]")
                .flags(SAVING, Categories::NONE)
                .doc("server", "1.0.0", "O(1)", "Writes an RDB file in the background."),
            bgsave,
        ),
        Row::free(
            Spec::host("lastsave", 1)
                .flags(ALWAYS.with(Flags::FAST), Categories::ADMIN.with(Categories::DANGEROUS))
                .doc("server", "1.0.0", "O(1)", "When the last RDB file was written, as Unix time.")
                .tips(&["nondeterministic_output"]),
            lastsave,
        ),
        Row::engine(
            Spec::host("save", 1).flags(SAVING.with(Flags::NO_MULTI), Categories::NONE).doc(
                "server",
                "1.0.0",
                "O(N) in all keys",
                "Writes the RDB file; all others wait.",
            ),
            save,
        ),
        Row::free(
            Spec::host("shutdown", -1)
                .syntax("[nosave_save<NOSAVE|SAVE>] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
                .flags(ADMIN.with(Flags::NO_MULTI).with(Flags::ALLOW_BUSY), Categories::NONE)
                .doc("server", "1.0.0", "O(1)", "Closes the database and ends the server."),
            shutdown,
        ),
    ];

/// `BGREWRITEAOF`
fn bgrewriteaof(call: &mut Call<'_, '_, '_>, _args: Args<'_>) -> CommandResult {
    call.reply.simple(background::bgrewriteaof(&call.host.shared, call.unit)?);
    Ok(())
}

/// `BGSAVE [SCHEDULE]`
fn bgsave(call: &mut Call<'_, '_, '_>, args: Args<'_>) -> CommandResult {
    let schedule = match args.get(1) {
        None => false,
        Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"SCHEDULE") => true,
        Some(_) => return Err(CommandError::SYNTAX),
    };
    call.reply.simple(background::bgsave(&call.host.shared, call.unit, schedule)?);
    Ok(())
}

/// `SAVE`
fn save(call: &mut Call<'_, '_, '_>, _args: Args<'_>) -> CommandResult {
    call.unit.depend_on_all_keys();
    background::save_now(&call.host.shared, call.unit)?;
    call.reply.ok();
    Ok(())
}

/// `LASTSAVE`
fn lastsave(call: &mut Free<'_>, _args: Args<'_>) -> CommandResult {
    call.reply.integer(call.host.shared.saves.status().last_s as i64);
    Ok(())
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`. It takes the engine only to save.
fn shutdown(call: &mut Free<'_>, args: Args<'_>) -> CommandResult {
    let (mut save, mut nosave, mut force, mut abort) = (false, false, false, false);
    for arg in args.from(1).iter() {
        match &arg.to_ascii_lowercase()[..] {
            b"save" => save = true,
            b"nosave" => nosave = true,
            b"now" => {}
            b"force" => force = true,
            b"abort" => abort = true,
            _ => return Err(CommandError::SYNTAX),
        }
    }
    if (save && nosave) || (abort && args.len() > 2) {
        return Err(CommandError::SYNTAX);
    }
    if abort {
        return Err(CommandError::fixed("ERR No shutdown in progress."));
    }
    crate::log_warning!("User requested shutdown...");
    let shared = &call.host.shared;
    last_save::save_at_end(shared, (save, nosave, force))
        .map_err(|_| CommandError::fixed("ERR Errors trying to SHUTDOWN. Check logs."))?;
    call.host.close = true;
    shared.request_exit(0);
    Ok(())
}
