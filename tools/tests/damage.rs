//! Random damage to a data directory: `verify` finds it, `repair` saves everything that it did not touch, and says what is lost.

#[path = "support/data_set.rs"]
mod data_set;

use data_set::{Contents, DataSet, contents, files_below, read, run_tool, tool_command};
use mainstay::disk::{Disk, RealDisk};
use mainstay::env::{Random, seeded_random};
use mainstay::log::frame::{FrameKind, MAGIC};
use mainstay::log::manifest::{Manifest, RetiredFile};
use mainstay::log::scan::{Found, Scan, ScanEnd};
use mainstay::log::segment::{base_name, segment_name};
use mainstay::log::{Lsn, Retention, View, segment};
use mainstay::rdb::blocks::read_index;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;

const SECTOR_BYTES: usize = 512;

fn scale() -> u64 {
    if std::env::var("MAINSTAY_TEST_SCALE").is_ok_and(|scale| scale == "full") { 10 } else { 1 }
}

/// The commands of a data set by their LSNs, frame by frame, and where in its files each frame lies.
struct Stream {
    /// LSN, then the bytes of the commands.
    frames: BTreeMap<Lsn, Vec<u8>>,
    /// File, bytes in it, LSNs: of frames and markers of the base and of the segments behind it.
    places: Vec<(String, Range<u64>, Range<Lsn>)>,
    /// What repairs say is lost, LSNs and keys.
    lost: Vec<(Range<Lsn>, u64)>,
    base_lsn: Lsn,
    end_lsn: Lsn,
}

impl Stream {
    /// That of the history with which a start would begin.
    fn of(dir: &Path) -> Self {
        let view = View::open(&RealDisk, dir).unwrap();
        let manifest = view.manifest().clone();
        let mut stream = Self {
            frames: BTreeMap::new(),
            places: Vec::new(),
            lost: Vec::new(),
            base_lsn: manifest.base.as_ref().map_or(0, |base| base.lsn),
            end_lsn: 0,
        };
        if let Some(line) = &manifest.base {
            let first = segment::frames_header_offset(line.preamble_bytes) + 4096;
            let end = mainstay::log::manifest::SegmentEnd { lsn: line.end_lsn, bytes: line.bytes };
            let name = base_name(line.sequence);
            let first = (first, line.lsn);
            stream.scan(&view, &name, line.identity.seed(), first, ScanEnd::Sealed(end));
        }
        for line in &manifest.segments {
            let end = line.end.map_or(ScanEnd::Open(line.first_lsn), ScanEnd::Sealed);
            let name = segment_name(line.sequence);
            stream.scan(&view, &name, line.identity.seed(), (4096, line.first_lsn), end);
        }
        stream
    }

    fn scan(&mut self, view: &View, name: &str, seed: u32, first: (u64, Lsn), end: ScanEnd) {
        let mut scan = Scan::new(view.file(name).unwrap(), seed, first, end).unwrap();
        while let Some(found) = scan.next() {
            let Found::Frame { offset, header, padding_damaged: false } = found else {
                panic!("{name}: {found:?}")
            };
            let lsns = header.lsn..header.end_lsn();
            self.places.push((
                name.to_owned(),
                offset..offset + header.frame_bytes(),
                lsns.clone(),
            ));
            match header.kind {
                FrameKind::Commands => {
                    self.frames.insert(header.lsn, scan.payload().to_vec());
                }
                FrameKind::Lost => {
                    let keys = u64::from_le_bytes(scan.payload()[16..24].try_into().unwrap());
                    self.lost.push((lsns, keys));
                }
                FrameKind::Marker => {}
            }
            self.end_lsn = header.end_lsn();
        }
    }
}

/// A change to a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize),
    Zeros(usize),
    Cut(usize),
    Swap(usize, usize),
    /// The bytes of this range are put in once more, at a later place.
    Twice(Range<usize>, usize),
}

impl Damage {
    /// A random one to the first `end` bytes.
    fn random(bytes: &[u8], end: usize, random: &mut Random) -> Option<Self> {
        let mut below = |bound: usize| (random() % bound as u64) as usize;
        let sectors = end / SECTOR_BYTES;
        let damage = match below(5) {
            0 => Self::Flip(below(end * 8)),
            1 => Self::Zeros(below(end) / SECTOR_BYTES * SECTOR_BYTES),
            2 => Self::Cut(below(end)),
            3 if sectors > 1 => {
                Self::Swap(below(sectors) * SECTOR_BYTES, below(sectors) * SECTOR_BYTES)
            }
            4 => {
                let magic = MAGIC.to_le_bytes();
                let is_frame = |&at: &usize| bytes[at..].starts_with(&magic);
                let frames: Vec<usize> = (0..end).step_by(8).filter(is_frame).collect();
                let first = below(frames.len().max(2) - 1);
                let (from, to) = (*frames.get(first)?, *frames.get(first + 1)?);
                Self::Twice(from..to, frames[first + 1 + below(frames.len() - first - 1)])
            }
            _ => return None,
        };
        (damage.apply(bytes) != bytes).then_some(damage)
    }

    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        let sector = |at: usize| at..(at + SECTOR_BYTES).min(bytes.len());
        match self {
            Self::Flip(bit) => damaged[bit / 8] ^= 1 << (bit % 8),
            Self::Zeros(at) => damaged[sector(*at)].fill(0),
            Self::Cut(at) => damaged.truncate(*at),
            Self::Swap(a, b) => {
                damaged[sector(*a)].copy_from_slice(&bytes[sector(*b)]);
                damaged[sector(*b)].copy_from_slice(&bytes[sector(*a)]);
            }
            Self::Twice(range, at) => {
                damaged.splice(at..at, bytes[range.clone()].iter().copied());
            }
        }
        damaged
    }

    /// Whether these bytes are not in the file any more.
    fn touches(&self, bytes: &[u8], range: &Range<u64>) -> bool {
        if matches!(self, Self::Twice(..)) {
            return false;
        }
        let damaged = self.apply(bytes);
        let range = range.start as usize..range.end as usize;
        damaged.get(range.clone()) != Some(&bytes[range])
    }
}

/// A data set that is damaged again and again.
struct Victim {
    name: &'static str,
    home: tempfile::TempDir,
    files: BTreeMap<String, Vec<u8>>,
    manifest: Manifest,
    stream: Stream,
    contents: Contents,
    /// Of the base: bytes, keys.
    blocks: Vec<(Range<u64>, u64)>,
}

impl Victim {
    fn new(name: &'static str, seed: u64, retention: Retention, is_killed: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("mainstay");
        fs::create_dir(&dir).unwrap();
        let mut set = DataSet::create(&dir, retention, seed);
        for _ in 0..3 {
            (0..8).for_each(|_| set.batch(12));
            set.compact();
        }
        set.compress();
        (0..8).for_each(|_| set.batch(12));
        if is_killed {
            drop(set.kill());
        } else {
            drop(set.close());
        }
        let listed = View::open(&RealDisk, &dir).unwrap().manifest().clone();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for name in listed.all_names().chain(["manifest".to_owned()]) {
            files.insert(name.clone(), fs::read(dir.join(&name)).unwrap());
        }
        let contents = contents(&read(&dir).0);
        let line = listed.base.clone().unwrap();
        let bytes = &files[&base_name(line.sequence)];
        let file = RealDisk.open_to_read(&dir.join(base_name(line.sequence))).unwrap();
        let (_, header) = segment::find_header(&*file).unwrap().unwrap();
        let index_offset = header.preamble.unwrap().index_offset;
        let tail = &bytes[index_offset as usize..line.preamble_bytes as usize];
        let index = read_index(tail, index_offset).unwrap();
        let ends = index.iter().skip(1).map(|block| block.offset).chain([index_offset]);
        let blocks = index.iter().zip(ends);
        let blocks = blocks.map(|(block, end)| (block.offset..end, block.keys.into())).collect();
        let stream = Stream::of(&dir);
        Self { name, home, files, manifest: listed, stream, contents, blocks }
    }

    /// How many bytes of a file mean anything: behind the last frame of an open segment are zeros.
    fn end(&self, name: &str) -> usize {
        let bytes = &self.files[name];
        let open = self.manifest.segments.last().filter(|line| line.end.is_none());
        if open.is_some_and(|line| segment_name(line.sequence) == name) {
            return bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        }
        bytes.len()
    }

    /// Damages one file, and asserts that nothing is passed over and nothing lost that need not be. Gives whether
    /// something was lost.
    fn damage(&self, name: &str, damage: &Damage) -> bool {
        let what = Case { victim: self.name, name, damage };
        let damaged = self.home.path().join("damaged");
        let copy = self.home.path().join("copy");
        let _ = fs::remove_dir_all(&damaged);
        let _ = fs::remove_dir_all(&copy);
        let dir = damaged.join("mainstay");
        fs::create_dir_all(&dir).unwrap();
        for (other, bytes) in &self.files {
            let bytes = if other == name { damage.apply(bytes) } else { bytes.clone() };
            fs::write(dir.join(other), bytes).unwrap();
        }
        let before = files_below(&damaged);
        let path = damaged.to_str().unwrap();

        let ended = tool_command(&["verify", "--json", path]).output().unwrap();
        let found = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{what}: {found}");
        let found: Value = serde_json::from_str(&found).unwrap();
        let findings = found["findings"].as_array().unwrap();
        assert!(!findings.is_empty(), "{what}: {found}");
        // Damage to a frame may show behind it, and without a manifest everywhere.
        let named = findings.iter().any(|finding| finding["file"] == *name);
        assert!(named, "{what}: {found}");

        let is_lossy = self.is_lossy(name, damage);
        let arguments = ["repair", path, "--out", copy.to_str().unwrap(), "--json"];
        let ended = tool_command(&arguments).output().unwrap();
        let report = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(i32::from(is_lossy)), "{what}: {report}");
        let report: Value = serde_json::from_str(&report).unwrap();
        assert!(files_below(&damaged) == before, "{what}: the damaged directory was touched");
        run_tool(0, &["verify", copy.to_str().unwrap()]);
        self.check_copy(&copy.join("mainstay"), &report, name, damage, &what);
        is_lossy
    }

    /// LSNs of the commands in frames that are not in the file any more, at any place.
    fn touched(&self, name: &str, damage: &Damage) -> Vec<Range<Lsn>> {
        let bytes = &self.files[name];
        let damaged = damage.apply(bytes);
        let is_there = |range: &Range<u64>| {
            let frame = &bytes[range.start as usize..range.end as usize];
            (0..damaged.len()).step_by(8).any(|at| damaged[at..].starts_with(frame))
        };
        let places = self
            .stream
            .places
            .iter()
            .filter(|(file, range, lsns)| file == name && !lsns.is_empty() && !is_there(range));
        places.map(|(_, _, lsns)| lsns.clone()).collect()
    }

    /// Keys in blocks of the base that the damage touches, and whether it touches the first, which has none.
    fn touched_blocks(&self, name: &str, damage: &Damage) -> Vec<u64> {
        let line = self.manifest.base.as_ref().unwrap();
        if name != base_name(line.sequence) {
            return Vec::new();
        }
        let bytes = &self.files[name];
        let touched = self.blocks.iter().filter(|(range, _)| damage.touches(bytes, range));
        touched.map(|(_, keys)| *keys).collect()
    }

    fn touches_index(&self, name: &str, damage: &Damage) -> bool {
        let line = self.manifest.base.as_ref().unwrap();
        // The header behind the RDB says where the index is.
        let end = segment::frames_header_offset(line.preamble_bytes) + 4096;
        let index = self.blocks.last().unwrap().0.end..end;
        name == base_name(line.sequence) && damage.touches(&self.files[name], &index)
    }

    /// Whether what is left looks as if what is gone had never been written: behind a whole frame of a killed server's log
    /// there are only zeros.
    fn is_invisible(&self, name: &str, damage: &Damage) -> bool {
        if self.end(name) == self.files[name].len() {
            return false;
        }
        let damaged = damage.apply(&self.files[name]);
        let written = damaged.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        let is_whole_size = damaged.len().is_multiple_of(4096);
        let places = self.stream.places.iter().filter(|(file, ..)| file == name);
        let ends: BTreeSet<u64> = places.map(|(_, range, _)| range.end).collect();
        // Padding is zeros as well.
        let end = ends.range(written as u64..).next().copied().unwrap_or(0);
        let is_end = end == 4096 || end.saturating_sub(written as u64) < 8;
        is_whole_size && is_end && damaged[..written] == self.files[name][..written]
    }

    /// Whether the retired files have all that the newest base holds.
    fn is_retained(&self) -> bool {
        !self.manifest.retired.is_empty()
    }

    /// Whether something is or may be lost.
    fn is_lossy(&self, name: &str, damage: &Damage) -> bool {
        let is_base = name == base_name(self.manifest.base.as_ref().unwrap().sequence);
        // What a base holds is in retired files as well.
        if is_base && self.is_retained() {
            return false;
        }
        // Behind the last frame of a killed server's log another one may have been begun.
        let last = self.stream.places.last().unwrap();
        let is_open = self.manifest.segments.last().unwrap().end.is_none();
        let at_end = is_open && last.0 == name && damage.touches(&self.files[name], &last.1);
        let is_cut =
            is_open && last.0 == name && matches!(damage, Damage::Cut(at) if at % 4096 > 0);
        if name == "manifest" && !is_open {
            // Another segment could have come behind the last one, unless what is left says that none did.
            let text = String::from_utf8(self.files[name].clone()).unwrap();
            let end =
                &text[text.rfind("\nsegment ").unwrap()..text.rfind("checksum ").unwrap() + 9];
            let damaged = damage.apply(text.as_bytes());
            return !damaged.windows(end.len()).any(|bytes| bytes == end.as_bytes());
        }
        let touched = self.touched(name, damage);
        let blocks = self.touched_blocks(name, damage);
        at_end || is_cut || !touched.is_empty() || !blocks.is_empty()
    }

    fn check_copy(&self, dir: &Path, report: &Value, name: &str, damage: &Damage, what: &Case<'_>) {
        let copy = Stream::of(dir);
        // Commands that need what is lost do not keep a server from starting.
        let (engine, _) = read(dir);
        let touched = self.touched(name, damage);
        let blocks = self.touched_blocks(name, damage);
        // What the report says is what the copy says.
        let mut said: Vec<Range<Lsn>> =
            report["lost"].as_array().unwrap().iter().map(lsns_of).collect();
        // The length of what is missing at the end is unknown.
        let open_ended = said.pop_if(|lsns| lsns.end == Lsn::MAX);
        let noted: Vec<Range<Lsn>> = copy
            .lost
            .iter()
            .map(|(lsns, _)| lsns.clone())
            .filter(|lsns| !lsns.is_empty())
            .collect();
        assert_eq!(said, noted, "{what}: {report}");
        let keys: u64 = copy.lost.iter().map(|(_, keys)| keys).sum();
        let is_open = self.manifest.segments.last().unwrap().end.is_none();
        said.extend(open_ended);
        if said.is_empty() && report["lost_blocks"].as_array().unwrap().is_empty() {
            assert_eq!(contents(&engine), self.contents, "{what}: {report}");
            return;
        }
        // Every command outside the damaged frames is there, and what is lost is exactly what is missing.
        // Of what would be at the end of a killed server's log, there may be no trace but that something is damaged.
        assert!(copy.end_lsn == self.stream.end_lsn || is_open, "{what}: {report}");
        let is_lost = |lsn: Lsn| lsn >= copy.end_lsn || said.iter().any(|lsns| lsns.contains(&lsn));
        for (lsn, commands) in &self.stream.frames {
            let is_touched = touched.iter().any(|lsns| lsns.contains(lsn));
            assert_eq!(is_lost(*lsn), is_touched, "{what}: LSN {lsn}: {report}");
            assert_eq!(
                copy.frames.get(lsn),
                (!is_touched).then_some(commands),
                "{what}: LSN {lsn}"
            );
        }
        assert!(copy.frames.keys().all(|lsn| self.stream.frames.contains_key(lsn)), "{what}");
        if copy.base_lsn == 0 {
            // Nothing is left of the base.
            assert_eq!((said[0].start, name), (0, &*base_name(6)), "{what}: {report}");
            return;
        }
        assert_eq!(copy.base_lsn, self.stream.base_lsn, "{what}");
        let lost_keys = blocks.iter().sum::<u64>();
        if self.touches_index(name, damage) && !blocks.is_empty() {
            // Without the index, the data after a damaged block cannot be found.
            assert!(keys > 0, "{what}: {report}");
        } else {
            assert_eq!(keys, lost_keys, "{what}: {report}");
        }
        let named: BTreeSet<&str> = report["lost_blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["file"].as_str().unwrap())
            .collect();
        assert!(named.iter().all(|file| *file == name), "{what}: {report}");
    }
}

fn lsns_of(lost: &Value) -> Range<Lsn> {
    lost["lsn"].as_u64().unwrap()..lost["end_lsn"].as_u64().unwrap_or(Lsn::MAX)
}

/// What was done to what.
struct Case<'a> {
    victim: &'a str,
    name: &'a str,
    damage: &'a Damage,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} of {}", self.victim, self.damage, self.name)
    }
}

/// Damages a data set so many times; prints what came of it.
fn damage_again_and_again(victim: &Victim, times: u64, seed: u64) {
    let mut random = seeded_random(seed);
    let names: Vec<&String> = victim.files.keys().collect();
    let (mut done, mut lossy) = (0, 0);
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    while done < times {
        let name = names[(random() % names.len() as u64) as usize];
        let end = victim.end(name);
        let Some(damage) = Damage::random(&victim.files[name], end, &mut random) else { continue };
        if victim.is_invisible(name, &damage) {
            continue;
        }
        lossy += u64::from(victim.damage(name, &damage));
        done += 1;
        let kind = format!("{damage:?}");
        *kinds.entry(kind.split('(').next().unwrap().to_owned()).or_default() += 1;
    }
    println!("{}: {done} damages found, {lossy} lost something: {kinds:?}", victim.name);
}

const KEPT: Retention = Retention { time_s: 1_000_000, bytes: 0 };
const DROPPED: Retention = Retention { time_s: 0, bytes: 0 };

#[test]
fn damage_to_a_closed_directory_is_found_and_loses_nothing_else() {
    let victim = Victim::new("closed", 1, DROPPED, false);
    damage_again_and_again(&victim, 30 * scale(), 2);
}

#[test]
fn damage_to_the_directory_of_a_killed_server_is_found_and_loses_nothing_else() {
    let victim = Victim::new("killed", 3, DROPPED, true);
    damage_again_and_again(&victim, 30 * scale(), 4);
}

#[test]
fn what_is_damaged_is_taken_from_retired_files() {
    let victim = Victim::new("closed, retained", 5, KEPT, false);
    assert!(
        victim
            .manifest
            .retired
            .iter()
            .any(|line| { matches!(line.file, RetiredFile::CompressedSegment { .. }) })
    );
    damage_again_and_again(&victim, 20 * scale(), 6);
    let victim = Victim::new("killed, retained", 7, KEPT, true);
    damage_again_and_again(&victim, 20 * scale(), 8);
}
