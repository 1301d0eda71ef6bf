//! Transactions, as the table declares them; the engine carries them out.

use super::spec::{Categories, EngineCommand, Flags, Handler, KeyFlags, KeySpec, Spec};

/// What all of them share: they make no sense in a script, and need no data.
const BASE: Flags = Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE);
const QUICK: Flags = BASE.with(Flags::FAST).with(Flags::ALLOW_BUSY);

/// This family's part of the table.
pub static COMMANDS: [Spec; 5] = [
    row("multi", 1, EngineCommand::Multi).flags(QUICK, Categories::TRANSACTION).doc(
        "transactions",
        "1.2.0",
        "O(1)",
        "Begins a transaction.",
    ),
    row("exec", 1, EngineCommand::Exec)
        .flags(BASE.with(Flags::SKIP_SLOWLOG), Categories::TRANSACTION)
        .doc(
            "transactions",
            "1.2.0",
            "The sum of the queued commands",
            "Carries out the queued commands as one.",
        ),
    row("discard", 1, EngineCommand::Discard).flags(QUICK, Categories::TRANSACTION).doc(
        "transactions",
        "2.0.0",
        "O(N) in the number of queued commands",
        "Drops the queued commands.",
    ),
    row("watch", -2, EngineCommand::Watch)
        .syntax("key...")
        .flags(QUICK, Categories::TRANSACTION)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .doc("transactions", "2.2.0", "O(1) a key", "Makes EXEC depend on keys staying unchanged."),
    row("unwatch", 1, EngineCommand::Unwatch).flags(QUICK, Categories::TRANSACTION).doc(
        "transactions",
        "2.2.0",
        "O(1)",
        "Forgets the watched keys.",
    ),
];

const fn row(name: &'static str, arity: i16, command: EngineCommand) -> Spec {
    Spec::new(name, arity, Handler::Engine(command))
}
