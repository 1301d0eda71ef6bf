//! Logs that end too early, and logs with a bit flipped.

use super::crash::{Crash, write_on};
use super::world::{Config, Model, World, clock, digest, dir, execute, open};
use super::{in_parallel, scaled};
use mainstay::commands::Settings;
use mainstay::disk::{Disk, SimDisk};
use mainstay::engine::{Engine, Machine};
use mainstay::env::seeded_random;
use mainstay::log::frame::{FrameHeader, FrameKind};
use mainstay::log::manifest::{self, Manifest};
use mainstay::log::reader::FrameReader;
use mainstay::log::{Durability, OpenError, Options, segment};
use mainstay::rdb::blocks::{Block, read_index};
use mainstay::session::Client;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many commands and transactions the log holds that is damaged here.
const UNITS: usize = 200;

/// A log whose last segment is damaged, and what it must hold.
struct Damaged {
    config: Config,
    model: Model,
    /// As the process left it.
    disk: SimDisk,
    path: PathBuf,
    bytes: Vec<u8>,
    frames: Vec<(u64, FrameHeader)>,
}

impl Damaged {
    fn of(world: &World) -> Self {
        let disk = world.disk.snapshot().after_kill();
        let manifest = Manifest::load(&disk, dir()).unwrap();
        let last = manifest.segments.last().unwrap();
        let path = dir().join(segment::segment_name(last.sequence));
        let bytes = disk.contents(&path).unwrap();
        let frames = frames(&disk, &path, last.identity.seed());
        let model = world.model.lock().clone();
        assert_eq!(frames.last().unwrap().1.end_lsn(), model.lsn());
        Self { config: world.config.clone(), model, disk, path, bytes, frames }
    }

    /// Where the last frame ends.
    fn end(&self) -> u64 {
        let (at, header) = self.frames.last().unwrap();
        at + header.frame_bytes()
    }

    /// The frame that the byte at `offset` belongs to.
    fn frame_at(&self, offset: u64) -> (u64, FrameHeader) {
        let index = self.frames.partition_point(|(at, _)| *at <= offset);
        self.frames[index - 1]
    }

    /// The same data set with other bytes in the segment.
    fn with(&self, bytes: &[u8]) -> SimDisk {
        let disk = self.disk.snapshot().after_kill();
        disk.put(&self.path, bytes);
        disk
    }

    fn with_flipped(&self, bit: u64) -> SimDisk {
        let mut bytes = self.bytes.clone();
        bytes[bit as usize / 8] ^= 1 << (bit % 8);
        self.with(&bytes)
    }

    fn open(&self, disk: &SimDisk) -> Result<(Engine, mainstay::log::Recovery), OpenError> {
        open(disk, &clock(), self.config.options(), 99)
    }

    /// Asserts that `disk` is refused, with a message that has all of `named`, and left alone.
    fn refused(&self, disk: &SimDisk, what: &str, named: &[&str]) -> OpenError {
        let Err(error) = self.open(disk) else { panic!("{what}: not refused") };
        let text = error.to_string();
        for part in named {
            assert!(text.contains(part), "{what}: '{part}' is not in '{text}'");
        }
        assert_eq!(disk.operations(), 0, "{what}: the disk was changed");
        error
    }

    /// Asserts that damage at byte `offset` is found where it is, and that every other frame can still
    /// be read.
    fn refused_at(&self, disk: &SimDisk, offset: u64, what: &str) {
        let name = self.path.to_str().unwrap();
        if offset < FrameReader::FIRST_OFFSET {
            self.refused(disk, what, &[name, "offset 0", "LSN 0"]);
        } else {
            let (at, header) = self.frame_at(offset);
            let (at_text, lsn) = (format!("offset {at}"), format!("LSN {} ", header.lsn));
            let error = self.refused(disk, what, &[name, &at_text, &lsn]);
            let OpenError::Corrupt { lsn, lsn_end, .. } = error else { panic!("{what}: {error}") };
            assert!(lsn == header.lsn && lsn_end >= header.end_lsn(), "{what}: to {lsn_end}");
            let manifest = Manifest::load(disk, dir()).unwrap();
            let identity = manifest.segments.last().unwrap().identity;
            let left = frames(disk, &self.path, identity.seed());
            let mut expected = self.frames.clone();
            expected.retain(|(other, _)| *other != at);
            assert_eq!(left, expected, "{what}: frames that can be saved");
        }
    }
}

/// The frames of a segment that can be read, one by one.
fn frames(disk: &SimDisk, path: &Path, seed: u32) -> Vec<(u64, FrameHeader)> {
    frames_from(disk, path, seed, FrameReader::FIRST_OFFSET)
}

/// The frames of a file that can be read, the first at `from` or behind it.
fn frames_from(disk: &SimDisk, path: &Path, seed: u32, mut from: u64) -> Vec<(u64, FrameHeader)> {
    let file = disk.open(path).unwrap();
    let end = file.len().unwrap();
    let mut reader = FrameReader::new(file, end, seed);
    let mut found = Vec::new();
    let mut raw = Vec::new();
    while let Some((at, header)) = reader.find_header(from) {
        if reader.frame(at, &mut raw).is_ok() {
            found.push((at, header));
        }
        from = at + header.frame_bytes();
    }
    found
}

fn config(durability: Durability) -> Config {
    Config { segment_bytes: 128 << 10, value_bytes_max: 16, ..Config::new(21, durability) }
}

/// A log whose server was killed when everything was durable and the last marker written.
fn killed() -> Damaged {
    let mut world = World::new(config(Durability::Always));
    world.run(UNITS);
    world.sync();
    let killed = Damaged::of(&world);
    assert_eq!(killed.frames.last().unwrap().1.kind, FrameKind::Marker);
    killed
}

fn closed() -> Damaged {
    let mut world = World::new(config(Durability::Always));
    world.run(UNITS);
    world.close().unwrap();
    let closed = Damaged::of(&world);
    assert_eq!(closed.bytes.len() as u64, closed.end());
    closed
}

/// Every `every`-th number, in another place of each group.
fn sampled(range: std::ops::Range<u64>, every: u64) -> Vec<u64> {
    let mut random = seeded_random(range.end);
    let groups = range.clone().step_by(every as usize);
    groups.map(|n| (n + random() % every).min(range.end - 1)).collect()
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[test]
fn a_killed_log_cut_anywhere_starts_with_a_prefix_and_says_what_was_behind() {
    let log = killed();
    let written = log.end();
    let mut lens = sampled(FrameReader::FIRST_OFFSET..written, scaled(20, 1));
    // The borders between frames are the places where nothing is left to be noticed.
    lens.extend(log.frames.iter().map(|(at, _)| *at));
    in_parallel(&lens, |&len| {
        for padded in [false, true] {
            let mut bytes = log.bytes[..len as usize].to_vec();
            if padded {
                bytes.resize(log.bytes.len(), 0);
            }
            let what = format!("cut at {len}, padded: {padded}");
            let is_whole = |(at, header): &&(u64, FrameHeader)| {
                let end = at + header.frame_bytes();
                end <= len || padded && is_zero(&log.bytes[len as usize..end as usize])
            };
            let whole = log.frames.iter().take_while(is_whole).last();
            let (end, lsn) = match whole {
                Some((at, header)) => (at + header.frame_bytes(), header.end_lsn()),
                None => (FrameReader::FIRST_OFFSET, 0),
            };
            let disk = log.with(&bytes);
            let (engine, recovery) =
                log.open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(recovery.lsn, lsn, "{what}");
            let found = digest(engine.lock().keyspace());
            assert_eq!(log.model.digest_at(lsn), Some(found), "{what}");
            let behind = bytes.get(end as usize..).unwrap_or_default();
            match &recovery.cut {
                None => assert!(is_zero(behind), "{what}: a cut that nobody was told of"),
                Some(cut) => {
                    let count = 1 + behind.iter().rposition(|&byte| byte != 0).unwrap();
                    assert_eq!(log.path.file_name().unwrap().to_str(), Some(&*cut.file), "{what}");
                    assert_eq!((cut.offset, cut.lsn), (end, lsn), "{what}");
                    assert_eq!(cut.bytes, count as u64, "{what}");
                    assert!(cut.frames <= 1, "{what}");
                    let aside = disk.contents(cut.set_aside.as_ref().unwrap()).unwrap();
                    assert_eq!(aside, behind[..count], "{what}");
                    let timeline = engine.log().unwrap().timeline();
                    assert_eq!(timeline.begin_lsn, lsn, "{what}: a new history begins here");
                }
            }
            write_on(&log.model, &log.config, disk, engine, lsn, 1 << 50, &what);
        }
    });
    // The header is known to have been durable: without it the log is refused.
    for len in sampled(0..FrameReader::FIRST_OFFSET, scaled(50, 1)) {
        let mut bytes = log.bytes[..len as usize].to_vec();
        let name = log.path.to_str().unwrap();
        log.refused(&log.with(&bytes), &format!("cut at {len}"), &[name, "offset 0", "LSN 0"]);
        bytes.resize(log.bytes.len(), 0);
        log.refused(&log.with(&bytes), &format!("zero from {len}"), &[name, "offset 0", "LSN 0"]);
    }
}

#[test]
fn a_closed_log_whose_end_is_missing_is_refused() {
    let log = closed();
    let lens = sampled(0..log.bytes.len() as u64, scaled(10, 1));
    in_parallel(&lens, |&len| {
        let mut bytes = log.bytes[..len as usize].to_vec();
        let named = [log.path.to_str().unwrap(), "offset", "LSN"];
        log.refused(&log.with(&bytes), &format!("closed, cut at {len}"), &named);
        if !is_zero(&log.bytes[len as usize..]) {
            bytes.resize(log.bytes.len(), 0);
            log.refused(&log.with(&bytes), &format!("closed, zero from {len}"), &named);
        }
    });
}

#[test]
fn every_flipped_bit_in_a_closed_log_is_found() {
    let log = closed();
    let bits = sampled(0..8 * log.bytes.len() as u64, scaled(40, 1));
    in_parallel(&bits, |&bit| {
        log.refused_at(&log.with_flipped(bit), bit / 8, &format!("closed, bit {bit}"));
    });
}

#[test]
fn every_flipped_bit_below_the_last_marker_of_a_killed_log_is_found() {
    let log = killed();
    let (marker, _) = *log.frames.last().unwrap();
    let bits = sampled(0..8 * marker, scaled(40, 1));
    in_parallel(&bits, |&bit| {
        log.refused_at(&log.with_flipped(bit), bit / 8, &format!("killed, bit {bit}"));
    });
    // In the marker or behind it nothing is lost, and it is not passed over either.
    for bit in sampled(8 * marker..8 * log.bytes.len() as u64, scaled(400, 7)) {
        let disk = log.with_flipped(bit);
        let (_, recovery) = log.open(&disk).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        assert_eq!(recovery.lsn, log.model.lsn(), "bit {bit}");
        assert!(recovery.cut.is_some(), "bit {bit}");
    }
}

#[test]
fn damage_to_what_was_not_durable_yet_is_reported_as_a_cut() {
    let config = Config { long_syncs: false, ..config(Durability::EverySec) };
    let mut world = World::new(config);
    world.run(UNITS / 2);
    world.sync();
    let durable = world.log.durable_lsn();
    // So quickly that no sync comes in between.
    while world.model.lock().units.len() < UNITS {
        world.next_batch(0);
        world.log.drain();
        world.deliver();
    }
    assert_eq!(world.log.durable_lsn(), durable);
    let log = Damaged::of(&world);
    let start = log.frames.iter().find(|(_, header)| header.lsn == durable).unwrap().0;
    let first = log.frames.iter().find(|(_, h)| h.lsn == durable && h.raw_bytes > 0).unwrap().0;
    assert!(start <= first);
    in_parallel(&sampled(8 * first..8 * log.end(), scaled(160, 4)), |&bit| {
        let (at, header) = log.frame_at(bit / 8);
        let disk = log.with_flipped(bit);
        let (engine, recovery) = log.open(&disk).unwrap_or_else(|e| panic!("bit {bit}: {e}"));
        let cut = recovery.cut.unwrap_or_else(|| panic!("bit {bit}: dropped in silence"));
        assert_eq!((cut.offset, cut.lsn), (at, header.lsn), "bit {bit}");
        assert_eq!((recovery.lsn, cut.bytes > 0), (header.lsn, true), "bit {bit}");
        assert_eq!(log.model.digest_at(cut.lsn), Some(digest(engine.lock().keyspace())));
        let behind = log.frames.iter().filter(|(other, _)| *other > at).count() as u64;
        assert!(cut.frames == behind || cut.frames == behind + 1, "bit {bit}: {cut:?}");
        // The frames behind the damage are sound and would go on where the next unit ends.
        write_on(&log.model, &log.config, disk, engine, cut.lsn, 1 << 50, &format!("bit {bit}"));
    });
}

#[test]
fn what_a_start_or_a_heal_has_secured_is_acknowledged_data() {
    let config = config(Durability::EverySec);
    let started = {
        let mut world = World::new(config.clone());
        while world.model.lock().units.len() < 50 {
            world.next_batch(0);
            world.log.drain();
            world.deliver();
        }
        assert_eq!(world.log.durable_lsn(), 0);
        let model = world.model.lock().clone();
        let disk = Crash::Kill.disk(&world.disk.snapshot());
        let (engine, recovery) = open(&disk, &world.clock, config.options(), 3).unwrap();
        assert!(recovery.unclean.unwrap().secured_bytes > 0);
        World::with(config.clone(), disk, world.clock.clone(), engine, model)
    };
    let healed = {
        let mut world = World::new(config);
        world.run(50);
        world.sync();
        while world.model.lock().units.len() < 60 {
            world.next_batch(0);
        }
        let mut fails = true;
        world.disk.inject(move |operation| {
            let is_sync = matches!(operation, mainstay::disk::sim::Operation::Sync(_));
            (is_sync && std::mem::take(&mut fails)).then(|| std::io::Error::other("injected"))
        });
        while world.log.stats().failures == 0 {
            world.pass(100_000);
        }
        world.settle();
        world
    };
    for (name, world) in [("start", started), ("heal", healed)] {
        let log = Damaged::of(&world);
        let (marker, header) = *log.frames.last().unwrap();
        assert_eq!(header.kind, FrameKind::Marker, "{name}");
        let bits = sampled(8 * FrameReader::FIRST_OFFSET..8 * marker, 40);
        for bit in bits {
            let disk = log.with_flipped(bit);
            log.refused(&disk, &format!("{name}, bit {bit}"), &["acknowledged data is damaged"]);
        }
    }
}

/// A data set with a base and several segments.
fn with_base() -> (Config, SimDisk, Manifest) {
    let (disk, clock) = (SimDisk::new(), clock());
    let machine = Machine {
        disk: Arc::new(disk.clone()),
        clock: clock.clone(),
        random: Arc::new(|| seeded_random(1)),
    };
    let config = Config::new(22, Durability::Always);
    let databases = super::world::DATABASES;
    let engine = Engine::in_memory(machine, databases, Settings::default());
    let mut session = Client::default();
    for number in 0..40 {
        let mut guard = engine.lock();
        execute(&mut guard, &mut session, &["SELECT", &(number % 3).to_string()]);
        execute(&mut guard, &mut session, &["SET", &format!("base{number}"), "value"]);
    }
    let options = Options { segment_bytes: 8 << 10, ..config.options() };
    engine.lock().begin_log(dir(), options).unwrap();
    let log = engine.log().unwrap();
    for number in 0..120 {
        let value = "v".repeat(100);
        execute(&mut engine.lock(), &mut session, &["SET", &format!("later{number}"), &value]);
        log.drain();
        while log.next_action() != mainstay::log::Action::Wait(None) {
            match log.next_action() {
                mainstay::log::Action::Drain => log.drain(),
                mainstay::log::Action::Roll => log.roll(),
                _ => {
                    let ticket = log.begin_sync();
                    let result = ticket.sync();
                    log.finish_sync(ticket, result);
                }
            }
        }
    }
    let disk = Crash::Kill.disk(&disk.snapshot());
    let manifest = Manifest::load(&disk, dir()).unwrap();
    assert!(manifest.base.is_some() && manifest.segments.len() > 3);
    let (engine, _) = open(&disk.snapshot().after_kill(), &clock, config.options(), 1).unwrap();
    let guard = engine.lock();
    let keys: usize = guard.keyspace().databases().map(|(_, database)| database.len()).sum();
    assert_eq!(keys, 160);
    (config, disk, manifest)
}

/// The error of a start from `disk`, which it must leave alone.
fn refusal(disk: &SimDisk, config: &Config, what: &str) -> String {
    let Err(error) = open(disk, &clock(), config.options(), 1) else {
        panic!("{what}: not refused");
    };
    assert_eq!(disk.operations(), 0, "{what}: the disk was changed");
    error.to_string()
}

#[test]
fn a_damaged_manifest_is_refused_by_name() {
    let (config, disk, _) = with_base();
    let path = dir().join(manifest::NAME);
    let bytes = disk.contents(&path).unwrap();
    let snapshot = disk.snapshot();
    let refused = |bytes: &[u8], what: &str| {
        let disk = snapshot.after_kill();
        disk.put(&path, bytes);
        let text = refusal(&disk, &config, what);
        assert!(text.contains(path.to_str().unwrap()), "{what}: {text}");
    };
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        refused(&damaged, &format!("bit {bit}"));
    }
    for len in 0..bytes.len() {
        refused(&bytes[..len], &format!("cut at {len}"));
    }
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let (config, disk, manifest) = with_base();
    let without = |name: &str| {
        let disk = disk.snapshot().after_kill();
        disk.remove(&dir().join(name)).unwrap();
        let disk = disk.snapshot().after_kill();
        refusal(&disk, &config, name)
    };
    for name in manifest.names() {
        let text = without(&name);
        assert!(text.contains(&name) && text.contains("LSN"), "{name}: {text}");
    }
    let text = without(manifest::NAME);
    let base = segment::base_name(manifest.base.unwrap().sequence);
    assert!(text.contains("the manifest is missing") && text.contains(&base), "{text}");
}

#[test]
fn every_flipped_bit_in_any_file_of_a_data_set_is_found() {
    let (config, disk, manifest) = with_base();
    for name in manifest.names() {
        let path = dir().join(&name);
        let bytes = disk.contents(&path).unwrap();
        let open_segment = manifest.segments.last().unwrap();
        let end = if name == segment::segment_name(open_segment.sequence) {
            // Up to its last marker.
            frames(&disk, &path, open_segment.identity.seed()).last().unwrap().0
        } else {
            let sealed =
                manifest.segments.iter().find(|s| segment::segment_name(s.sequence) == name);
            let end = sealed.and_then(|segment| segment.end).map(|end| end.bytes);
            end.unwrap_or(bytes.len() as u64)
        };
        let bits = sampled(0..8 * end, scaled(60, 1));
        in_parallel(&bits, |&bit| {
            let mut damaged = bytes.clone();
            damaged[bit as usize / 8] ^= 1 << (bit % 8);
            let disk = disk.snapshot().after_kill();
            disk.put(&path, &damaged);
            let text = refusal(&disk, &config, &format!("{name}, bit {bit}"));
            let named = [path.to_str().unwrap(), "offset ", "LSN "];
            assert!(named.iter().all(|part| text.contains(part)), "{name}, bit {bit}: {text}");
        });
    }
}

/// A data set whose base is what a compaction made: a preamble of several blocks, and frames behind it.
struct Compacted {
    config: Config,
    disk: SimDisk,
    path: PathBuf,
    bytes: Vec<u8>,
    blocks: Vec<Block>,
    index_offset: u64,
    preamble_bytes: u64,
    header_offset: u64,
    frames: Vec<(u64, FrameHeader)>,
}

impl Compacted {
    fn new() -> Self {
        let mut world = World::new(config(Durability::Always));
        world.run(40);
        let begun = world.begin_snapshot();
        let compacted = world.compact_with(&begun, |world| {
            let units = world.model.lock().units.len();
            world.run(units + 2);
            world.settle();
            world.engine.lock().save_slice(0);
        });
        compacted.unwrap();
        let units = world.model.lock().units.len();
        world.run(units + 10);
        world.sync();
        let disk = world.disk.snapshot().after_kill();
        let line = Manifest::load(&disk, dir()).unwrap().base.unwrap();
        let path = dir().join(segment::base_name(line.sequence));
        let bytes = disk.contents(&path).unwrap();
        assert_eq!(bytes.len() as u64, line.bytes);
        let header_offset = segment::frames_header_offset(line.preamble_bytes);
        let first = header_offset + segment::HEADER_BYTES as u64;
        let header = segment::SegmentHeader::decode(&bytes[header_offset as usize..first as usize]);
        let index_offset = header.unwrap().preamble.unwrap().index_offset;
        let tail = &bytes[index_offset as usize..line.preamble_bytes as usize];
        let blocks = read_index(tail, index_offset).unwrap();
        let frames = frames_from(&disk, &path, line.identity.seed(), first);
        assert!(blocks.len() > 3 && frames.len() > 3 && line.preamble_bytes < header_offset);
        let (config, preamble_bytes) = (world.config.clone(), line.preamble_bytes);
        Self {
            config,
            disk,
            path,
            bytes,
            blocks,
            index_offset,
            preamble_bytes,
            header_offset,
            frames,
        }
    }

    fn block(&self, index: usize) -> std::ops::Range<usize> {
        let end = self.blocks.get(index + 1).map_or(self.index_offset, |next| next.offset);
        self.blocks[index].offset as usize..end as usize
    }

    /// Where the part begins that the byte at `offset` belongs to, and that an error is to name.
    fn part_at(&self, offset: u64) -> u64 {
        if offset < self.index_offset {
            let index = self.blocks.partition_point(|block| block.offset <= offset);
            self.blocks[index - 1].offset
        } else if offset < self.preamble_bytes {
            self.index_offset
        } else if offset < self.header_offset {
            offset
        } else if offset < self.header_offset + segment::HEADER_BYTES as u64 {
            self.header_offset
        } else {
            self.frames[self.frames.partition_point(|(at, _)| *at <= offset) - 1].0
        }
    }

    /// Asserts that a start refuses such a base, names it and one of `offsets`, and changes nothing.
    fn refused(&self, bytes: &[u8], offsets: &[u64], what: &str) {
        let disk = self.disk.snapshot().after_kill();
        disk.put(&self.path, bytes);
        let text = refusal(&disk, &self.config, what);
        let places = offsets.iter().map(|at| format!("{}, offset {at}: ", self.path.display()));
        let is_named = places.into_iter().any(|place| text.contains(&place));
        assert!(is_named && text.contains("LSN "), "{what}, not at {offsets:?}: {text}");
    }
}

#[test]
fn every_flipped_bit_in_the_base_of_a_compaction_is_found_where_it_is() {
    let base = Compacted::new();
    let bits = sampled(0..8 * base.bytes.len() as u64, scaled(60, 1));
    in_parallel(&bits, |&bit| {
        let mut bytes = base.bytes.clone();
        bytes[bit as usize / 8] ^= 1 << (bit % 8);
        base.refused(&bytes, &[base.part_at(bit / 8)], &format!("base, bit {bit}"));
    });
}

#[test]
fn the_base_of_a_compaction_cut_anywhere_is_refused() {
    let base = Compacted::new();
    let lens = sampled(0..base.bytes.len() as u64, scaled(10, 1));
    in_parallel(&lens, |&len| {
        let mut bytes = base.bytes[..len as usize].to_vec();
        // The header behind the preamble is read first.
        let place = base.part_at(len).max(base.header_offset);
        base.refused(&bytes, &[place], &format!("base, cut at {len}"));
        let lost = &base.bytes[len as usize..];
        if let Some(at) = lost.iter().position(|&byte| byte != 0) {
            let first = base.part_at(len + at as u64);
            bytes.resize(base.bytes.len(), 0);
            base.refused(&bytes, &[base.header_offset, first], &format!("base, zero from {len}"));
        }
    });
}

#[test]
fn blocks_and_frames_of_a_base_in_each_others_places_are_found() {
    let base = Compacted::new();
    // A block holds the keys of one database, so swapping two of them would move keys elsewhere.
    for first in 0..base.blocks.len() - 1 {
        let (one, other) = (base.block(first), base.block(first + 1));
        let mut bytes = base.bytes[..one.start].to_vec();
        bytes.extend_from_slice(&base.bytes[other.clone()]);
        bytes.extend_from_slice(&base.bytes[one.clone()]);
        bytes.extend_from_slice(&base.bytes[other.end..]);
        base.refused(&bytes, &[one.start as u64], &format!("block {first} and the one behind it"));
        // As if it had been written over the one behind it.
        let mut bytes = base.bytes.clone();
        let count = one.len().min(other.len());
        bytes.copy_within(one.start..one.start + count, other.start);
        base.refused(&bytes, &[other.start as u64], &format!("block {first} twice"));
    }
    let end_of = |(at, header): (u64, FrameHeader)| (at + header.frame_bytes()) as usize;
    for pair in base.frames.windows(2) {
        let (one, other) =
            (pair[0].0 as usize..end_of(pair[0]), pair[1].0 as usize..end_of(pair[1]));
        let mut bytes = base.bytes[..one.start].to_vec();
        bytes.extend_from_slice(&base.bytes[other.clone()]);
        bytes.extend_from_slice(&base.bytes[one.clone()]);
        bytes.extend_from_slice(&base.bytes[other.end..]);
        base.refused(&bytes, &[pair[0].0], &format!("the frame at {} and the next", pair[0].0));
    }
}
