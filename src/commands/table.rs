//! The table of all commands, and looking one up by name.

use super::spec::Spec;
use crate::resp::Args;

/// All commands, sorted by name; each family's file declares its own.
static FAMILIES: [&[Spec]; 0] = [];

/// All commands.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The command that `args` names.
pub fn lookup(_args: Args<'_>) -> Option<&'static Spec> {
    None
}
