//! HyperLogLogs: strings in which sets are counted without their members.

use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::strings::{set_raw, string_bytes};
use super::{CommandError, CommandResult, Context, Key};
use crate::commands::store::ExpiryMode;
use crate::data::hyperloglog::{self, Corrupted, Encoding, Raised, Union};
use crate::keyspace::Value;
use crate::resp::Args;

const GROW: Flags = Flags::WRITE.with(Flags::DENYOOM);

/// This family's part of the table.
pub static COMMANDS: [Spec; 5] = [
    row("pfadd", -2, pfadd, GROW.with(Flags::FAST), &[KeySpec::at(1, KeyFlags::RW_INSERT)])
        .syntax("key [element...]")
        .doc(
            "hyperloglog",
            "2.8.9",
            "O(1) for each element",
            "Adds elements to a HyperLogLog, which is created if it does not exist.",
        ),
    row(
        "pfcount",
        -2,
        pfcount,
        Flags::READONLY.with(Flags::MAY_REPLICATE),
        &[KeySpec::range(1, -1, 1, KeyFlags::RW_ACCESS)],
    )
    .syntax("key...")
    .doc(
        "hyperloglog",
        "2.8.9",
        "O(N) in the number of keys, of which each one costs some microseconds; O(1) for one key",
        "About how many different elements were added to at least one of several HyperLogLogs.",
    ),
    row(
        "pfdebug",
        3,
        pfdebug,
        GROW.with(Flags::ADMIN).with(Flags::SYSCMD),
        &[KeySpec::at(2, KeyFlags::RW_ACCESS)],
    )
    .syntax("subcommand key")
    .doc("hyperloglog", "2.8.9", "N/A", "What a HyperLogLog is made of."),
    row(
        "pfmerge",
        -2,
        pfmerge,
        GROW,
        &[
            KeySpec::at(1, KeyFlags::RW_ACCESS_INSERT),
            KeySpec::range(2, -1, 1, KeyFlags::RO_ACCESS),
        ],
    )
    .syntax("destkey:key sourcekey:key#1...")
    .doc(
        "hyperloglog",
        "2.8.9",
        "O(N) in the number of keys, of which each one costs some microseconds",
        "Adds what was added to some HyperLogLogs to another one.",
    ),
    row("pfselftest", 1, pfselftest, Flags::ADMIN.with(Flags::SYSCMD), &[]).doc(
        "hyperloglog",
        "2.8.9",
        "N/A",
        "Counts with HyperLogLogs and looks whether that is right.",
    ),
];

const fn row(
    name: &'static str,
    arity: i16,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
    flags: Flags,
    keys: &'static [KeySpec],
) -> Spec {
    Spec::data(name, arity, run).flags(flags, Categories::HYPERLOGLOG).keys(keys)
}

impl From<Corrupted> for CommandError {
    fn from(_: Corrupted) -> Self {
        Self::fixed("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The bytes of a HyperLogLog, and how they are encoded.
fn hyperloglog(value: Value<'_>) -> Result<(&[u8], Encoding), CommandError> {
    const NONE: CommandError =
        CommandError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
    match value {
        Value::Text { bytes, .. } => {
            hyperloglog::encoding(bytes).map(|encoding| (bytes, encoding)).ok_or(NONE)
        }
        other => string_bytes(other, &mut itoa::Buffer::new()).and(Err(NONE)),
    }
}

/// Stores a HyperLogLog that was created, or changed in a copy.
fn store(ctx: &mut Context<'_>, key: &Key<'_>, exists: bool, bytes: Vec<u8>) {
    if exists {
        *ctx.store.string_mut(key).edit(0..usize::MAX) = bytes;
    } else {
        set_raw(&mut ctx.store, key, bytes);
    }
}

/// States a command as its effect. How long a sparse HyperLogLog may be is a matter of configuration,
/// which is not the same whenever the log is replayed; so that it became `dense` is stated first.
fn state(ctx: &mut Context<'_>, key: &Key<'_>, exists: bool, dense: bool, args: Args<'_>) {
    if dense {
        if !exists {
            ctx.store.effect(&[b"PFADD", key.bytes]);
        }
        ctx.store.effect(&[b"PFDEBUG", b"TODENSE", key.bytes]);
    }
    ctx.store.effect_verbatim(args);
}

/// `PFADD key [element …]`
fn pfadd(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let places = || args.from(2).iter().map(hyperloglog::place);
    let old = match ctx.store.lookup_for_write(&key) {
        None => None,
        Some(entry) => {
            let (bytes, encoding) = hyperloglog(entry.value())?;
            if encoding == Encoding::Dense {
                // Most elements change nothing, and a dense one cannot be corrupted.
                let changes = |(index, rank)| hyperloglog::dense_is_below(bytes, index, rank);
                if !places().any(changes) {
                    ctx.reply.integer(0);
                    return Ok(());
                }
                let bytes = ctx.store.string_mut(&key).edit(0..usize::MAX);
                for (index, rank) in places() {
                    hyperloglog::raise(bytes, index, rank, 0)?;
                }
                ctx.store.effect_verbatim(args);
                ctx.reply.integer(1);
                return Ok(());
            }
            Some(bytes)
        }
    };
    // The runs may turn out not to add up when some elements are added; so this is done in a copy.
    let exists = old.is_some();
    let mut bytes = Vec::new();
    if let Some(old) = old {
        bytes.reserve_exact(old.len() + 4);
        bytes.extend_from_slice(old);
    } else {
        bytes = hyperloglog::empty();
        hyperloglog::outdate(&mut bytes);
    }
    let limit = ctx.settings.limits.hyperloglog_sparse_bytes;
    let (mut raised, mut dense) = (false, false);
    places().try_for_each(|(index, rank)| {
        let outcome = hyperloglog::raise(&mut bytes, index, rank, limit)?;
        raised |= outcome != Raised::No;
        dense |= outcome == Raised::Densely;
        Ok::<_, Corrupted>(())
    })?;
    let changed = raised || !exists;
    if changed {
        store(ctx, &key, exists, bytes);
        state(ctx, &key, exists, dense, args);
    }
    ctx.reply.integer(i64::from(changed));
    Ok(())
}

/// `PFCOUNT key [key …]`
fn pfcount(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 2 {
        let mut union = Union::default();
        for name in args.from(1).iter() {
            let key = ctx.store.key(name);
            if let Some(entry) = ctx.store.read(&key) {
                union.add(hyperloglog(entry.value())?.0)?;
            }
        }
        ctx.reply.integer(union.count() as i64);
        return Ok(());
    }
    let key = ctx.store.key(&args[1]);
    let Some(entry) = ctx.store.read(&key) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let (bytes, _) = hyperloglog(entry.value())?;
    let cached = hyperloglog::cached(bytes);
    let count = cached.map_or_else(|| hyperloglog::count(bytes), Ok)?;
    // While the log takes no writes, the next one has to count again.
    if cached.is_none() && ctx.store.expiry_mode == ExpiryMode::Delete {
        let cache = count.to_le_bytes();
        let range = hyperloglog::CACHE_OFFSET..hyperloglog::CACHE_OFFSET + cache.len();
        ctx.store.string_mut(&key).edit(range.clone())[range].copy_from_slice(&cache);
        // Stated as bytes, so that nothing depends on estimating in the same way ever after.
        ctx.store.effect(&[b"SETRANGE", key.bytes, b"8", &cache]);
    }
    ctx.reply.integer(count as i64);
    Ok(())
}

/// `PFMERGE destination [source …]`
fn pfmerge(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let mut union = Union::default();
    let mut any_dense = false;
    for name in args.from(1).iter() {
        let key = ctx.store.key(name);
        if let Some(entry) = ctx.store.read(&key) {
            let (bytes, encoding) = hyperloglog(entry.value())?;
            any_dense |= encoding == Encoding::Dense;
            union.add(bytes)?;
        }
    }
    let destination = ctx.store.key(&args[1]);
    let old = match ctx.store.lookup_for_write(&destination) {
        Some(entry) => Some(hyperloglog(entry.value())?.0.to_vec()),
        None => None,
    };
    let exists = old.is_some();
    let mut bytes = old.unwrap_or_else(hyperloglog::empty);
    if any_dense && hyperloglog::encoding(&bytes) == Some(Encoding::Sparse) {
        hyperloglog::make_dense(&mut bytes)?;
    }
    let limit = ctx.settings.limits.hyperloglog_sparse_bytes;
    let mut dense = false;
    for (index, rank) in union.raised() {
        dense |= hyperloglog::raise(&mut bytes, index, rank, limit)? == Raised::Densely;
    }
    hyperloglog::outdate(&mut bytes);
    store(ctx, &destination, exists, bytes);
    state(ctx, &destination, exists, dense, args);
    ctx.reply.ok();
    Ok(())
}

/// `PFDEBUG GETREG | DECODE | ENCODING | TODENSE key`
fn pfdebug(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const NO_KEY: CommandError = CommandError::fixed("ERR The specified key does not exist");
    const NOT_SPARSE: CommandError = CommandError::fixed("ERR HLL encoding is not sparse");
    let key = ctx.store.key(&args[2]);
    let entry = ctx.store.lookup_for_write(&key).ok_or(NO_KEY)?;
    let (bytes, encoding) = hyperloglog(entry.value())?;
    let is = |name: &str| args[1].eq_ignore_ascii_case(name.as_bytes());
    if is("ENCODING") {
        ctx.reply.simple(if encoding == Encoding::Dense { "dense" } else { "sparse" });
    } else if is("DECODE") {
        if encoding != Encoding::Sparse {
            return Err(NOT_SPARSE);
        }
        let runs: Vec<String> = hyperloglog::runs(bytes)
            .map(|run| match (run.value, run.width) {
                (0, 1) => format!("z:{}", run.len),
                (0, _) => format!("Z:{}", run.len),
                (value, _) => format!("v:{value},{}", run.len),
            })
            .collect();
        ctx.reply.bulk(runs.join(" ").as_bytes());
    } else if is("GETREG") || is("TODENSE") {
        let mut union = Union::default();
        union.add(bytes)?;
        if encoding == Encoding::Sparse {
            let mut bytes = bytes.to_vec();
            hyperloglog::make_dense(&mut bytes)?;
            store(ctx, &key, true, bytes);
            ctx.store.effect(&[b"PFDEBUG", b"TODENSE", key.bytes]);
        }
        if is("TODENSE") {
            ctx.reply.integer(i64::from(encoding == Encoding::Sparse));
        } else {
            ctx.reply.array(hyperloglog::REGISTERS);
            union.registers().for_each(|value| ctx.reply.integer(value.into()));
        }
    } else {
        return Err(CommandError::quoting("ERR Unknown PFDEBUG subcommand '", &args[1], "'"));
    }
    Ok(())
}

/// `PFSELFTEST`
fn pfselftest(ctx: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    // Redis adds ten million elements, which would block all other clients for too long.
    const ELEMENTS: u64 = 100_000;
    let failed = |what: String| CommandError::new(format!("ERR TESTFAILED {what}"));
    let seed = (ctx.random)() << 32 ^ (ctx.random)();
    let (mut own, mut dense) = (hyperloglog::empty(), hyperloglog::empty());
    let sparse_bytes_max = ctx.settings.limits.hyperloglog_sparse_bytes;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let (index, rank) = hyperloglog::place(&(number ^ seed).to_le_bytes());
        hyperloglog::raise(&mut own, index, rank, sparse_bytes_max)?;
        hyperloglog::raise(&mut dense, index, rank, 0)?;
        if number != checkpoint {
            continue;
        }
        let count = hyperloglog::count(&dense)?;
        if hyperloglog::count(&own)? != count {
            return Err(failed("dense/sparse disagree".to_owned()));
        }
        // Six times the standard error of 1.04 / sqrt(16384), and hardly any among ten.
        let error_max = if number == 10 { 1 } else { (number * 4875).div_ceil(100_000) };
        let error = count.abs_diff(number);
        if error > error_max {
            return Err(failed(format!("Too big error. card:{number} abserr:{error}")));
        }
        checkpoint *= 10;
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, words};

    /// `PFADD key e0 e1 …`
    fn add(bench: &mut Bench, key: &str, count: usize) -> (String, String) {
        let names: Vec<String> = (0..count).map(|number| format!("e{number}")).collect();
        let line = format!("PFADD {key} {}", names.join(" "));
        let outcome = bench.line(&line);
        let effects: Vec<String> = crate::commands::testing::parse_effects(&outcome.effects)
            .iter()
            .map(|effect| crate::commands::testing::show_args(effect.as_args()))
            .filter(|effect| !effect.starts_with("SELECT"))
            .map(|effect| if effect == line { "itself".to_owned() } else { effect })
            .collect();
        (String::from_utf8(outcome.reply).expect("it is a number"), effects.join("; "))
    }

    #[test]
    fn adding_and_counting() {
        let mut bench = Bench::new();
        bench.replies("PFCOUNT k", ":0");
        bench.effects("PFADD k", "PFADD k");
        bench.replies("PFADD k", ":0");
        bench.replies("OBJECT ENCODING k", "$3 raw");
        bench.effects("PFADD k a b c", "PFADD k a b c");
        bench.effects("PFADD k a b c", "");
        bench.replies("PFADD k a b c", ":0");
        bench.effects("PFCOUNT k", "SETRANGE k 8 \u{3}\0\0\0\0\0\0\0");
        bench.effects("PFCOUNT k", "");
        bench.replies("PFCOUNT k", ":3");
        bench.line("PFADD l c d");
        bench.effects("PFCOUNT k l none", "");
        bench.replies("PFCOUNT k l none", ":4");
        bench.line("PEXPIREAT k 1800000000000");
        bench.replies("PFADD k e", ":1");
        bench.replies("PFCOUNT k", ":4");
        bench.replies("PTTL k", ":100000000000");
        bench.mode = crate::commands::ExpiryMode::Hide;
        bench.line("PFADD k e f");
        bench.effects("PFCOUNT k", "");
        bench.replies("PFCOUNT k", ":5");
    }

    #[test]
    fn merging() {
        let mut bench = Bench::new();
        bench.line("PFADD a 1 2 3");
        bench.line("PFADD b 3 4");
        bench.effects("PFMERGE d a b none", "PFMERGE d a b none");
        bench.replies("PFCOUNT d", ":4");
        bench.replies("PFDEBUG ENCODING d", "+sparse");
        bench.effects("PFMERGE new", "PFMERGE new");
        bench.replies("PFCOUNT new", ":0");
        bench.effects("PFDEBUG TODENSE a", "PFDEBUG TODENSE a");
        bench.effects("PFDEBUG TODENSE a", "");
        bench.replies("PFMERGE d a", "+OK");
        bench.replies("PFDEBUG ENCODING d", "+dense");
        bench.replies("PFCOUNT d", ":4");
    }

    #[test]
    fn that_one_became_dense_is_stated() {
        let mut bench = Bench::new();
        bench.settings.limits.hyperloglog_sparse_bytes = 100;
        let stated = ":1\r\n".to_owned();
        let dense = "PFADD k; PFDEBUG TODENSE k; itself".to_owned();
        assert_eq!(add(&mut bench, "k", 200), (stated.clone(), dense));
        assert_eq!(add(&mut bench, "k", 201), (stated.clone(), "itself".to_owned()));
        assert_eq!(add(&mut bench, "l", 5), (stated.clone(), "itself".to_owned()));
        let dense = "PFDEBUG TODENSE l; itself".to_owned();
        assert_eq!(add(&mut bench, "l", 200), (stated, dense));
        bench.line("SET big x");
        bench.settings.limits.hyperloglog_sparse_bytes = 3000;
        add(&mut bench, "m", 100);
        bench.settings.limits.hyperloglog_sparse_bytes = 100;
        bench.effects("PFMERGE d m", "PFADD d; PFDEBUG TODENSE d; PFMERGE d m");
        bench.replies("PFDEBUG ENCODING d", "+dense");
        bench.replies("PFDEBUG ENCODING m", "+sparse");
    }

    #[test]
    fn debugging() {
        let mut bench = Bench::new();
        bench.line("PFADD k a b");
        bench.replies("PFDEBUG DECODE k", "$32 Z:12711 v:2,1 Z:3068 v:1,1 Z:603");
        bench.effects("PFDEBUG getreg k", "PFDEBUG TODENSE k");
        let reply = bench.line("PFDEBUG GETREG k").reply;
        assert!(reply.starts_with(b"*16384\r\n:0\r\n"));
        assert_eq!(reply.windows(4).filter(|window| window == b":0\r\n").count(), 16382);
        bench.replies("PFDEBUG DECODE k", "-ERR HLL encoding is not sparse");
        bench.replies("PFDEBUG NONE k", "-ERR Unknown PFDEBUG subcommand 'NONE'");
        bench.replies("PFDEBUG NONE none", "-ERR The specified key does not exist");
        bench.replies("PFSELFTEST", "+OK");
    }

    #[test]
    fn strings_that_are_none() {
        let mut bench = Bench::new();
        let corrupted = "-INVALIDOBJ Corrupted HLL object detected";
        bench.run(words(r#"SET bad "HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x3f""#).as_args());
        bench.run(words("PFADD k a").as_args());
        for line in ["PFCOUNT bad", "PFCOUNT k bad", "PFMERGE k bad", "PFMERGE bad k"] {
            bench.replies(line, corrupted);
        }
        bench.effects("PFADD bad 1 2 3 4 5 6", "");
        for line in ["PFADD bad 1 2 3 4 5 6", "PFDEBUG GETREG bad", "PFDEBUG TODENSE bad"] {
            bench.replies(line, corrupted);
        }
        let none = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
        for value in ["12", "''", "HYLL", r#""HYLL\x00\0\0\0\0\0\0\0\0\0\0\x80\x3f""#] {
            bench.line(&format!("SET s {value}"));
            for line in ["PFADD s a", "PFCOUNT s", "PFCOUNT k s", "PFMERGE k s", "PFDEBUG GETREG s"]
            {
                bench.replies(line, none);
            }
        }
    }
}
