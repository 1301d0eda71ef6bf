//! Moving expiry times, all at once: for a data set of an earlier moment that is to go on now.

use super::Guard;
use crate::data::{Hash, Value};
use crate::keyspace::entry::Collection;
use crate::keyspace::{Entry, Keyspace};

/// So many keys are looked at before those of them that expire are changed.
const SCAN_KEYS: usize = 256;

/// Whether the key or a field of it has an expiry time.
fn expires(entry: Entry<'_>) -> bool {
    let has_field = match entry.value() {
        Value::Hash(hash) => hash.next_expiry_ms().is_some(),
        _ => false,
    };
    has_field || entry.expiry_ms().is_some()
}

impl Guard<'_> {
    /// Moves the expiry times of all keys, and of all fields of hashes, by `delta_ms`.
    ///
    /// # Panics
    /// If there is a log, which would not know of it.
    pub fn shift_expiries(&mut self, delta_ms: i64) {
        self.assert_no_log();
        let keyspace = &mut self.state.keyspace;
        for db in 0..keyspace.database_count() {
            if keyspace.database(db).may_expire() {
                shift_database(keyspace, db, delta_ms);
            }
        }
    }
}

fn shift_database(keyspace: &mut Keyspace, db: usize, delta_ms: i64) {
    let hasher = keyspace.hasher();
    let (mut cursor, mut names) = (0, Vec::new());
    loop {
        // Nothing comes, goes or moves meanwhile, so each key is met once.
        cursor = keyspace.database(db).scan(cursor, SCAN_KEYS, |entry| {
            if expires(entry) {
                names.push((entry.key().to_vec(), entry.expiry_ms()));
            }
        });
        let database = keyspace.database_mut(db);
        for (name, expiry_ms) in names.drain(..) {
            let hash = hasher.hash(&name);
            if let Some(at) = expiry_ms {
                database.set_expiry(hash, &name, Some(at.saturating_add(delta_ms)));
            }
            if let Some(fields) = database.find_mut(hash, &name).and_then(Hash::of_mut)
                && fields.next_expiry_ms().is_some()
            {
                fields.shift_expiries(delta_ms);
                database.note_field_expiry(hash, &name);
            }
        }
        if cursor == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recovery_tests::settings;
    use super::super::{Engine, Machine};
    use super::*;
    use crate::resp::Output;
    use crate::session::Client;

    use crate::commands::testing::words;
    use crate::disk::SimDisk;
    use crate::env::{SimClock, seeded_random};

    use std::sync::Arc;

    const NOW_MS: i64 = 1_700_000_000_000;

    /// Key, encoding, the key's expiry time, and those of its fields.
    type Line = (String, &'static str, Option<i64>, Vec<(Vec<u8>, Option<i64>)>);

    fn lines(engine: &Engine) -> Vec<Line> {
        let (guard, mut lines) = (engine.lock(), Vec::new());
        for entry in guard.keyspace().databases().flat_map(|(_, database)| database.iter()) {
            let mut fields: Vec<_> = match entry.value() {
                Value::Hash(hash) => {
                    hash.iter().map(|field| (field.name.to_vec(), field.expiry_ms)).collect()
                }
                _ => Vec::new(),
            };
            fields.sort();
            let key = String::from_utf8_lossy(entry.key()).into_owned();
            lines.push((key, entry.value().encoding_name(), entry.expiry_ms(), fields));
        }
        lines.sort();
        lines
    }

    fn expire(engine: &Engine) {
        while engine.lock().expire_slice() {}
    }

    #[test]
    fn all_encodings_are_moved_and_expire_when_they_should() {
        let clock = SimClock::new(NOW_MS);
        let machine = Machine {
            disk: Arc::new(SimDisk::new()),
            clock: clock.clone(),
            random: Arc::new(|| seeded_random(1)),
        };
        let engine = Engine::in_memory(machine, 4, settings());
        let many: String = (0..40).map(|n| format!(" f{n} v{n}")).collect();
        let mut commands = vec![
            "SET plain x".to_owned(),
            format!("SET number 5 PXAT {}", NOW_MS + 1000),
            format!("SET text abc PXAT {}", NOW_MS + 2000),
            format!("SET long {} PXAT {}", "x".repeat(3000), NOW_MS + 3000),
            "SELECT 3".to_owned(),
            "HSET pairs a 1 b 2".to_owned(),
            "HSET triples a 1 b 2 c 3".to_owned(),
            format!("HPEXPIREAT triples {} FIELDS 1 b", NOW_MS + 1500),
            format!("HPEXPIREAT triples {} FIELDS 1 a", NOW_MS + 2500),
            format!("HSET table{many}"),
            format!("HPEXPIREAT table {} FIELDS 1 f7", NOW_MS + 1700),
            format!("HPEXPIREAT table {} FIELDS 2 f8 f9", NOW_MS + 2700),
            format!("PEXPIREAT table {}", NOW_MS + 9000),
        ];
        let collections = [
            ("RPUSH", "list", "a b c d e f g h"),
            ("SADD", "set", "a b c d e f g"),
            ("ZADD", "zset", "1 a 2 b 3 c 4 d 5 e"),
            ("XADD", "stream", "1-1 a b"),
        ];
        for (command, key, elements) in collections {
            commands.push(format!("{command} {key} {elements}"));
            commands.push(format!("PEXPIREAT {key} {}", NOW_MS + 4000));
        }
        let mut client = Client::default();
        for line in &commands {
            let (args, mut reply) = (words(line), Output::default());
            client.execute(&mut engine.lock(), args.as_args(), &mut reply);
            let reply = reply.to_vec();
            assert_ne!(reply[0], b'-', "{line}: {}", String::from_utf8_lossy(&reply));
        }
        let before = lines(&engine);
        let encodings: Vec<_> = before.iter().map(|line| (&*line.0, line.1)).collect();
        assert!(encodings.contains(&("triples", "listpackex")), "{encodings:?}");
        assert!(encodings.contains(&("table", "hashtable")), "{encodings:?}");

        const DELTA_MS: i64 = 86_400_000;
        engine.lock().shift_expiries(DELTA_MS);
        let moved = |at: Option<i64>| at.map(|at| at + DELTA_MS);
        let expected: Vec<Line> = before
            .iter()
            .cloned()
            .map(|(key, encoding, expiry, fields)| {
                let fields = fields.into_iter().map(|(name, at)| (name, moved(at))).collect();
                (key, encoding, moved(expiry), fields)
            })
            .collect();
        assert_eq!(lines(&engine), expected);

        // What was due before the shift is not, and is when its new time has come.
        clock.advance_us(10_000_000);
        expire(&engine);
        assert_eq!(lines(&engine), expected);
        clock.advance_us((DELTA_MS as u64 - 10_000 + 2_600) * 1000);
        expire(&engine);
        let left: Vec<_> = lines(&engine)
            .into_iter()
            .map(|(key, _, _, fields)| format!("{key} {}", fields.len()))
            .collect();
        let expected = [
            "list 0",
            "long 0",
            "pairs 2",
            "plain 0",
            "set 0",
            "stream 0",
            "table 39",
            "triples 1",
            "zset 0",
        ];
        assert_eq!(left, expected);

        // Back, and further than times go.
        engine.lock().shift_expiries(-DELTA_MS);
        engine.lock().shift_expiries(i64::MIN);
        expire(&engine);
        let left: Vec<_> = lines(&engine).into_iter().map(|line| line.0).collect();
        assert_eq!(left, ["pairs", "plain", "triples"]);
    }
}
