//! `XPENDING`, `XCLAIM`, `XAUTOCLAIM`: what was delivered and not acknowledged.

use super::ids::{self, IdText};
use super::{
    CommandError, CommandResult, Context, Store, count, no_such_group, read_group, reply_entry,
};
use crate::commands::Key;
use crate::commands::numbers::integer;
use crate::data::Stream;
use crate::data::stream::{ConsumerId, Count, Group, Pending, StreamId};
use crate::resp::Args;

/// How many pending entries `XAUTOCLAIM` looks at for each that it may return.
const ATTEMPTS_FACTOR: usize = 10;

/// What a command did to a group, to be stated as effects once the stream is no longer borrowed.
#[derive(Default)]
pub(super) struct GroupEffects {
    /// The name of a consumer that was made.
    pub(super) created: Option<Box<[u8]>>,
    /// What became pending for whom. A copy that finds no such entry in the stream drops the
    /// reference, so this also says that one was dropped.
    pub(super) claims: Vec<Claim>,
    /// The group's last id and count, if they were changed.
    pub(super) progress: Option<(StreamId, Option<Count>)>,
}

/// One pending entry as it is now.
pub(super) struct Claim {
    pub(super) id: StreamId,
    pub(super) consumer: Box<[u8]>,
    pub(super) delivered_ms: i64,
    pub(super) deliveries: Count,
}

impl GroupEffects {
    pub(super) fn claim(&mut self, group: &Group, id: StreamId, pending: Pending) {
        self.claims.push(Claim {
            id,
            consumer: group.consumer(pending.consumer).name().into(),
            delivered_ms: pending.delivered_ms,
            deliveries: pending.deliveries,
        });
    }

    /// States what was done, in commands that do the same wherever they run. `last_id` is the group's.
    pub(super) fn state(
        self,
        store: &mut Store<'_>,
        key: &Key<'_>,
        group: &[u8],
        last_id: StreamId,
    ) {
        if self.created.is_none() && self.claims.is_empty() && self.progress.is_none() {
            return;
        }
        store.changed_unwatched(key);
        if let Some(consumer) = &self.created {
            store.effect(&[b"XGROUP", b"CREATECONSUMER", key.bytes, group, consumer]);
        }
        let last_id = IdText::new(last_id);
        for claim in &self.claims {
            let (mut delivered, mut deliveries) = (itoa::Buffer::new(), itoa::Buffer::new());
            store.effect(&[
                b"XCLAIM",
                key.bytes,
                group,
                &claim.consumer,
                b"0",
                IdText::new(claim.id).as_bytes(),
                b"TIME",
                delivered.format(claim.delivered_ms).as_bytes(),
                b"RETRYCOUNT",
                deliveries.format(claim.deliveries.get()).as_bytes(),
                b"FORCE",
                b"JUSTID",
                b"LASTID",
                last_id.as_bytes(),
            ]);
        }
        if let Some((id, entries_read)) = self.progress {
            let mut count = itoa::Buffer::new();
            let count = entries_read.map_or("-1", |entries_read| count.format(entries_read.get()));
            store.effect(&[
                b"XGROUP",
                b"SETID",
                key.bytes,
                group,
                IdText::new(id).as_bytes(),
                b"ENTRIESREAD",
                count.as_bytes(),
            ]);
        }
    }
}

/// The consumer of this name, which is made if there is none, and has now been seen.
pub(super) fn seen_consumer(
    group: &mut Group,
    name: &[u8],
    now_ms: i64,
    effects: &mut GroupEffects,
) -> ConsumerId {
    let id = group.find(name).unwrap_or_else(|| {
        effects.created = Some(name.into());
        group.add(name, now_ms, None)
    });
    group.consumer_mut(id).seen_ms = now_ms;
    id
}

/// `XPENDING key group [[IDLE ms] start end count [consumer]]`
pub(super) fn xpending(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.len() == 3 {
        return summary(ctx, args);
    }
    if !(6..=9).contains(&args.len()) {
        return Err(CommandError::SYNTAX);
    }
    let (mut at, mut idle_ms) = (3, 0);
    if args[3].eq_ignore_ascii_case(b"IDLE") {
        idle_ms = integer(&args[4])?;
        if args.len() < 8 {
            return Err(CommandError::SYNTAX);
        }
        at = 5;
    }
    let count = usize::try_from(integer(&args[at + 2])?).unwrap_or(0);
    let (start, end) = (ids::range_start(&args[at])?, ids::range_end(&args[at + 1])?);
    let key = ctx.store.key(&args[1]);
    let now_ms = ctx.store.now_ms;
    let group = read_group(&mut ctx.store, &key, &args[2])?;
    let (_, group) = group.ok_or_else(|| no_such_group(key.bytes, &args[2], ""))?;
    let consumer = match args.get(at + 3).map(|name| group.find(name)) {
        Some(None) => {
            ctx.reply.array(0);
            return Ok(());
        }
        Some(consumer) => consumer,
        None => None,
    };
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    let mut reply = |(id, pending): (StreamId, &Pending)| {
        let elapsed_ms = now_ms.saturating_sub(pending.delivered_ms);
        if found < count && (idle_ms == 0 || elapsed_ms >= idle_ms) {
            ctx.reply.array(4);
            ctx.reply.bulk(IdText::new(id).as_bytes());
            ctx.reply.bulk(group.consumer(pending.consumer).name());
            ctx.reply.integer(elapsed_ms.max(0));
            ctx.reply.integer(pending.deliveries.get() as i64);
            found += 1;
        }
        found < count
    };
    if count > 0 && start <= end {
        let pending = group.pending();
        match consumer {
            Some(consumer) => {
                let own = group.consumer(consumer).pending().range(start, end);
                own.map(|(id, _)| (id, &pending[id])).all(&mut reply)
            }
            None => pending.range(start, end).all(&mut reply),
        };
    }
    ctx.reply.finish_array(deferred, found);
    Ok(())
}

fn summary(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.store.key(&args[1]);
    let group = read_group(&mut ctx.store, &key, &args[2])?;
    let (_, group) = group.ok_or_else(|| no_such_group(key.bytes, &args[2], ""))?;
    let pending = group.pending();
    ctx.reply.array(4);
    ctx.reply.integer(pending.len() as i64);
    let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
        ctx.reply.null();
        ctx.reply.null();
        ctx.reply.null_array();
        return Ok(());
    };
    ctx.reply.bulk(IdText::new(first).as_bytes());
    ctx.reply.bulk(IdText::new(last).as_bytes());
    let busy = || group.consumers().filter(|(_, consumer)| !consumer.pending().is_empty());
    ctx.reply.array(busy().count());
    for (_, consumer) in busy() {
        ctx.reply.array(2);
        ctx.reply.bulk(consumer.name());
        ctx.reply.bulk_integer(consumer.pending().len() as i64);
    }
    Ok(())
}

/// What `XCLAIM` was asked for besides ids.
#[derive(Default)]
struct ClaimOptions {
    force: bool,
    just_id: bool,
    delivered_ms: Option<i64>,
    deliveries: Option<Count>,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(args: Args<'_>, now_ms: i64, is_replay: bool) -> Result<Self, CommandError> {
        let number = |arg: &[u8], text| integer(arg).map_err(|_| CommandError::fixed(text));
        let mut options = Self::default();
        let mut at = 0;
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let next = args.get(at + 1);
            at += 2;
            match next {
                _ if is(b"FORCE") => (options.force, at) = (true, at - 1),
                _ if is(b"JUSTID") => (options.just_id, at) = (true, at - 1),
                Some(arg) if is(b"IDLE") => {
                    let idle_ms = number(arg, "ERR Invalid IDLE option argument for XCLAIM")?;
                    options.delivered_ms = Some(now_ms.wrapping_sub(idle_ms));
                }
                Some(arg) if is(b"TIME") => {
                    let time_ms = number(arg, "ERR Invalid TIME option argument for XCLAIM")?;
                    options.delivered_ms = Some(time_ms);
                }
                Some(arg) if is(b"RETRYCOUNT") => {
                    const INVALID: CommandError =
                        CommandError::fixed("ERR Invalid RETRYCOUNT option argument for XCLAIM");
                    options.deliveries = count(arg, is_replay).map_err(|_| INVALID)?;
                }
                Some(arg) if is(b"LASTID") => options.last_id = ids::id(arg, 0)?,
                _ => {
                    let before = "ERR Unrecognized XCLAIM option '";
                    return Err(CommandError::quoting(before, option, "'"));
                }
            }
        }
        // Redis takes -1 for "not given".
        options.delivered_ms = options.delivered_ms.filter(|&ms| ms != -1);
        Ok(options)
    }
}

/// `XCLAIM key group consumer min-idle-ms id [id …] [IDLE ms] [TIME ms] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID id]`
pub(super) fn xclaim(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (now_ms, is_replay) = (ctx.store.now_ms, ctx.store.is_replay());
    let key = ctx.store.key(&args[1]);
    let stream = ctx.store.write_as::<Stream>(&key)?;
    let stream = stream.filter(|stream| stream.groups.contains_key(args.at(2)));
    let stream = stream.ok_or_else(|| no_such_group(key.bytes, &args[2], ""))?;
    let min_idle_ms = integer(&args[4])
        .map_err(|_| CommandError::fixed("ERR Invalid min-idle-time argument for XCLAIM"))?;
    let ids: Vec<_> = args.from(5).iter().map_while(|arg| ids::id(arg, 0).ok()).collect();
    let options = ClaimOptions::parse(args.from(5 + ids.len()), now_ms, is_replay)?;
    let delivered_ms = match options.delivered_ms {
        Some(ms) if is_replay || (0..=now_ms).contains(&ms) => ms,
        _ => now_ms,
    };

    let crate::data::stream::Parts { entries, groups } = &mut **stream;
    let group = groups.get_mut(args.at(2)).expect("it was just there");
    let mut effects = GroupEffects::default();
    let moved_on = options.last_id > group.last_id;
    group.last_id = group.last_id.max(options.last_id);
    let consumer = seen_consumer(group, &args[3], now_ms, &mut effects);
    let deferred = ctx.reply.deferred();
    let mut claimed = 0;
    for id in ids {
        let pending = group.pending().get(id).copied();
        let Some(fields) = entries.get(id) else {
            // The entry is gone, and so is the reference to it.
            if let Some(pending) = pending {
                effects.claim(group, id, pending);
                group.acknowledge(id);
            }
            continue;
        };
        let deliveries = match pending {
            None if !options.force => continue,
            // What is claimed without having been delivered counts as delivered.
            None => Count::new(1),
            Some(pending)
                if min_idle_ms > 0 && now_ms.saturating_sub(pending.delivered_ms) < min_idle_ms =>
            {
                continue;
            }
            Some(pending) => pending.deliveries,
        };
        let more = u64::from(!options.just_id);
        let deliveries = options.deliveries.unwrap_or(deliveries.plus(more));
        let pending = Pending { consumer, delivered_ms, deliveries };
        group.deliver(id, pending);
        group.consumer_mut(consumer).active_ms = Some(now_ms);
        effects.claim(group, id, pending);
        if options.just_id {
            ctx.reply.bulk(IdText::new(id).as_bytes());
        } else {
            reply_entry(&mut ctx.reply, id, fields);
        }
        claimed += 1;
    }
    if moved_on && effects.claims.is_empty() {
        effects.progress = Some((group.last_id, group.entries_read));
    }
    let last_id = group.last_id;
    ctx.reply.finish_array(deferred, claimed);
    effects.state(&mut ctx.store, &key, &args[2], last_id);
    Ok(())
}

/// `XAUTOCLAIM key group consumer min-idle-ms start [COUNT count] [JUSTID]`
pub(super) fn xautoclaim(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    const COUNT: CommandError = CommandError::fixed("ERR COUNT must be > 0");
    let min_idle_ms = integer(&args[4])
        .map_err(|_| CommandError::fixed("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = ids::range_start(&args[5])?;
    let (mut count, mut just_id) = (100, false);
    let mut at = 6;
    while let Some(option) = args.get(at) {
        match args.get(at + 1) {
            Some(arg) if option.eq_ignore_ascii_case(b"COUNT") => {
                let count_max = i64::MAX / 16;
                count = Some(integer(arg).map_err(|_| COUNT)?)
                    .filter(|count| (1..=count_max).contains(count))
                    .ok_or(COUNT)? as usize;
                at += 2;
            }
            _ if option.eq_ignore_ascii_case(b"JUSTID") => {
                just_id = true;
                at += 1;
            }
            _ => return Err(CommandError::SYNTAX),
        }
    }
    let now_ms = ctx.store.now_ms;
    let key = ctx.store.key(&args[1]);
    let stream = ctx.store.write_as::<Stream>(&key)?;
    let stream = stream.filter(|stream| stream.groups.contains_key(args.at(2)));
    let stream = stream.ok_or_else(|| no_such_group(key.bytes, &args[2], ""))?;

    let crate::data::stream::Parts { entries, groups } = &mut **stream;
    let group = groups.get_mut(args.at(2)).expect("it was just there");
    let mut effects = GroupEffects::default();
    let consumer = seen_consumer(group, &args[3], now_ms, &mut effects);
    // The reply begins with where to go on, which is known last: the rest is made apart.
    let mut deleted = Vec::new();
    let mut claimed = 0;
    let mut attempts = count.saturating_mul(ATTEMPTS_FACTOR);
    let mut next = group.pending().range(start, StreamId::MAX).next().map(|(id, _)| id);
    let mut body = crate::resp::Output::default();
    let mut reply = crate::resp::Reply::new(&mut body, ctx.reply.protocol());
    while let Some(id) = next
        && attempts > 0
        && count > 0
    {
        attempts -= 1;
        let mut pending = group.pending()[id];
        if let Some(fields) = entries.get(id) {
            if min_idle_ms <= 0 || now_ms.saturating_sub(pending.delivered_ms) >= min_idle_ms {
                pending.consumer = consumer;
                pending.delivered_ms = now_ms;
                pending.deliveries = pending.deliveries.plus((!just_id).into());
                group.deliver(id, pending);
                group.consumer_mut(consumer).active_ms = Some(now_ms);
                effects.claim(group, id, pending);
                if just_id {
                    reply.bulk(IdText::new(id).as_bytes());
                } else {
                    reply_entry(&mut reply, id, fields);
                }
                claimed += 1;
                count -= 1;
            }
        } else {
            effects.claim(group, id, pending);
            group.acknowledge(id);
            deleted.push(id);
            count -= 1;
        }
        let above = id.next();
        let above = above.and_then(|above| group.pending().range(above, StreamId::MAX).next());
        next = above.map(|(id, _)| id);
    }
    ctx.reply.array(3);
    ctx.reply.bulk(IdText::new(next.unwrap_or(StreamId::MIN)).as_bytes());
    ctx.reply.array(claimed);
    ctx.reply.append(body);
    ctx.reply.array(deleted.len());
    for id in deleted {
        ctx.reply.bulk(IdText::new(id).as_bytes());
    }
    let last_id = group.last_id;
    effects.state(&mut ctx.store, &key, &args[2], last_id);
    Ok(())
}
