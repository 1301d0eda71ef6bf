//! `COMMAND`: what the table says, told to clients.

use super::glob::{self, Case};
use super::spec::{Begin, Categories, Find, Flags, Handler, KeyFlags, KeySpec, Spec};
use super::{CommandError, CommandResult, Context, Directory, docs, keys, reply_help};
use crate::resp::{Args, Reply};

const FLAGS: Flags = Flags::LOADING.with(Flags::STALE);
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

/// This family's part of the table.
pub static COMMANDS: [Spec; 1] = [Spec::data("command", -1, info_of_all)
    .flags(FLAGS, Categories::CONNECTION)
    .doc("server", "2.8.13", "O(N) in the number of commands", "How all commands are declared.")
    .tips(UNORDERED)
    .subcommands(&SUBCOMMANDS)];

static SUBCOMMANDS: [Spec; 7] = [
    Spec::data("command|count", 2, count).flags(FLAGS, Categories::CONNECTION).doc(
        "server",
        "2.8.13",
        "O(1)",
        "How many commands there are.",
    ),
    Spec::data("command|docs", -2, describe)
        .syntax("[command-name...]")
        .flags(FLAGS, Categories::CONNECTION)
        .doc("server", "7.0.0", "O(N) in the number of commands", "What commands are for.")
        .tips(UNORDERED),
    Spec::data("command|info", -2, info)
        .syntax("[command-name...]")
        .changes(&[("7.0.0", "Without names it shows all commands.")])
        .flags(FLAGS, Categories::CONNECTION)
        .doc("server", "2.8.13", "O(N) in the number of commands", "How commands are declared.")
        .tips(UNORDERED),
    Spec::data("command|getkeys", -3, get_keys).flags(FLAGS, Categories::CONNECTION).doc(
        "server",
        "2.8.13",
        "O(N) in the number of arguments",
        "Finds the keys in a request.",
    ),
    Spec::data("command|getkeysandflags", -3, get_keys_and_flags)
        .flags(FLAGS, Categories::CONNECTION)
        .doc(
            "server",
            "7.0.0",
            "O(N) in the number of arguments",
            "Finds the keys in a request and what would happen to them.",
        ),
    Spec::data("command|list", -2, list)
        .syntax("[FILTERBY filterby<MODULE module-name|ACLCAT category|PATTERN pattern>]")
        .flags(FLAGS, Categories::CONNECTION)
        .doc("server", "7.0.0", "O(N) in the number of commands", "The names of commands.")
        .tips(UNORDERED),
    Spec::data("command|help", 2, help).flags(FLAGS, Categories::CONNECTION).doc(
        "server",
        "5.0.0",
        "O(1)",
        "Lists the subcommands.",
    ),
];

/// All commands that a client can send.
fn visible(directory: &Directory) -> impl Iterator<Item = &'static Spec> + use<> {
    directory.all().filter(|spec| !spec.flags.has(Flags::INTERNAL))
}

/// The command that a client calls `name`, subcommands as `container|name`.
fn visible_by_name(directory: &Directory, name: &[u8]) -> Option<&'static Spec> {
    directory.by_full_name(name).filter(|spec| !spec.flags.has(Flags::INTERNAL))
}

/// `COMMAND`
fn info_of_all(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.array(visible(ctx.settings.directory).count());
    visible(ctx.settings.directory).for_each(|spec| write_info(&mut ctx.reply, spec));
    Ok(())
}

/// `COMMAND COUNT`
fn count(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.integer(visible(ctx.settings.directory).count() as i64);
    Ok(())
}

/// `COMMAND INFO [name …]`
fn info(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.len() == 2 {
        return info_of_all(ctx, args);
    }
    ctx.reply.array(args.len() - 2);
    for name in args.from(2).iter() {
        match visible_by_name(ctx.settings.directory, name) {
            Some(spec) => write_info(&mut ctx.reply, spec),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

/// `COMMAND DOCS [name …]`
fn describe(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    let mut write = |spec: &'static Spec| {
        docs::write_entry(&mut ctx.reply, spec);
        found += 1;
    };
    if args.len() == 2 {
        visible(ctx.settings.directory).for_each(&mut write);
    } else {
        args.from(2)
            .iter()
            .filter_map(|name| visible_by_name(ctx.settings.directory, name))
            .for_each(&mut write);
    }
    ctx.reply.finish_map(deferred, found);
    Ok(())
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
fn list(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let filter: Option<(&[u8], &[u8])> = match args.len() {
        2 => None,
        5 if args[2].eq_ignore_ascii_case(b"FILTERBY") => Some((args.at(3), args.at(4))),
        _ => return Err(CommandError::SYNTAX),
    };
    let passes: &dyn Fn(&Spec) -> bool = match filter {
        None => &|_| true,
        // There are no modules.
        Some((kind, _)) if kind.eq_ignore_ascii_case(b"MODULE") => &|_| false,
        Some((kind, category)) if kind.eq_ignore_ascii_case(b"ACLCAT") => &move |spec| {
            let category = Categories::by_name(&category.to_ascii_lowercase());
            category.is_some_and(|category| spec.categories().has(category))
        },
        Some((kind, pattern)) if kind.eq_ignore_ascii_case(b"PATTERN") => {
            &move |spec| glob::matches(pattern, spec.full_name.as_bytes(), Case::Insensitive)
        }
        Some(_) => return Err(CommandError::SYNTAX),
    };
    let deferred = ctx.reply.deferred();
    let mut found = 0;
    for spec in visible(ctx.settings.directory)
        .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
    {
        if passes(spec) {
            ctx.reply.bulk(spec.full_name.as_bytes());
            found += 1;
        }
    }
    ctx.reply.finish_array(deferred, found);
    Ok(())
}

/// `COMMAND GETKEYS name [arg …]`
fn get_keys(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let request = args.from(2);
    let keys = keys_of(ctx.settings.directory, request)?;
    ctx.reply.array(keys.count());
    keys.iter().for_each(|key| ctx.reply.bulk(&request[key.index]));
    Ok(())
}

/// `COMMAND GETKEYSANDFLAGS name [arg …]`
fn get_keys_and_flags(ctx: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let request = args.from(2);
    let keys = keys_of(ctx.settings.directory, request)?;
    ctx.reply.array(keys.count());
    for key in keys.iter() {
        ctx.reply.array(2);
        ctx.reply.bulk(&request[key.index]);
        write_statuses(&mut ctx.reply, key.flags.names());
    }
    Ok(())
}

/// Commands that run scripts and functions, which cannot be run yet. Where their keys are is known
/// all the same.
static SCRIPTS: [Spec; 6] = [
    script("eval", UNKNOWN_USE),
    script("evalsha", UNKNOWN_USE),
    script("eval_ro", READ_ONLY_USE),
    script("evalsha_ro", READ_ONLY_USE),
    script("fcall", UNKNOWN_USE),
    script("fcall_ro", READ_ONLY_USE),
];

const UNKNOWN_USE: &[KeySpec] = &[KeySpec::counted(2, KeyFlags::RW_ACCESS_UPDATE)];
const READ_ONLY_USE: &[KeySpec] = &[KeySpec::counted(2, KeyFlags::RO_ACCESS)];

const fn script(name: &'static str, key_specs: &'static [KeySpec]) -> Spec {
    Spec::new(name, -3, Handler::Container)
        .flags(Flags::NO_MANDATORY_KEYS, Categories::NONE)
        .keys(key_specs)
}

fn keys_of(directory: &Directory, request: Args<'_>) -> Result<super::Keys, CommandError> {
    const NO_COMMAND: CommandError = CommandError::fixed("ERR Invalid command specified");
    let spec = directory.lookup(request).filter(|spec| !spec.flags.has(Flags::INTERNAL));
    let is_named = |spec: &&Spec| request.at(0).eq_ignore_ascii_case(spec.name.as_bytes());
    let spec = spec.or_else(|| SCRIPTS.iter().find(is_named));
    keys(spec.ok_or(NO_COMMAND)?, request)
}

/// `COMMAND HELP`
fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> CommandResult {
    reply_help(
        &mut ctx.reply,
        "COMMAND",
        &[
            "(no subcommand)",
            "    How all commands are declared.",
            "COUNT",
            "    How many commands there are.",
            "DOCS [<command-name> ...]",
            "    What the named commands are for, or all of them.",
            "GETKEYS <full-command>",
            "    The keys in a request.",
            "GETKEYSANDFLAGS <full-command>",
            "    The keys in a request, and what it would do to them.",
            "INFO [<command-name> ...]",
            "    How the named commands are declared, or all of them.",
            "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
            "    The names of commands.",
        ],
    );
    Ok(())
}

/// A set of simple strings.
fn write_statuses(reply: &mut Reply<'_>, words: impl Iterator<Item = &'static str> + Clone) {
    reply.set(words.clone().count());
    words.for_each(|word| reply.simple(word));
}

fn write_pair(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// The ten fields of `COMMAND INFO`.
fn write_info(reply: &mut Reply<'_>, spec: &'static Spec) {
    let (first, last, step, movable) = spec.legacy_range();
    let flags = if movable { spec.flags.with(Flags::MOVABLEKEYS) } else { spec.flags };
    reply.array(10);
    reply.bulk(spec.full_name.as_bytes());
    reply.integer(spec.arity.as_signed());
    reply.set(flags.names().count());
    flags.names().for_each(|name| reply.simple(name));
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let categories = spec.categories();
    reply.set(categories.names().count());
    categories.names().for_each(|name| reply.simple(&format!("@{name}")));
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(spec.key_specs.len());
    spec.key_specs.iter().for_each(|key_spec| write_key_spec(reply, key_spec));
    if spec.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| write_info(reply, sub));
    }
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    write_statuses(reply, spec.flags.names());
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_search(reply, "index", &[("index", index.into())]),
        Begin::Unknown => write_search(reply, "unknown", &[]),
        Begin::Keyword { keyword, from } => {
            reply.map(2);
            write_pair(reply, "type", "keyword");
            reply.bulk(b"spec");
            reply.map(2);
            write_pair(reply, "keyword", keyword);
            reply.bulk(b"startfrom");
            reply.integer(from.into());
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Unknown => write_search(reply, "unknown", &[]),
        Find::Range { last, step, limit } => {
            let fields =
                [("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())];
            write_search(reply, "range", &fields);
        }
        Find::Count { count, first, step } => {
            let fields =
                [("keynumidx", count.into()), ("firstkey", first.into()), ("keystep", step.into())];
            write_search(reply, "keynum", &fields);
        }
    }
}

fn write_search(reply: &mut Reply<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    write_pair(reply, "type", kind);
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::resp::Protocol;
    use crate::server::commands::TABLE;

    #[test]
    fn info_has_the_shape_that_redis_gives_it() {
        let mut bench = Bench::new();
        bench.settings.directory = TABLE.directory();
        bench.replies(
            "COMMAND INFO get none",
            "*2 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *1 *6 \
             $5 flags *2 +RO +access $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 \
             $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 \
             *0 $-1",
        );
        bench.protocol = Protocol::Resp3;
        bench.replies(
            "COMMAND INFO client|id Wait none",
            "*3 *10 $9 client|id :2 ~3 +noscript +loading +stale :0 :0 :0 ~2 +@slow +@connection \
             ~0 ~0 ~0 *10 $4 wait :3 ~1 +blocking :0 :0 :0 ~3 +@slow +@blocking +@connection ~2 \
             $25 request_policy:all_shards $23 response_policy:agg_min ~0 ~0 _",
        );
        bench.protocol = Protocol::Resp2;
        bench.replies("COMMAND INFO get|key config|get|key", "*2 $-1 $-1");
        let all = bench.line("COMMAND").reply;
        assert_eq!(all, bench.line("COMMAND INFO").reply);
        let count = bench.line("COMMAND COUNT").reply;
        assert_eq!(all[1..count.len()], count[1..]);
    }

    #[test]
    fn lists_can_be_filtered() {
        let mut bench = Bench::new();
        bench.settings.directory = TABLE.directory();
        bench.replies("COMMAND LIST FILTERBY PATTERN SET", "*1 $3 set");
        bench.replies("COMMAND LIST FILTERBY PATTERN cl*|H*", "*1 $11 client|help");
        bench.replies("COMMAND LIST FILTERBY aclcat none", "*0");
        bench.replies("COMMAND LIST FILTERBY MODULE any", "*0");
        let logs = "*5 $5 pfadd $7 pfcount $7 pfdebug $7 pfmerge $10 pfselftest";
        bench.replies("COMMAND LIST FILTERBY ACLCAT HYPERLOGLOG", logs);
        for bad in ["x", "FILTERBY PATTERN", "FILTERBY foo bar", "FILTERBY PATTERN a b"] {
            bench.replies(&format!("COMMAND LIST {bad}"), "-ERR syntax error");
        }
    }

    #[test]
    fn keys_of_requests() {
        let mut bench = Bench::new();
        bench.replies("COMMAND GETKEYS LCS a b", "*2 $1 a $1 b");
        bench.replies("COMMAND GETKEYS object encoding k", "*1 $1 k");
        for name in ["EVAL", "evalsha", "EVAL_RO", "EVALSHA_RO", "FCALL", "fcall_ro"] {
            bench.replies(&format!("COMMAND GETKEYS {name} x 2 a b c"), "*2 $1 a $1 b");
            bench.replies(&format!("COMMAND GETKEYS {name} x 0 c"), "*0");
            bench.replies(&format!("COMMAND INFO {name}"), "*1 $-1");
        }
        bench.replies("COMMAND GETKEYSANDFLAGS EVAL x 1 a", "*1 *2 $1 a *3 +RW +access +update");
        for (request, error) in [
            ("ping", "The command has no key arguments"),
            ("none a", "Invalid command specified"),
            ("lcs a", "Invalid number of arguments specified for command"),
        ] {
            for name in ["GETKEYS", "GETKEYSANDFLAGS"] {
                bench.replies(&format!("COMMAND {name} {request}"), &format!("-ERR {error}"));
            }
        }
    }
}
