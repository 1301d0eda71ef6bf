//! `SORT` and `SORT_RO`.

use super::numbers::integer;
use super::spec::{Begin, Categories, Find, Flags, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, Key, Store};
use crate::data::list::Side;
use crate::data::{List, Value};
use crate::rdb::payload;
use crate::resp::Args;
use crate::resp::double::parse_double_prefix;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

const SOURCE: KeySpec = KeySpec::at(1, KeyFlags::RO_ACCESS);
/// Keys whose names follow from what is sorted.
const BY_PATTERN: KeySpec =
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: KeyFlags::RO_ACCESS };
const STORE: KeySpec =
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: KeyFlags::OW_UPDATE };

/// This family's part of the table.
pub static COMMANDS: [Spec; 2] = [
    Spec::data("sort", -2, sort)
        .syntax(
            "key [BY pattern#1] [LIMIT offset_count(offset:integer count:integer)] [GET... \
             pattern#1] [order<ASC|DESC>] [sorting=ALPHA] [STORE destination:key#2]",
        )
        .flags(
            Flags::WRITE.with(Flags::DENYOOM).with(Flags::MOVABLEKEYS),
            Categories::SET
                .with(Categories::SORTEDSET)
                .with(Categories::LIST)
                .with(Categories::DANGEROUS),
        )
        .keys(&[SOURCE, BY_PATTERN, STORE])
        .key_function(sort_keys)
        .doc(
            "generic",
            "1.0.0",
            "O(N+M*log(M)) in the elements sorted and those returned",
            "Sorts the elements of a list, a set or a sorted set.",
        ),
    Spec::data("sort_ro", -2, sort_ro)
        .syntax(
            "key [BY pattern#1] [LIMIT offset_count(offset:integer count:integer)] [GET... \
             pattern#1] [order<ASC|DESC>] [sorting=ALPHA]",
        )
        .flags(
            Flags::READONLY.with(Flags::MOVABLEKEYS),
            Categories::SET
                .with(Categories::SORTEDSET)
                .with(Categories::LIST)
                .with(Categories::DANGEROUS),
        )
        .keys(&[SOURCE, BY_PATTERN])
        .key_function(sort_ro_keys)
        .doc(
            "generic",
            "7.0.0",
            "O(N+M*log(M)) in the elements sorted and those returned",
            "The sorted elements of a list, a set or a sorted set.",
        ),
];

/// Where the keys are that the arguments name. The last `STORE` counts.
fn sort_keys(args: Args<'_>) -> Option<super::spec::Keys> {
    let mut keys = super::spec::Keys::default();
    keys.push(1, 1, 1, SOURCE.flags);
    let (mut at, mut target) = (2, None);
    while let Some(option) = args.get(at) {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"STORE") && at + 1 < args.len() {
            target = Some(at + 1);
        }
        at += match () {
            () if is(b"LIMIT") => 3,
            () if is(b"GET") || is(b"BY") => 2,
            () => 1,
        };
    }
    if let Some(target) = target {
        keys.push(target, target, 1, STORE.flags);
    }
    Some(keys)
}

/// The only key that the arguments name.
fn sort_ro_keys(_: Args<'_>) -> Option<super::spec::Keys> {
    let mut keys = super::spec::Keys::default();
    keys.push(1, 1, 1, SOURCE.flags);
    Some(keys)
}

/// What is asked for.
struct Options<'a> {
    descending: bool,
    /// Compare bytes, not numbers.
    alpha: bool,
    offset: i64,
    /// Negative for all.
    count: i64,
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, may_store: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            descending: false,
            alpha: false,
            offset: 0,
            count: -1,
            by: None,
            get: Vec::new(),
            store: None,
        };
        let mut at = 2;
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            match (args.get(at + 1), args.get(at + 2)) {
                _ if is(b"ASC") => options.descending = false,
                _ if is(b"DESC") => options.descending = true,
                _ if is(b"ALPHA") => options.alpha = true,
                (Some(offset), Some(count)) if is(b"LIMIT") => {
                    (options.offset, options.count) = (integer(offset)?, integer(count)?);
                    at += 2;
                }
                (Some(key), _) if is(b"STORE") && may_store => {
                    options.store = Some(key);
                    at += 1;
                }
                (Some(pattern), _) if is(b"BY") => {
                    options.by = Some(pattern);
                    at += 1;
                }
                (Some(pattern), _) if is(b"GET") => {
                    options.get.push(pattern);
                    at += 1;
                }
                _ => return Err(CommandError::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }

    /// Which of `len` sorted elements are wanted.
    fn wanted(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX);
        if start >= len {
            return len..len;
        }
        let count = usize::try_from(self.count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE destination]`
fn sort(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, Options::parse(args, true)?, &args[1])
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA]`
fn sort_ro(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, Options::parse(args, false)?, &args[1])
}

fn run(ctx: &mut Context<'_>, mut options: Options<'_>, key: &[u8]) -> CommandResult {
    let key = ctx.store.key(key);
    // A pattern that is always the same says that nothing is to be sorted.
    let mut unsorted = options.by.is_some_and(|pattern| !pattern.contains(&b'*'));
    let (mut elements, is_set) = load(&mut ctx.store, &key, unsorted && options.descending)?;
    if unsorted && is_set && options.store.is_some() {
        // What is stored must not depend on how a set is kept.
        (unsorted, options.alpha, options.by) = (false, true, None);
    }
    let wanted = options.wanted(elements.len());
    if !unsorted {
        elements = sorted(&mut ctx.store, elements, &options, wanted.clone())?;
    }
    let elements = &elements[wanted];
    match options.store {
        Some(target) => store(ctx, elements, &options, target),
        None => {
            reply(ctx, elements, &options);
            Ok(())
        }
    }
}

/// The elements at a key in the order in which it has them, or the opposite one, and whether it is a set.
fn load(
    store: &mut Store<'_>,
    key: &Key<'_>,
    backwards: bool,
) -> Result<(Vec<Vec<u8>>, bool), CommandError> {
    let mut is_set = false;
    let mut elements: Vec<Vec<u8>> = match store.read(key).map(|entry| entry.value()) {
        None => Vec::new(),
        Some(Value::List(list)) => list.iter().map(|element| element.to_vec()).collect(),
        Some(Value::Set(set)) => {
            is_set = true;
            set.iter().map(|member| member.to_vec()).collect()
        }
        Some(Value::SortedSet(set)) => {
            set.iter(0, set.len(), false).map(|entry| entry.member.to_vec()).collect()
        }
        Some(_) => return Err(CommandError::WRONG_TYPE),
    };
    if backwards && !is_set {
        elements.reverse();
    }
    Ok((elements, is_set))
}

/// What an element is compared by.
enum Weight {
    Number(f64),
    /// `None` if the pattern leads to nothing, which comes first.
    Bytes(Option<Vec<u8>>),
    /// By its own bytes.
    Itself,
}

/// Puts the elements in order, at least those that are wanted.
fn sorted(
    store: &mut Store<'_>,
    elements: Vec<Vec<u8>>,
    options: &Options<'_>,
    wanted: Range<usize>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = match options.by {
            None if options.alpha => Weight::Itself,
            None => Weight::Number(number(&element)?),
            Some(pattern) => {
                let found = look_up(store, pattern, &element).map(Cow::into_owned);
                match found {
                    found if options.alpha => Weight::Bytes(found),
                    Some(text) => Weight::Number(number(&text)?),
                    None => Weight::Number(0.0),
                }
            }
        };
        weighed.push((element, weight));
    }
    let compare = |a: &(Vec<u8>, Weight), b: &(Vec<u8>, Weight)| {
        let order = match (&a.1, &b.1) {
            // What weighs the same is ordered by its bytes.
            (Weight::Number(x), Weight::Number(y)) => {
                x.partial_cmp(y).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(&b.0))
            }
            (Weight::Bytes(x), Weight::Bytes(y)) => x.cmp(y),
            _ => a.0.cmp(&b.0),
        };
        if options.descending { order.reverse() } else { order }
    };
    if options.by.is_some() && wanted != (0..weighed.len()) {
        crate::data::partial_sort::partial_sort(&mut weighed, wanted, compare);
    } else {
        weighed.sort_by(compare);
    }
    Ok(weighed.into_iter().map(|(element, _)| element).collect())
}

fn number(text: &[u8]) -> Result<f64, CommandError> {
    const NO_NUMBER: CommandError =
        CommandError::fixed("ERR One or more scores can't be converted into double");
    // Redis reads a C string: what is behind a NUL does not count.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let prefix = parse_double_prefix(text);
    // C says of a number too small for all of its digits that it is out of range.
    let is_tiny = prefix.number.abs() < f64::MIN_POSITIVE
        && text
            .iter()
            .take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'))
            .any(|byte| (b'1'..=b'9').contains(byte));
    let is_out_of_range = prefix.is_out_of_range || is_tiny;
    let whole = prefix.len == text.len() && !is_out_of_range && !prefix.number.is_nan();
    whole.then_some(prefix.number).ok_or(NO_NUMBER)
}

/// What a pattern leads to for an element: `#` is the element itself, `*` in a key's name stands for it, and behind
/// `->` is the field of a hash.
fn look_up<'e>(store: &mut Store<'_>, pattern: &[u8], element: &'e [u8]) -> Option<Cow<'e, [u8]>> {
    if pattern == b"#" {
        return Some(Cow::Borrowed(element));
    }
    let star = pattern.iter().position(|&byte| byte == b'*')?;
    let (prefix, postfix) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = postfix.windows(2).position(|two| two == b"->");
    let (postfix, field) = match arrow.map(|at| (&postfix[..at], &postfix[at + 2..])) {
        Some((postfix, field)) if !field.is_empty() => (postfix, Some(field)),
        _ => (postfix, None),
    };
    let name = [prefix, element, postfix].concat();
    let key = store.key(&name);
    let due_ms = store.due_ms();
    let value = store.read(&key)?.value();
    match (value, field) {
        (Value::Hash(hash), Some(field)) => {
            let field = hash.get(field)?;
            let is_live = field.expiry_ms.is_none_or(|at| at > due_ms);
            is_live.then(|| Cow::Owned(field.value.to_vec()))
        }
        (Value::Integer(number), None) => {
            Some(Cow::Owned(itoa::Buffer::new().format(number).as_bytes().to_vec()))
        }
        (Value::Text { bytes, .. }, None) => Some(Cow::Owned(bytes.to_vec())),
        _ => None,
    }
}

fn reply(ctx: &mut Context<'_>, elements: &[Vec<u8>], options: &Options<'_>) {
    ctx.reply.array(elements.len() * options.get.len().max(1));
    for element in elements {
        if options.get.is_empty() {
            ctx.reply.bulk(element);
        }
        for pattern in &options.get {
            match look_up(&mut ctx.store, pattern, element) {
                Some(found) => ctx.reply.bulk(&found),
                None => ctx.reply.null(),
            }
        }
    }
}

/// Makes a list of the result. The log carries the list, since finding it depends on many other keys.
fn store(
    ctx: &mut Context<'_>,
    elements: &[Vec<u8>],
    options: &Options<'_>,
    target: &[u8],
) -> CommandResult {
    let limits = &ctx.settings.limits;
    let mut list = List::new();
    let mut push = |element: &[u8]| {
        list.make_room(1, element.len(), limits);
        list.push(Side::Right, element);
    };
    for element in elements {
        if options.get.is_empty() {
            push(element);
        }
        for pattern in &options.get {
            push(&look_up(&mut ctx.store, pattern, element).unwrap_or_default());
        }
    }
    list.settle(limits);
    let target = ctx.store.key(target);
    ctx.reply.integer(list.len() as i64);
    if list.is_empty() {
        if ctx.store.delete(&target) {
            ctx.store.effect(&[b"DEL", target.bytes]);
        }
        return Ok(());
    }
    let mut payload = Vec::new();
    payload::dump(Value::List(&list), ctx.settings.rdb_compression, &mut payload);
    ctx.store.effect(&[b"RESTORE", target.bytes, b"0", &payload, b"REPLACE"]);
    ctx.store.put(&target, list, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn numbers_and_bytes() {
        let mut bench = Bench::new();
        bench.line("RPUSH l 10 9 -1 2.5 1e1");
        bench.replies("SORT l", "*5 $2 -1 $3 2.5 $1 9 $2 10 $3 1e1");
        bench.replies("SORT l DESC LIMIT 1 2", "*2 $2 10 $1 9");
        bench.replies("SORT_RO l ALPHA", "*5 $2 -1 $2 10 $3 1e1 $3 2.5 $1 9");
        bench.replies("SORT l LIMIT 9 1", "*0");
        bench.replies("SORT l LIMIT -5 1", "*1 $2 -1");
        bench.line("RPUSH l x");
        bench.replies("SORT l", "-ERR One or more scores can't be converted into double");
        for tiny in ["1e-400", "5e-324"] {
            bench.line(&format!("RPUSH tiny{tiny} {tiny}"));
            bench.replies(
                &format!("SORT tiny{tiny}"),
                "-ERR One or more scores can't be converted into double",
            );
        }
        bench.replies("SORT none", "*0");
        bench.replies("SORT_RO l STORE m", "-ERR syntax error");
        bench.line("SET s v");
        bench.replies(
            "SORT s",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn by_and_get_look_other_keys_up() {
        let mut bench = Bench::new();
        for line in [
            "SADD s 1 2 3",
            "MSET w1 30 w3 10 w2 20",
            "HSET h1 f one",
            "SET h2 no",
            "HSET h3 f three",
        ] {
            bench.line(line);
        }
        bench.replies("SORT s BY w*", "*3 $1 3 $1 2 $1 1");
        bench.replies(
            "SORT s BY w* GET # GET h*->f GET w*",
            "*9 $1 3 $5 three $2 10 $1 2 $-1 $2 20 $1 1 $3 one $2 30",
        );
        bench.replies("SORT s BY h*->f ALPHA", "*3 $1 2 $1 1 $1 3");
        bench.replies("SORT s BY nosort GET constant LIMIT 0 1", "*1 $-1");
        bench.line("ZADD z 3 a 1 b 2 c");
        bench.replies("SORT z BY nosort", "*3 $1 b $1 c $1 a");
        bench.replies("SORT z BY nosort DESC LIMIT 0 2", "*2 $1 a $1 c");
    }

    #[test]
    fn storing_states_the_list() {
        let mut bench = Bench::new();
        bench.line("SADD s 3 1 2");
        bench.replies("SORT s BY nosort STORE l", ":3");
        bench.replies("LRANGE l 0 -1", "*3 $1 1 $1 2 $1 3");
        bench.line("EXPIRE l 100");
        let effects =
            crate::commands::testing::parse_effects(&bench.line("SORT s STORE l").effects);
        assert_eq!(
            effects.last().map(|effect| effect.as_args().at(0).to_vec()),
            Some(b"RESTORE".to_vec())
        );
        bench.replies("TTL l", ":-1");
        bench.effects("SORT none STORE l", "DEL l");
        bench.effects("SORT none STORE l", "");
        bench.replies("COMMAND GETKEYS SORT_RO a BY x*", "*1 $1 a");
        bench.replies("COMMAND GETKEYS SORT a GET STORE BY x STORE b STORE c", "*2 $1 a $1 c");
    }
}
