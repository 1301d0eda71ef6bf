//! `import`: a data directory of ours made of other sources.

use crate::filter::Filter;
use crate::output::{
    End, Failure, Output, bytes, count, counted, data_set_in, databases_needed, escaped, now_ms,
    write_data_set,
};
use crate::source::{Contents, Skipped, Source};
use clap::Args;
use mainstay::engine::Engine;
use mainstay::keyspace::Entry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Makes a data directory of RDB files, append-only files, and whatever else can be read
///
/// Sources are RDB files of any version, append-only files of any kind, directories of a Redis, and what is Mainstay's own. What
/// an unfinished write has left at the end of an append-only file is passed over, and said. Keys whose time has passed are left
/// out, and so are keys with empty values, which servers of old have written.
///
/// The directory is new or empty, DIR itself if its name is 'mainstay', otherwise 'mainstay' in DIR: so a server with 'dir DIR'
/// starts on it. It is written whole or not at all.
///
/// All keys are held in memory, and while a second or later source that is not an RDB file or a base is read, what it holds as well.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// What to read, one behind the other; - is the standard input
    #[arg(value_name = "PATH", required = true)]
    sources: Vec<PathBuf>,
    /// Where to write
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// A key, or a library of functions, that comes again takes the place of the one before; otherwise it is refused
    #[arg(long)]
    replace: bool,
    /// Keys with values of modules are left out and counted; otherwise they are refused
    #[arg(long)]
    skip_modules: bool,
}

const HELP: &str = "\
Examples:
  mainstay-tool import /var/lib/redis --into /var/lib/mainstay
  mainstay-tool import dump.rdb --into /srv/data --db 0 --match 'user:*'
  mainstay-tool import users.rdb sessions.aof --into /srv/data --replace
  zcat dump.rdb.gz | mainstay-tool import - --into /srv/data

Exit codes:
  0  the directory is there, whole
  2  there is none";

/// What was done.
#[derive(Default, Serialize)]
struct Report {
    into: PathBuf,
    keys: u64,
    functions: u64,
    bytes: u64,
    keys_by_type: BTreeMap<&'static str, u64>,
    replaced: u64,
    skipped: Left,
    remarks: Vec<String>,
}

/// What was left out.
#[derive(Default, Serialize)]
struct Left {
    expired: u64,
    filtered: u64,
    #[serde(flatten)]
    unkept: Skipped,
}

impl Left {
    /// With the reasons, for people.
    fn named(&self) -> impl Iterator<Item = String> {
        let chosen = [
            (self.expired, "key whose time has passed", "keys whose time has passed"),
            (self.filtered, "key that was not asked for", "keys that were not asked for"),
        ];
        let chosen = chosen.into_iter().filter(|(number, ..)| *number > 0);
        let chosen = chosen.map(|(number, one, many)| counted(number, one, many));
        chosen.chain(self.unkept.named())
    }
}

/// What is being made.
struct Import<'a> {
    arguments: &'a Arguments,
    output: &'a Output,
    now_ms: i64,
    report: Report,
}

/// Does it.
pub fn run(arguments: &Arguments, output: &Output) -> Result<End, Failure> {
    let place = data_set_in(&arguments.into)?;
    let report = Report { into: arguments.into.clone(), ..Report::default() };
    let mut import = Import { arguments, output, now_ms: now_ms(), report };
    let mut engine = None;
    for path in &arguments.sources {
        let source = Source::open(path)?;
        let name = path.display().to_string();
        match &engine {
            None => engine = Some(import.first(&source, &name)?),
            Some(engine) => import.next(&source, &name, engine)?,
        }
    }
    let Some(engine) = engine else { return Err(Failure::new("there is no source")) };
    let mut report = import.report;
    let guard = engine.lock();
    for (_, database) in guard.keyspace().databases() {
        report.keys += database.len() as u64;
        for entry in database.iter() {
            *report.keys_by_type.entry(entry.value().type_name()).or_default() += 1;
        }
    }
    report.functions = guard.functions().len() as u64;
    drop(guard);
    report.remarks.extend(databases_needed(&engine));
    report.bytes = write_data_set(&engine, place)?;
    report.remarks.iter().for_each(|remark| output.remark(remark));
    show(&report, output)?;
    Ok(End::Good)
}

impl Import<'_> {
    /// What the first source holds is what the others come to.
    fn first(&mut self, source: &Source, name: &str) -> Result<Engine, Failure> {
        let (engine, contents) = source.load(self.output)?;
        let (filter, now_ms, left) =
            (&self.arguments.filter, self.now_ms, &mut self.report.skipped);
        engine.lock().retain(&mut |db, entry| keep(filter, now_ms, left, db, entry));
        self.besides(contents, name)?;
        Ok(engine)
    }

    fn next(&mut self, source: &Source, name: &str, engine: &Engine) -> Result<(), Failure> {
        let replace = self.arguments.replace;
        let mut guard = engine.lock();
        let hasher = guard.keyspace().hasher();
        let databases = guard.keyspace().database_count();
        let (filter, now_ms) = (&self.arguments.filter, self.now_ms);
        let (left, replaced) = (&mut self.report.skipped, &mut self.report.replaced);
        let contents = source.keys(self.output, &mut |db, entry| {
            if !keep(filter, now_ms, left, db, entry) {
                return Ok(());
            }
            let index = db as usize;
            if index >= databases {
                let text = format!("{name}: database {db} is beyond the {databases} that there are");
                return Err(Failure::new(text));
            }
            let (key, value) = (entry.key(), entry.value().to_new());
            let found = guard.keyspace().database(index).find(hasher.hash(key), key).is_some();
            if found && !replace {
                return Err(Failure::new(format_args!(
                    "{name}: key '{}' of database {db} has come before, and --replace was not given",
                    escaped(key)
                )));
            }
            *replaced += u64::from(found);
            guard.put(index, key, value, entry.expiry_ms(), replace);
            Ok(())
        })?;
        for source in &contents.functions {
            let put = guard.put_function(source, replace);
            put.map_err(|error| Failure::new(format_args!("{name}: {error}")))?;
        }
        drop(guard);
        self.besides(contents, name)
    }

    /// What a source holds besides keys.
    fn besides(&mut self, contents: Contents, name: &str) -> Result<(), Failure> {
        if contents.skipped.module_keys > 0 && !self.arguments.skip_modules {
            return Err(Failure::new(format_args!(
                "{name}: {}, which cannot be kept (--skip-modules leaves them out)",
                contents.skipped.modules_have_values()
            )));
        }
        self.report.skipped.unkept.add(contents.skipped);
        self.report.remarks.extend(contents.remarks);
        Ok(())
    }
}

/// Whether a key is wanted; counts it otherwise.
fn keep(filter: &Filter, now_ms: i64, left: &mut Left, db: u32, entry: Entry<'_>) -> bool {
    if !filter.takes(db, entry) {
        left.filtered += 1;
        return false;
    }
    let expired = entry.expiry_ms().is_some_and(|at| at < now_ms);
    left.expired += u64::from(expired);
    !expired
}

fn show(report: &Report, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(report);
    }
    output.line(format_args!(
        "{}: {}, {}, {}",
        report.into.display(),
        counted(report.keys, "key", "keys"),
        counted(report.functions, "function library", "function libraries"),
        bytes(report.bytes)
    ))?;
    for (kind, keys) in &report.keys_by_type {
        output.line(format_args!("  {kind}: {}", count(*keys)))?;
    }
    if report.replaced > 0 {
        output.line(format_args!("  replaced by later ones: {}", count(report.replaced)))?;
    }
    report.skipped.named().try_for_each(|what| output.line(format_args!("left out: {what}")))
}
