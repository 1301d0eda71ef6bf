//! Commands that took long, as far as `SLOWLOG` shows them.

use crate::resp::Args;

/// Arguments that are kept; the last one then tells how many there are more.
const ARGS_MAX: usize = 32;
/// Bytes that are kept of an argument; behind them it is told how many there are more.
const ARG_BYTES_MAX: usize = 128;

/// A command that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// How long it took, in µs.
    pub took_us: u64,
    /// When it ran, as Unix time in s.
    pub at_s: i64,
    /// Its arguments, cut as Redis cuts them.
    pub args: Vec<Vec<u8>>,
}

impl Slow {
    /// Notes a command.
    pub(super) fn new(took_us: u64, now_ms: i64, args: Args<'_>) -> Self {
        let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
        let mut cut: Vec<Vec<u8>> = args.iter().take(shown).map(cut_argument).collect();
        if args.len() > shown {
            cut.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
        }
        Self { took_us, at_s: now_ms.div_euclid(1000), args: cut }
    }
}

fn cut_argument(arg: &[u8]) -> Vec<u8> {
    match arg.split_at_checked(ARG_BYTES_MAX) {
        Some((kept, rest)) if !rest.is_empty() => {
            let mut cut = kept.to_vec();
            cut.extend_from_slice(format!("... ({} more bytes)", rest.len()).as_bytes());
            cut
        }
        _ => arg.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::words;

    #[test]
    fn long_commands_are_cut() {
        let long = format!("SET key {}", "x".repeat(130));
        let slow = Slow::new(5, 1999, words(&long).as_args());
        assert_eq!((slow.took_us, slow.at_s), (5, 1));
        assert_eq!(slow.args[2], format!("{}... (2 more bytes)", "x".repeat(128)).into_bytes());
        let many = format!("DEL{}", " a".repeat(40));
        let slow = Slow::new(5, 0, words(&many).as_args());
        assert_eq!(slow.args.len(), 32);
        assert_eq!(slow.args[31], b"... (10 more arguments)");
    }
}
