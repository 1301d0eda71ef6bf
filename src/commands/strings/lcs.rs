//! `LCS`: the longest common subsequence of two strings.

use super::string_bytes;
use crate::commands::numbers::integer;
use crate::commands::{CommandError, CommandResult, Context};
use crate::resp::Args;

/// What `LCS` is asked for.
#[derive(Default)]
struct Options {
    len: bool,
    matches: bool,
    match_len_min: i64,
    with_match_len: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        const AMBIGUOUS: CommandError = CommandError::fixed(
            "ERR If you want both the length and indexes, please just use IDX.",
        );
        let mut options = Self::default();
        let mut at = 0;
        while let Some(name) = args.get(at) {
            let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
            if is("IDX") {
                options.matches = true;
            } else if is("LEN") {
                options.len = true;
            } else if is("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if is("MINMATCHLEN")
                && let Some(value) = args.get(at + 1)
            {
                options.match_len_min = integer(value)?;
                at += 1;
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        if options.len && options.matches { Err(AMBIGUOUS) } else { Ok(options) }
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`
pub(super) fn lcs(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let a = text_of(ctx, &args[1]);
    let b = text_of(ctx, &args[2]);
    let (a, b) = (a?, b?);
    let options = Options::parse(args.from(3))?;
    let table = Table::build(&a, &b, ctx.settings.bulk_bytes_max)?;
    let len = i64::from(table.at(a.len(), b.len()));
    if options.matches {
        ctx.reply.map(2);
        ctx.reply.bulk(b"matches");
        let deferred = ctx.reply.deferred();
        let mut found = 0;
        table.runs(&a, &b, |a_end, b_end, run_len| {
            if (run_len as i64) < options.match_len_min {
                return;
            }
            found += 1;
            ctx.reply.array(2 + usize::from(options.with_match_len));
            for end in [a_end, b_end] {
                ctx.reply.array(2);
                ctx.reply.integer((end - run_len) as i64);
                ctx.reply.integer(end as i64 - 1);
            }
            if options.with_match_len {
                ctx.reply.integer(run_len as i64);
            }
        });
        ctx.reply.finish_array(deferred, found);
        ctx.reply.bulk(b"len");
        ctx.reply.integer(len);
    } else if options.len {
        ctx.reply.integer(len);
    } else {
        let mut common = vec![0; len as usize];
        let mut unwritten = common.len();
        table.runs(&a, &b, |a_end, _, run_len| {
            let run = &a[a_end - run_len..a_end];
            common[unwritten - run_len..unwritten].copy_from_slice(run);
            unwritten -= run_len;
        });
        debug_assert_eq!(unwritten, 0);
        ctx.reply.bulk(&common);
    }
    Ok(())
}

/// A copy of a string, empty if there is none.
fn text_of(ctx: &mut Context<'_>, name: &[u8]) -> Result<Vec<u8>, CommandError> {
    const NOT_STRINGS: CommandError =
        CommandError::fixed("ERR The specified keys must contain string values");
    let key = ctx.store.key(name);
    match ctx.store.read(&key) {
        None => Ok(Vec::new()),
        Some(entry) => string_bytes(entry.value(), &mut itoa::Buffer::new())
            .map(<[u8]>::to_vec)
            .map_err(|_| NOT_STRINGS),
    }
}

/// For every pair of beginnings of two strings, how long their longest common subsequence is.
struct Table {
    width: usize,
    cells: Vec<u32>,
}

impl Table {
    /// Fills the table, which may take up to `bytes_max`.
    fn build(a: &[u8], b: &[u8], bytes_max: usize) -> Result<Self, CommandError> {
        const TOO_LONG: CommandError = CommandError::fixed("ERR String too long for LCS");
        const TOO_BIG: CommandError = CommandError::fixed(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        );
        const NO_MEMORY: CommandError = CommandError::fixed(
            "ERR Insufficient memory, failed allocating transient memory for LCS",
        );
        let len_max = u32::MAX as usize - 1;
        if a.len() >= len_max || b.len() >= len_max {
            return Err(TOO_LONG);
        }
        // Both factors are below 2^32, so the product fits.
        let width = b.len() + 1;
        let count = (a.len() + 1) * width;
        if count.checked_mul(size_of::<u32>()).is_none_or(|bytes| bytes > bytes_max) {
            return Err(TOO_BIG);
        }
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).map_err(|_| NO_MEMORY)?;
        cells.resize(count, 0);
        for (row, &byte) in a.iter().enumerate() {
            let (above, below) = cells[row * width..].split_at_mut(width);
            for (column, &other) in b.iter().enumerate() {
                below[column + 1] = if byte == other {
                    above[column] + 1
                } else {
                    above[column + 1].max(below[column])
                };
            }
        }
        Ok(Self { width, cells })
    }

    fn at(&self, a_len: usize, b_len: usize) -> u32 {
        self.cells[a_len * self.width + b_len]
    }

    /// Visits the runs of a common subsequence, the last one first, with where each ends in both
    /// strings and its length. Which of several subsequences it is, is Redis's choice: on a tie it
    /// goes back in the second string.
    fn runs(&self, a: &[u8], b: &[u8], mut visit: impl FnMut(usize, usize, usize)) {
        let (mut i, mut j, mut run_len) = (a.len(), b.len(), 0);
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j, run_len) = (i - 1, j - 1, run_len + 1);
                continue;
            }
            if run_len > 0 {
                visit(i + run_len, j + run_len, run_len);
                run_len = 0;
            }
            if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        if run_len > 0 {
            visit(i + run_len, j + run_len, run_len);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::resp::Protocol;

    #[test]
    fn all_forms() {
        let mut bench = Bench::new();
        bench.line("MSET a ohmytext b mynewtext n 1234 m 1334");
        bench.replies("LCS a b", "$6 mytext");
        bench.replies("LCS a b LEN", ":6");
        bench.replies(
            "LCS a b IDX",
            "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6",
        );
        bench.replies(
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
        );
        bench.protocol = Protocol::Resp3;
        bench.replies("LCS a none IDX", "%2 $7 matches *0 $3 len :0");
        bench.replies("LCS n m", "$3 134");
        bench.replies("LCS a none", "$0 ");
        bench.replies(
            "LCS a b LEN IDX",
            "-ERR If you want both the length and indexes, please just use IDX.",
        );
        bench.replies("LCS a b foo", "-ERR syntax error");
        bench.replies("LCS a b MINMATCHLEN", "-ERR syntax error");
        bench.settings.bulk_bytes_max = 100;
        bench.replies(
            "LCS a b",
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        );
    }
}
