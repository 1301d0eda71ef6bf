//! The keys of a source, to be walked more than once.

use crate::filter::Filter;
use crate::output::{Failure, Output};
use crate::source::{Contents, Source};
use mainstay::engine::Engine;
use mainstay::keyspace::Entry;

/// The keys that are asked for.
pub(super) struct Keys<'a> {
    source: &'a Source,
    filter: &'a Filter,
    output: &'a Output,
    /// What cannot be streamed is in memory, between two walks as well.
    held: Option<(Engine, Contents)>,
}

impl<'a> Keys<'a> {
    /// Those of `source`, which are loaded if they cannot be streamed.
    pub(super) fn new(
        source: &'a Source,
        filter: &'a Filter,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        let held = if source.is_streamed() { None } else { Some(source.load(output)?) };
        Ok(Self { source, filter, output, held })
    }

    /// Walks until `visit` says that it has seen enough.
    pub(super) fn any(&self, visit: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<bool, Failure> {
        if let Some((engine, _)) = &self.held {
            let guard = engine.lock();
            let mut databases = guard.keyspace().databases();
            return Ok(databases.any(|(db, database)| {
                database.iter().any(|entry| self.filter.takes(db as u32, entry) && visit(entry))
            }));
        }
        let mut found = false;
        self.source.keys(self.output, &mut |db, entry| {
            found = found || self.filter.takes(db, entry) && visit(entry);
            Ok(())
        })?;
        Ok(found)
    }

    /// Walks for the last time.
    pub(super) fn each(
        self,
        visit: &mut dyn FnMut(u32, Entry<'_>) -> Result<(), Failure>,
    ) -> Result<Contents, Failure> {
        let mut taken = |db, entry: Entry<'_>| {
            if self.filter.takes(db, entry) { visit(db, entry) } else { Ok(()) }
        };
        let Some((engine, contents)) = self.held else {
            return self.source.keys(self.output, &mut taken);
        };
        let guard = engine.lock();
        for (db, database) in guard.keyspace().databases() {
            database.iter().try_for_each(|entry| taken(db as u32, entry))?;
        }
        drop(guard);
        Ok(contents)
    }
}
