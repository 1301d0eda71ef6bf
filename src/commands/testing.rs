//! A keyspace to run commands on: what they reply, and which effects they state.

use super::spec::Handler;
use super::store::Access;
use super::{Context, DATA, ExpiryMode, Settings, Store, Unit};
use crate::keyspace::Keyspace;
use crate::resp::request::Parsed;
use crate::resp::{Args, Output, OwnedArgs, Protocol, Reply, RequestLimits, RequestParser};
use crate::splitmix::SplitMix64;

/// A keyspace with 16 databases and one client.
pub struct Bench {
    pub keyspace: Keyspace,
    pub settings: Settings,
    pub protocol: Protocol,
    pub mode: ExpiryMode,
    pub db: usize,
    pub now_ms: i64,
    random: SplitMix64,
}

/// What a command has done.
pub struct Outcome {
    /// The reply's bytes.
    pub reply: Vec<u8>,
    /// The effects' bytes.
    pub effects: Vec<u8>,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            keyspace: Keyspace::new(16, (1, 2)),
            settings: Settings::default(),
            protocol: Protocol::Resp2,
            mode: ExpiryMode::Delete,
            db: 0,
            now_ms: 1_700_000_000_000,
            random: SplitMix64(0),
        }
    }

    /// Runs one command.
    pub fn run(&mut self, args: Args<'_>) -> Outcome {
        let mut unit = Unit::default();
        let mut reply = Output::default();
        let spec = match DATA.resolve(args) {
            Ok(spec) => spec,
            Err(error) => {
                Reply::new(&mut reply, self.protocol).error(error.bytes());
                return Outcome { reply: reply.to_vec(), effects: Vec::new() };
            }
        };
        let Handler::Data(run) = spec.handler else { panic!("{} is no data", spec.full_name) };
        let random = &mut self.random;
        let mut next_random = || random.next();
        let clock = Access::Lru((self.now_ms / 1000) as u32 & 0x00ff_ffff);
        let lfu = Access::Lfu {
            minutes: (self.now_ms / 60_000) as u16,
            random: 0,
            log_factor: self.settings.lfu_log_factor,
            decay_minutes: self.settings.lfu_decay_minutes,
        };
        let access = Some(if self.settings.lfu { lfu } else { clock });
        let store =
            Store::new(&mut self.keyspace, &mut unit, self.db, self.now_ms, self.mode, access);
        let mut ctx = Context {
            store,
            reply: Reply::new(&mut reply, self.protocol),
            settings: &self.settings,
            random: &mut next_random,
        };
        let result = run(&mut ctx, args);
        self.db = ctx.store.db;
        if let Err(error) = result {
            ctx.reply.truncate(0);
            ctx.reply.error(error.bytes());
            // Before it failed, it may have met keys whose time had come.
            let expired = |effect: &OwnedArgs| matches!(&effect.as_args()[0], b"DEL" | b"SELECT");
            assert!(parse_effects(&unit.effects).iter().all(expired), "{}", show_args(args));
        } else {
            assert!(
                !unit.touched_all && unit.touched.is_empty() || unit.effect_count > 0,
                "a change without effect: {}",
                show_args(args)
            );
        }
        Outcome { reply: reply.to_vec(), effects: unit.effects }
    }

    /// Runs a command line, quoted as for `redis-cli`.
    pub fn line(&mut self, line: &str) -> Outcome {
        let args = words(line);
        self.run(args.as_args())
    }

    /// Asserts that a command line has this reply; `expected` has blanks instead of line ends.
    #[track_caller]
    pub fn replies(&mut self, line: &str, expected: &str) {
        let reply = self.line(line).reply;
        let shown = String::from_utf8_lossy(&reply).replace("\r\n", " ");
        assert_eq!(shown.strip_suffix(' ').unwrap_or(&shown), expected, "{line}");
    }

    /// Asserts which effects a command line has: separated by `; `, those in another database than
    /// 0 with its number in front (`1> DEL a`).
    #[track_caller]
    pub fn effects(&mut self, line: &str, expected: &str) {
        let outcome = self.line(line);
        assert_eq!(show_effects(&outcome.effects), expected, "{line}");
    }
}

/// The arguments in a line.
pub fn words(line: &str) -> OwnedArgs {
    let mut buffer = format!("{line}\n").into_bytes();
    let mut ranges = Vec::new();
    let parsed =
        RequestParser::default().parse(&mut buffer, 0, &RequestLimits::default(), &mut ranges);
    assert!(matches!(parsed, Ok(Parsed::Request { .. })), "{line}");
    Args::new(&buffer, &ranges).to_owned()
}

/// The commands in a stream of effects.
pub fn parse_effects(bytes: &[u8]) -> Vec<OwnedArgs> {
    let mut bytes = bytes.to_vec();
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let mut ranges = Vec::new();
        let parsed =
            RequestParser::default().parse(&mut bytes, 0, &RequestLimits::default(), &mut ranges);
        let Ok(Parsed::Request { consumed }) = parsed else { panic!("effects are cut") };
        commands.push(Args::new(&bytes, &ranges).to_owned());
        bytes.drain(..consumed);
    }
    commands
}

/// A command in one line.
pub fn show_args(args: Args<'_>) -> String {
    let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    words.join(" ")
}

/// Effects in one line.
pub fn show_effects(bytes: &[u8]) -> String {
    let mut shown = Vec::new();
    let mut db = String::from("0");
    for command in parse_effects(bytes) {
        let text = show_args(command.as_args());
        match text.strip_prefix("SELECT ") {
            Some(selected) => db = selected.into(),
            None if db == "0" => shown.push(text),
            None => shown.push(format!("{db}> {text}")),
        }
    }
    shown.join("; ")
}
