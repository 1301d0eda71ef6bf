//! `DUMP` and `RESTORE`: a value as bytes, and back.

use super::hashes::effect_of_hash;
use super::numbers::integer;
use super::spec::{Categories, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, Key};
use crate::keyspace::{Entry, EntryBox, Value};
use crate::rdb::Target;
use crate::rdb::payload::{self, PayloadError, dump as dump_value, restore as restore_value};
use crate::resp::Args;

/// This family's part of the table.
pub static COMMANDS: [Spec; 2] = [
    Spec::data("dump", 2, dump)
        .syntax("key")
        .flags(Flags::READONLY, Categories::KEYSPACE)
        .keys(&[KeySpec::at(1, KeyFlags::RO.with(KeyFlags::ACCESS))])
        .doc("generic", "2.6.0", "O(N) in the bytes of the value", "A value as bytes.")
        .tips(&["nondeterministic_output"]),
    Spec::data("restore", -4, restore)
        .syntax(
            "key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME \
             seconds:integer@5.0.0] [FREQ frequency:integer@5.0.0]",
        )
        .flags(Flags::WRITE.with(Flags::DENYOOM), Categories::KEYSPACE.with(Categories::DANGEROUS))
        .keys(&[KeySpec::at(1, KeyFlags::OW.with(KeyFlags::UPDATE))])
        .doc(
            "generic",
            "2.6.0",
            "O(N) in the bytes of the value, O(N*log(N)) for sorted sets",
            "Sets a key to a value that `DUMP` has given.",
        ),
];

/// `DUMP key`
fn dump(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    match ctx.store.read(&key) {
        None => ctx.reply.null(),
        Some(entry) => {
            let mut payload = Vec::new();
            dump_value(entry.value(), ctx.settings.rdb_compression, &mut payload);
            ctx.reply.bulk(&payload);
        }
    }
    Ok(())
}

/// The options of `RESTORE`.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = 4;
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            match args.get(at + 1) {
                _ if is(b"REPLACE") => options.replace = true,
                _ if is(b"ABSTTL") => options.absolute = true,
                Some(arg) if is(b"IDLETIME") && options.frequency.is_none() => {
                    const NEGATIVE: CommandError =
                        CommandError::fixed("ERR Invalid IDLETIME value, must be >= 0");
                    let idle_s = integer(arg)?;
                    options.idle_s = Some(u64::try_from(idle_s).map_err(|_| NEGATIVE)?);
                    at += 1;
                }
                Some(arg) if is(b"FREQ") && options.idle_s.is_none() => {
                    const RANGE: CommandError =
                        CommandError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
                    options.frequency = Some(u8::try_from(integer(arg)?).map_err(|_| RANGE)?);
                    at += 1;
                }
                _ => return Err(CommandError::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
fn restore(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args)?;
    let key = ctx.store.key(&args[1]);
    if !options.replace && ctx.store.lookup_for_write(&key).is_some() {
        return Err(CommandError::fixed("BUSYKEY Target key name already exists."));
    }
    let mut ttl = integer(&args[2])?;
    if options.absolute && ttl != 0 {
        ttl = ctx.store.kept_expiry_ms(ttl);
    }
    if ttl < 0 {
        return Err(CommandError::fixed("ERR Invalid TTL value, must be >= 0"));
    }
    let value = restore_value(args.at(3), &ctx.settings.limits).map_err(|error| match error {
        PayloadError::Footer => {
            CommandError::fixed("ERR DUMP payload version or checksum are wrong")
        }
        PayloadError::Value(_) | PayloadError::Trailing(_) => {
            CommandError::fixed("ERR Bad data format")
        }
    })?;
    let now_ms = ctx.store.now_ms;
    let expiry_ms = match ttl {
        0 => None,
        ttl if options.absolute => Some(ttl),
        ttl => Some(now_ms.checked_add(ttl).ok_or(CommandError::invalid_expire_time("restore"))?),
    };
    ctx.reply.ok();
    if !ctx.store.is_replay() && expiry_ms.is_some_and(|at| at <= now_ms) {
        if ctx.store.delete(&key) {
            ctx.store.effect(&[b"DEL", key.bytes]);
        }
        return Ok(());
    }
    let access = ctx.access_clock().restored(options.idle_s, options.frequency);
    let entry = EntryBox::new(key.bytes, value, expiry_ms, access);
    if ctx.store.is_replay() {
        ctx.store.effect_verbatim(args);
    } else {
        state_restored(ctx, &key, args, &options, entry.view());
    }
    ctx.store.insert(&key, entry);
    Ok(())
}

/// States that `entry` takes the place of what `key` holds, in a form that Redis 7.0 reads. A hash
/// with fields that expire has none there: it is stated in commands of Redis 7.4.
fn state_restored(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    args: Args<'_>,
    options: &Options,
    entry: Entry<'_>,
) {
    let mut digits = itoa::Buffer::new();
    let at = entry.expiry_ms().map(|at_ms| digits.format(at_ms).as_bytes());
    let mut encoded = Vec::new();
    let is_readable = payload::version(args.at(3)).is_some_and(|it| it <= Target::V10.version());
    let bytes = if is_readable {
        args.at(3)
    } else if let Value::Hash(hash) = entry.value()
        && hash.next_expiry_ms().is_some()
    {
        if ctx.store.exists(key) {
            ctx.store.effect(&[b"DEL", key.bytes]);
        }
        effect_of_hash(&mut ctx.store, key, hash);
        if let Some(at) = at {
            ctx.store.effect(&[b"PEXPIREAT", key.bytes, at]);
        }
        return;
    } else {
        let compress = ctx.settings.rdb_compression;
        payload::dump_for(entry.value(), Target::V10, compress, &mut encoded)
            .expect("only hashes with fields that expire are not held");
        &encoded
    };
    match at {
        Some(at) if !options.absolute => {
            ctx.store.effect_with(&[args.at(0), key.bytes, at, bytes, b"ABSTTL"], args.from(4));
        }
        _ => ctx.store.effect_with(&[args.at(0), key.bytes, args.at(2), bytes], args.from(4)),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::rdb::payload;
    use crate::resp::{Args, OwnedArgs};

    /// The bulk string in a reply.
    fn bulk(reply: &[u8]) -> Vec<u8> {
        let start = reply.iter().position(|&byte| byte == b'\n').expect("a header") + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    fn restore(bench: &mut Bench, args: &[&[u8]]) -> (String, Vec<u8>) {
        let args = OwnedArgs::from_slices(args);
        let args: Args<'_> = args.as_args();
        let outcome = bench.run(args);
        (String::from_utf8_lossy(&outcome.reply).trim_end().to_owned(), outcome.effects)
    }

    #[test]
    fn a_value_is_dumped_and_restored() {
        let mut bench = Bench::new();
        bench.line("RPUSH l a b 3");
        bench.line("SET other x");
        let payload = bulk(&bench.line("DUMP l").reply);
        bench.replies("DUMP none", "$-1");
        let (reply, effects) = restore(&mut bench, &[b"RESTORE", b"m", b"50", &payload]);
        assert_eq!(reply, "+OK");
        assert!(effects.windows(13).any(|part| part == b"1700000000050"), "the time is absolute");
        bench.replies("LRANGE m 0 -1", "*3 $1 a $1 b $1 3");
        bench.replies("PTTL m", ":50");
        let (reply, _) = restore(&mut bench, &[b"RESTORE", b"m", b"0", &payload]);
        assert_eq!(reply, "-BUSYKEY Target key name already exists.");
        let (reply, _) = restore(&mut bench, &[b"RESTORE", b"other", b"0", &payload, b"REPLACE"]);
        assert_eq!(reply, "+OK");
        bench.replies("TYPE other", "+list");
        let args: &[&[u8]] = &[b"RESTORE", b"other", b"5", &payload, b"REPLACE", b"ABSTTL"];
        assert_eq!(restore(&mut bench, args).0, "+OK");
        bench.replies("EXISTS other", ":0");
    }

    #[test]
    fn what_redis_7_0_cannot_read_is_stated_otherwise() {
        use crate::commands::testing::show_effects;
        let mut bench = Bench::new();
        bench.line("HSET h a 1 b 2");
        bench.line("HPEXPIREAT h 1800000000000 FIELDS 1 b");
        let payload = bulk(&bench.line("DUMP h").reply);
        let (reply, effects) =
            restore(&mut bench, &[b"RESTORE", b"h", b"70", &payload, b"REPLACE"]);
        assert_eq!(reply, "+OK");
        let wanted = "DEL h; HSET h b 2 a 1; HPEXPIREAT h 1800000000000 FIELDS 1 b; \
                      PEXPIREAT h 1700000000070";
        assert_eq!(show_effects(&effects), wanted);

        bench.line("SADD s a b");
        let payload = bulk(&bench.line("DUMP s").reply);
        assert_eq!(payload::version(&payload), Some(11));
        let (reply, effects) = restore(&mut bench, &[b"RESTORE", b"t", b"0", &payload]);
        assert_eq!(reply, "+OK");
        let stated = crate::commands::testing::parse_effects(&effects).pop().expect("an effect");
        assert_eq!(payload::version(stated.as_args().at(3)), Some(10));
        bench.replies("SCARD t", ":2");
    }

    #[test]
    fn bad_arguments_change_nothing() {
        let mut bench = Bench::new();
        bench.line("SET k v");
        let payload = bulk(&bench.line("DUMP k").reply);
        let mut damaged = payload.clone();
        damaged[1] ^= 1;
        for (args, error) in [
            (&[b"n", &b"-1"[..], &payload][..], "-ERR Invalid TTL value, must be >= 0"),
            (&[b"n", b"x", &payload], "-ERR value is not an integer or out of range"),
            (&[b"n", b"0", &damaged], "-ERR DUMP payload version or checksum are wrong"),
            (&[b"n", b"0", b"x"], "-ERR DUMP payload version or checksum are wrong"),
            (&[b"n", b"0", &payload, b"NX"], "-ERR syntax error"),
            (
                &[b"n", b"0", &payload, b"FREQ", b"256"],
                "-ERR Invalid FREQ value, must be >= 0 and <= 255",
            ),
            (
                &[b"n", b"0", &payload, b"IDLETIME", b"-1"],
                "-ERR Invalid IDLETIME value, must be >= 0",
            ),
            (&[b"n", b"0", &payload, b"IDLETIME", b"1", b"FREQ", b"1"], "-ERR syntax error"),
        ] {
            let args: Vec<&[u8]> = [&[&b"RESTORE"[..]][..], args].concat();
            assert_eq!(restore(&mut bench, &args).0, error);
        }
        bench.replies("EXISTS n", ":0");
    }
}
