//! The rows of the commands about transactions.

use crate::commands::spec::{Categories, KeyFlags};
use crate::commands::{Flags, KeySpec, Spec};

/// What they share: they make no sense in a script, and need no data.
const BASE: Flags = Flags::NOSCRIPT.with(Flags::LOADING).with(Flags::STALE);
const QUICK: Flags = BASE.with(Flags::FAST).with(Flags::ALLOW_BUSY);

/// A command about transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens one.
    Multi,
    /// Carries the queued commands out.
    Exec,
    /// Drops the queued commands.
    Discard,
    /// Makes `EXEC` depend on keys.
    Watch,
    /// Forgets the watched keys.
    Unwatch,
}

/// This family's part of the table.
pub static COMMANDS: [(Spec, Step); 5] = [
    (
        Spec::host("multi", 1)
            .flags(QUICK.with(Flags::RUNS_IN_MULTI), Categories::TRANSACTION)
            .doc("transactions", "1.2.0", "O(1)", "Begins a transaction."),
        Step::Multi,
    ),
    (
        Spec::host("exec", 1)
            .flags(
                BASE.with(Flags::SKIP_SLOWLOG).with(Flags::RUNS_IN_MULTI),
                Categories::TRANSACTION,
            )
            .doc(
                "transactions",
                "1.2.0",
                "The sum of the queued commands",
                "Carries out the queued commands as one.",
            ),
        Step::Exec,
    ),
    (
        Spec::host("discard", 1)
            .flags(QUICK.with(Flags::RUNS_IN_MULTI), Categories::TRANSACTION)
            .doc(
                "transactions",
                "2.0.0",
                "O(N) in the number of queued commands",
                "Drops the queued commands.",
            ),
        Step::Discard,
    ),
    (
        Spec::host("watch", -2)
            .syntax("key...")
            .flags(QUICK.with(Flags::RUNS_IN_MULTI), Categories::TRANSACTION)
            .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
            .doc(
                "transactions",
                "2.2.0",
                "O(1) a key",
                "Makes EXEC depend on keys staying unchanged.",
            ),
        Step::Watch,
    ),
    (
        Spec::host("unwatch", 1).flags(QUICK, Categories::TRANSACTION).doc(
            "transactions",
            "2.2.0",
            "O(1)",
            "Forgets the watched keys.",
        ),
        Step::Unwatch,
    ),
];
