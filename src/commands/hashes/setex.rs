//! Values and expiry times at once: `HSETEX` and `HGETEX`.

use super::expiry::{Unit, absolute_ms, delete_fields, state_expiry, state_persisting};
use super::write::set_pairs;
use super::{
    BAD_FIELD_COUNT, effect_of_expiry, effect_on_fields, expire_named, is_live, parse_fields,
};
use crate::commands::elements::reply_element;
use crate::commands::{CommandError, CommandResult, Context, Key, Store};
use crate::data::Hash;
use crate::data::hash::FieldExpiry;
use crate::resp::Args;
use crate::resp::request::parse_i64;
use std::collections::BTreeMap;

/// How a word says that an expiry time follows: its unit, and what it counts from.
fn time_option(word: &[u8], now_ms: i64) -> Option<(Unit, i64)> {
    let options: [(&str, Unit, i64); 4] = [
        ("EX", Unit::Seconds, now_ms),
        ("PX", Unit::Milliseconds, now_ms),
        ("EXAT", Unit::Seconds, 0),
        ("PXAT", Unit::Milliseconds, 0),
    ];
    let named = |(name, ..): &(&str, Unit, i64)| word.eq_ignore_ascii_case(name.as_bytes());
    options.into_iter().find(named).map(|(_, unit, base_ms)| (unit, base_ms))
}

/// What `HSETEX` is asked for.
struct Options<'a> {
    /// `NX`, `XX`: whether the key must exist.
    key_exists: Option<bool>,
    /// `FNX`, `FXX`: whether each of the fields must exist.
    fields_exist: Option<bool>,
    expiry: FieldExpiry,
    pairs: Args<'a>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, store: &Store<'_>) -> Result<Self, CommandError> {
        const NO_TIME: CommandError = CommandError::fixed("ERR missing expire time");
        const BAD_COUNT: CommandError = CommandError::fixed("ERR invalid number of fields");
        const ONE_EXPIRY: CommandError = CommandError::fixed(
            "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        );
        const ONE_CONDITION: CommandError =
            CommandError::fixed("ERR Only one of FXX or FNX arguments can be specified");
        let wrong_arity = || CommandError::wrong_arity("hsetex");
        let mut options = Self {
            key_exists: None,
            fields_exist: None,
            expiry: FieldExpiry::Clear,
            pairs: args.from(args.len()),
        };
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let has_expiry = options.expiry != FieldExpiry::Clear;
            if is("FIELDS") {
                options.pairs = args.from(at + 2);
                if options.pairs.len() < 2 {
                    return Err(wrong_arity());
                }
                let count = parse_i64(&args[at + 1]).filter(|&count| count > 0);
                let count = count.and_then(|count| i32::try_from(count).ok()).ok_or(BAD_COUNT)?;
                let fits = options.pairs.len() == count as usize * 2;
                return if fits { Ok(options) } else { Err(wrong_arity()) };
            } else if let Some((unit, base_ms)) = time_option(word, store.now_ms) {
                if has_expiry {
                    return Err(ONE_EXPIRY);
                }
                at += 1;
                let time = args.get(at).ok_or(NO_TIME)?;
                let at_ms = absolute_ms(store, time, unit, base_ms, "hsetex")?;
                options.expiry = FieldExpiry::At(at_ms);
            } else if is("KEEPTTL") {
                if has_expiry {
                    return Err(ONE_EXPIRY);
                }
                options.expiry = FieldExpiry::Keep;
            } else if is("FNX") || is("FXX") {
                if options.fields_exist.is_some() {
                    return Err(ONE_CONDITION);
                }
                options.fields_exist = Some(is("FXX"));
            } else if (is("NX") || is("XX")) && options.key_exists.is_none() {
                options.key_exists = Some(is("XX"));
            } else {
                return Err(CommandError::quoting("ERR unknown argument: ", word, ""));
            }
            at += 1;
        }
        Err(wrong_arity())
    }

    /// The names of the fields.
    fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pairs.iter().step_by(2)
    }
}

/// `HSETEX key [NX | XX] [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
/// FIELDS count field value [field value …]`
pub(super) fn hsetex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, &ctx.store)?;
    let key = ctx.store.key(&args[1]);
    expire_named(&mut ctx.store, &key, options.names())?;
    let due_ms = ctx.store.due_ms();
    let mut hash = ctx.store.write_as::<Hash>(&key)?;
    let exists = |name: &[u8]| hash.as_ref().is_some_and(|hash| hash.get(name).is_some());
    let allowed = options.key_exists.is_none_or(|wanted| hash.is_some() == wanted)
        && options
            .fields_exist
            .is_none_or(|wanted| options.names().all(|name| exists(name) == wanted));
    ctx.reply.integer(i64::from(allowed));
    if !allowed {
        return Ok(());
    }
    match options.expiry {
        FieldExpiry::At(at_ms) if at_ms <= due_ms => {
            // They would be set and deleted at once, which leaves those gone that were there before.
            let mut remove = |name: &&[u8]| hash.as_mut().is_some_and(|hash| hash.remove(name));
            let deleted: Vec<&[u8]> = options.names().filter(|name| remove(name)).collect();
            delete_fields(&mut ctx.store, &key, &deleted);
        }
        expiry => {
            set_pairs(ctx, &key, options.pairs, expiry)?;
            let pairs: Vec<&[u8]> = options.pairs.iter().collect();
            let store = &mut ctx.store;
            effect_on_fields(store, &[b"HSET", key.bytes], &pairs);
            match expiry {
                FieldExpiry::Clear => {}
                FieldExpiry::Keep => effect_of_kept_expiry(store, &key, options.names())?,
                FieldExpiry::At(at_ms) => {
                    store.fields_will_expire(&key);
                    let names: Vec<&[u8]> = options.names().collect();
                    effect_of_expiry(store, &key, at_ms, &names);
                }
            }
        }
    }
    Ok(())
}

/// States when the named fields expire, of those that do.
fn effect_of_kept_expiry<'n>(
    store: &mut Store<'_>,
    key: &Key<'_>,
    names: impl Iterator<Item = &'n [u8]>,
) -> CommandResult {
    let Some(hash) = store.write_as::<Hash>(key)? else { return Ok(()) };
    let mut by_expiry: BTreeMap<i64, Vec<&[u8]>> = BTreeMap::new();
    for name in names {
        if let Some(at_ms) = hash.get(name).and_then(|field| field.expiry_ms) {
            by_expiry.entry(at_ms).or_default().push(name);
        }
    }
    for (at_ms, names) in by_expiry {
        effect_of_expiry(store, key, at_ms, &names);
    }
    Ok(())
}

/// `HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS count field [field …]`
pub(super) fn hgetex(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    ctx.store.write_as::<Hash>(&key)?;
    let (mut at_ms, mut names_at) = (None, 2);
    let persists = args[2].eq_ignore_ascii_case(b"PERSIST");
    if let Some((unit, base_ms)) = time_option(&args[2], ctx.store.now_ms) {
        at_ms = Some(absolute_ms(&ctx.store, &args[3], unit, base_ms, "hgetex")?);
        names_at = 4;
    } else if persists {
        names_at = 3;
    }
    let names = parse_fields(args, names_at, BAD_FIELD_COUNT)?;
    expire_named(&mut ctx.store, &key, names.iter())?;
    let due_ms = ctx.store.due_ms();
    ctx.reply.array(names.len());
    let Some(hash) = ctx.store.write_as::<Hash>(&key)? else {
        names.iter().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    let mut changed = Vec::new();
    for name in names.iter() {
        let Some(field) = hash.get(name).filter(|field| is_live(field, due_ms)) else {
            ctx.reply.null();
            continue;
        };
        reply_element(&mut ctx.reply, field.value);
        if at_ms.is_some() || persists && field.expiry_ms.is_some() {
            match at_ms {
                Some(at) if at <= due_ms => hash.remove(name),
                at => hash.set_expiry(name, at),
            };
            changed.push(name);
        }
    }
    match at_ms {
        Some(at) if at <= due_ms => delete_fields(&mut ctx.store, &key, &changed),
        Some(at) => state_expiry(&mut ctx.store, &key, at, &changed),
        None => state_persisting(&mut ctx.store, &key, &changed),
    }
    Ok(())
}
