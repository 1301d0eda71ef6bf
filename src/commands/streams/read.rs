//! `XREAD` and `XREADGROUP`.

use super::ids::{self, IdText};
use super::pending::{GroupEffects, seen_consumer};
use super::{CommandError, CommandResult, Context, no_such_group, reply_entry};
use crate::commands::numbers::{integer, timeout_ms};
use crate::commands::store::Wants;
use crate::data::Stream;
use crate::data::stream::{ConsumerId, Count, Entries, Group, Parts, Pending, StreamId};
use crate::resp::reply::Deferred;
use crate::resp::{Args, OwnedArgs, Protocol, Reply};

/// What is asked for besides streams.
struct Options<'a> {
    /// `None` without `BLOCK`; 0 is for ever.
    block_ms: Option<u64>,
    count: usize,
    /// Name of the group and of the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Index of the first key.
    first_key: usize,
    /// How many keys there are, and ids behind them.
    keys: usize,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, now_ms: i64, is_group: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            block_ms: None,
            count: usize::MAX,
            group: None,
            no_ack: false,
            first_key: 0,
            keys: 0,
        };
        let mut at = 1;
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            match args.get(at + 1) {
                Some(arg) if is(b"BLOCK") => {
                    options.block_ms = Some(timeout_ms(arg, now_ms)?);
                    at += 2;
                }
                Some(arg) if is(b"COUNT") => {
                    let count = usize::try_from(integer(arg)?).unwrap_or(0);
                    options.count = if count == 0 { usize::MAX } else { count };
                    at += 2;
                }
                Some(_) if is(b"STREAMS") => {
                    options.first_key = at + 1;
                    options.keys = (args.len() - at - 1) / 2;
                    if !(args.len() - at - 1).is_multiple_of(2) {
                        return Err(unbalanced(is_group));
                    }
                    break;
                }
                Some(group) if is(b"GROUP") && at + 2 < args.len() => {
                    if !is_group {
                        return Err(CommandError::fixed(
                            "ERR The GROUP option is only supported by XREADGROUP. You called \
                             XREAD instead.",
                        ));
                    }
                    options.group = Some((group, args.at(at + 2)));
                    at += 3;
                }
                _ if is(b"NOACK") => {
                    if !is_group {
                        return Err(CommandError::fixed(
                            "ERR The NOACK option is only supported by XREADGROUP. You called \
                             XREAD instead.",
                        ));
                    }
                    options.no_ack = true;
                    at += 1;
                }
                _ => return Err(CommandError::SYNTAX),
            }
        }
        if options.keys == 0 {
            return Err(CommandError::SYNTAX);
        }
        if is_group && options.group.is_none() {
            return Err(CommandError::fixed("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }

    fn keys(&self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        args.from(self.first_key).iter().take(self.keys)
    }

    /// Keys with what was given as their ids.
    fn streams(&self, args: Args<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.keys(args).zip(args.from(self.first_key + self.keys).iter())
    }
}

fn unbalanced(is_group: bool) -> CommandError {
    let (name, symbol) = if is_group { ("xreadgroup", '>') } else { ("xread", '$') };
    CommandError::new(format!(
        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be \
         specified."
    ))
}

/// Begins a stream in the reply, which is an array of keys with their entries, or in RESP3 a map.
fn reply_key(reply: &mut Reply<'_>, key: &[u8]) {
    if reply.protocol() == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

fn finish(reply: &mut Reply<'_>, deferred: Deferred, keys: usize) {
    match reply.protocol() {
        Protocol::Resp2 => reply.finish_array(deferred, keys),
        Protocol::Resp3 => reply.finish_map(deferred, keys),
    }
}

/// `XREAD [COUNT count] [BLOCK ms] STREAMS key [key …] id [id …]`
pub(super) fn xread(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, ctx.store.now_ms, false)?;
    // Each stream's id is looked at before any entry is replied.
    let mut above = Vec::with_capacity(options.keys);
    for (key, arg) in options.streams(args) {
        let key = ctx.store.key(key);
        let last_id = ctx.store.read_as::<Stream>(&key)?.map(|stream| stream.entries.last_id());
        above.push(match arg {
            b"$" => last_id.unwrap_or(StreamId::MIN),
            // The last entry is to be among those above.
            b"+" => match last_id {
                None => StreamId::MIN,
                Some(id) => id
                    .previous()
                    .ok_or(CommandError::fixed("ERR the stream last element ID is 0-0"))?,
            },
            b">" => {
                return Err(CommandError::fixed(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                     <group> <consumer> option.",
                ));
            }
            _ => ids::id(arg, 0)?,
        });
    }
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    for (key, &above) in options.keys(args).zip(&above) {
        let key = ctx.store.key(key);
        let Some(stream) = ctx.store.peek_as::<Stream>(&key)? else { continue };
        let Some(start) = above.next().filter(|_| has_above(&stream.entries, above)) else {
            continue;
        };
        found += 1;
        reply_key(&mut ctx.reply, key.bytes);
        let entries = stream.entries.range(start, StreamId::MAX).take(options.count);
        let deferred = ctx.reply.deferred();
        let mut count = 0;
        for (id, fields) in entries {
            reply_entry(&mut ctx.reply, id, fields);
            count += 1;
        }
        ctx.reply.finish_array(deferred, count);
    }
    if found > 0 {
        finish(&mut ctx.reply, deferred, found);
        return Ok(());
    }
    match options.block_ms {
        Some(block_ms) if ctx.store.may_block() => {
            // What is the last entry now is the one that new entries are above.
            let texts: Vec<_> = above.iter().map(|&id| IdText::new(id)).collect();
            let mut fixed: Vec<&[u8]> = args.iter().collect();
            for (arg, text) in fixed[options.first_key + options.keys..].iter_mut().zip(&texts) {
                if *arg == b"$" {
                    *arg = text.as_bytes();
                }
            }
            let fixed = OwnedArgs::from_slices(&fixed);
            ctx.block_as(Wants::Stream, options.keys(args), block_ms, fixed);
        }
        _ => ctx.reply.null_array(),
    }
    Ok(())
}

fn has_above(entries: &Entries, id: StreamId) -> bool {
    entries.top_id().is_some_and(|top_id| top_id > id)
}

/// What a consumer wants of one stream.
#[derive(Clone, Copy)]
enum From {
    /// Entries that were delivered to no consumer of its group.
    New,
    /// What is pending for it, above this id.
    Pending(StreamId),
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK ms] [NOACK] STREAMS key [key …] id [id …]`
pub(super) fn xreadgroup(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, ctx.store.now_ms, true)?;
    let (group_name, consumer_name) = options.group.expect("it is required");
    let mut from = Vec::with_capacity(options.keys);
    for (key, arg) in options.streams(args) {
        let key = ctx.store.key(key);
        let stream = ctx.store.read_as::<Stream>(&key)?;
        if !stream.is_some_and(|stream| stream.groups.contains_key(group_name)) {
            let suffix = " in XREADGROUP with GROUP option";
            return Err(no_such_group(key.bytes, group_name, suffix));
        }
        from.push(match arg {
            b"$" => return Err(meaningless('$')),
            b"+" => return Err(meaningless('+')),
            b">" => From::New,
            // Nothing can come after the greatest id: Redis takes it for `>`.
            _ => match ids::id(arg, 0)? {
                StreamId::MAX => From::New,
                id => From::Pending(id),
            },
        });
    }
    let now_ms = ctx.store.now_ms;
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    for (key, &from) in options.keys(args).zip(&from) {
        let key = ctx.store.key(key);
        let stream = ctx.store.write_as::<Stream>(&key)?.expect("it was just there");
        let Parts { entries, groups } = &mut **stream;
        let group = groups.get_mut(group_name).expect("it was just there");
        let mut effects = GroupEffects::default();
        let consumer = seen_consumer(group, consumer_name, now_ms, &mut effects);
        let mut delivery =
            Delivery { entries, group, consumer, now_ms, count: options.count, effects };
        match from {
            From::Pending(above) => {
                found += 1;
                reply_key(&mut ctx.reply, key.bytes);
                delivery.reply_pending(&mut ctx.reply, above);
            }
            From::New if has_above(delivery.entries, delivery.group.last_id) => {
                found += 1;
                reply_key(&mut ctx.reply, key.bytes);
                delivery.reply_new(&mut ctx.reply, !options.no_ack);
            }
            From::New => {}
        }
        let (effects, last_id) = (delivery.effects, delivery.group.last_id);
        effects.state(&mut ctx.store, &key, group_name, last_id);
    }
    if found > 0 {
        finish(&mut ctx.reply, deferred, found);
        return Ok(());
    }
    match options.block_ms {
        Some(block_ms) => ctx.block(Wants::StreamGroup, options.keys(args), block_ms, args),
        None => ctx.reply.null_array(),
    }
    Ok(())
}

fn meaningless(symbol: char) -> CommandError {
    CommandError::new(format!(
        "ERR The {symbol} ID is meaningless in the context of XREADGROUP: you want to read the \
         history of this consumer by specifying a proper ID, or use the > ID to get new messages. \
         The {symbol} ID would just return an empty result set."
    ))
}

/// A stream's entries on their way to a consumer.
struct Delivery<'s> {
    entries: &'s Entries,
    group: &'s mut Group,
    consumer: ConsumerId,
    now_ms: i64,
    count: usize,
    effects: GroupEffects,
}

impl Delivery<'_> {
    /// Replies with entries that were not delivered to the group yet. They become pending, except
    /// with `NOACK`.
    fn reply_new(&mut self, reply: &mut Reply<'_>, acknowledged: bool) {
        let deferred = reply.deferred();
        let mut count = 0;
        let start = self.group.last_id.next().unwrap_or(StreamId::MAX);
        for (id, fields) in self.entries.range(start, StreamId::MAX).take(self.count) {
            let counted = self.group.entries_read.filter(|_| !self.entries.has_gaps_from(id));
            self.group.entries_read = match counted {
                Some(entries_read) => Some(entries_read.plus(1)),
                None if self.entries.counters().entries_added > Count::default() => {
                    self.entries.count_at(id)
                }
                None => self.group.entries_read,
            };
            self.group.last_id = id;
            reply_entry(reply, id, fields);
            if acknowledged {
                self.deliver(id, Count::new(1));
            }
            count += 1;
        }
        self.effects.progress = Some((self.group.last_id, self.group.entries_read));
        reply.finish_array(deferred, count);
    }

    /// Replies with what is pending for the consumer, and was deleted meanwhile or is delivered once more.
    fn reply_pending(&mut self, reply: &mut Reply<'_>, above: StreamId) {
        let own = self.group.consumer(self.consumer).pending();
        let ids: Vec<_> = match above.next() {
            Some(start) => {
                own.range(start, StreamId::MAX).take(self.count).map(|(id, _)| id).collect()
            }
            None => Vec::new(),
        };
        reply.array(ids.len());
        for id in ids {
            match self.entries.get(id) {
                Some(fields) => {
                    reply_entry(reply, id, fields);
                    let deliveries = self.group.pending()[id].deliveries;
                    self.deliver(id, deliveries.plus(1));
                }
                None => {
                    reply.array(2);
                    reply.bulk(IdText::new(id).as_bytes());
                    reply.null_array();
                }
            }
        }
    }

    fn deliver(&mut self, id: StreamId, deliveries: Count) {
        let (consumer, delivered_ms) = (self.consumer, self.now_ms);
        let pending = Pending { consumer, delivered_ms, deliveries };
        self.group.deliver(id, pending);
        self.group.consumer_mut(consumer).active_ms = Some(delivered_ms);
        self.effects.claim(self.group, id, pending);
    }
}
