//! Detection of the files at a path, by their contents.

use super::{Kind, SourceFile};
use crate::output::{Failure, Temporary};
use mainstay::data::{KeyHasher, Limits};
use mainstay::disk::{Disk, File, RealDisk};
use mainstay::engine::DIR_NAME;
use mainstay::engine::import::{self, Names};
use mainstay::log::View;
use mainstay::log::manifest::{self, RetiredFile};
use mainstay::log::segment::{self, SegmentHeader};
use mainstay::rdb::file::{FileReader, Record};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was found.
pub enum Found {
    /// Files of ours.
    Ours(Box<View>),
    /// Files of a Redis or Valkey.
    Redis(import::Source),
    /// An append-only file with an RDB file beside it.
    Both(import::Aof, PathBuf),
}

/// Copies the standard input to a file, which can be read in any place.
pub fn spool() -> Result<Temporary, Failure> {
    let (temporary, mut file) = Temporary::piped()?;
    io::copy(&mut io::stdin().lock(), &mut file)
        .map_err(Failure::doing("copying", "the standard input"))?;
    Ok(temporary)
}

/// Finds out what `path` leads to.
pub fn find(path: &Path) -> Result<(Kind, Found), Failure> {
    let metadata = fs::metadata(path).map_err(Failure::doing("looking at", path.display()))?;
    if metadata.is_dir() { find_in(path) } else { find_file(path) }
}

fn find_in(dir: &Path) -> Result<(Kind, Found), Failure> {
    if let Some(dir) = data_set_in(dir)? {
        let view = View::open(&RealDisk, &dir).map_err(Failure::new)?;
        return Ok((Kind::DataSet, Found::Ours(Box::new(view))));
    }
    let Some(found) = find_redis(dir)? else {
        return Err(Failure::new(format_args!(
            "{}: there is no data set in this directory, neither Mainstay's nor an RDB file or append-only file \
             under its usual name",
            dir.display()
        )));
    };
    let kind = match &found {
        Found::Redis(import::Source::Rdb(_)) => Kind::Rdb,
        _ => Kind::Aof,
    };
    Ok((kind, found))
}

/// `dir` or the directory inside where files of a data set of ours are.
pub fn data_set_in(dir: &Path) -> Result<Option<PathBuf>, Failure> {
    if is_data_set(dir)? {
        return Ok(Some(dir.to_owned()));
    }
    let inside = dir.join(DIR_NAME);
    Ok((inside.is_dir() && is_data_set(&inside)?).then_some(inside))
}

/// Whether `dir` has files of a data set of ours.
fn is_data_set(dir: &Path) -> Result<bool, Failure> {
    let names = RealDisk.list(dir).map_err(Failure::doing("listing", dir.display()))?;
    Ok(names.iter().any(|name| name == manifest::NAME || segment::parse_name(name).is_some()))
}

/// What a Redis that has its files in `dir` may load; `dir` may also be the directory of its
/// append-only file.
fn find_redis(dir: &Path) -> Result<Option<Found>, Failure> {
    let named = |dir: &Path, aof: &str, aof_dir: &str, rdb: &str| Names {
        dir: dir.into(),
        rdb: rdb.to_owned(),
        aof: aof.to_owned(),
        aof_dir: aof_dir.to_owned(),
    };
    let find = |names: &Names| -> Result<_, import::ImportError> {
        let rdb = import::find_rdb(&RealDisk, names)?;
        Ok(match (import::find_aof(&RealDisk, names)?, rdb) {
            (Some(aof), Some(rdb)) => Some(Found::Both(aof, rdb)),
            (Some(aof), None) => Some(Found::Redis(import::Source::Aof(aof.parts))),
            (None, rdb) => rdb.map(|rdb| Found::Redis(import::Source::Rdb(rdb))),
        })
    };
    let find = |names: &Names| find(names).map_err(Failure::new);
    let names = RealDisk.list(dir).map_err(Failure::doing("listing", dir.display()))?;
    if let Some(aof) = names.iter().find_map(|name| name.strip_suffix(".manifest")) {
        return find(&named(dir, aof, ".", ""));
    }
    // Whatever `appenddirname` and `appendfilename` are: the directory is known by the manifest in it.
    for name in &names {
        let Ok(inside) = RealDisk.list(&dir.join(name)) else { continue };
        if let Some(aof) = inside.iter().find_map(|name| name.strip_suffix(".manifest")) {
            return find(&named(dir, aof, name, "dump.rdb"));
        }
    }
    find(&named(dir, "appendonly.aof", "appendonlydir", "dump.rdb"))
}

/// Opens a file of a Redis or one whose kind is not known yet.
pub fn open(path: &Path) -> Result<Arc<dyn File>, Failure> {
    RealDisk.open_to_read(path).map_err(Failure::doing("opening", path.display()))
}

/// The first bytes of a file.
fn magic(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = fs::File::open(path).map_err(Failure::doing("opening", path.display()))?;
    let mut bytes = Vec::new();
    let read = file.take(32).read_to_end(&mut bytes);
    read.map_err(Failure::doing("reading", path.display()))?;
    Ok(bytes)
}

/// Whether a file begins with an RDB.
pub fn is_rdb(path: &Path) -> bool {
    magic(path).is_ok_and(|magic| magic.starts_with(b"REDIS") || magic.starts_with(b"VALKEY"))
}

fn find_file(path: &Path) -> Result<(Kind, Found), Failure> {
    let magic = magic(path)?;
    // Parts of an append-only file may be empty, but they are found by their manifest. By itself an empty file is more likely
    // what a failed copy or the other end of a pipe has left, and to call that sound would hide it.
    if magic.is_empty() {
        return Err(Failure::new(format_args!("{}: the file is empty", path.display())));
    }
    let parent = || match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let aof = |path: &Path| Found::Redis(import::Source::Aof(vec![path.to_owned()]));
    if magic.starts_with(b"MAINSTAY") {
        let view = View::of_segment(&RealDisk, path).map_err(Failure::new)?;
        return Ok((Kind::Segment, Found::Ours(Box::new(view))));
    }
    if magic.starts_with(b"mainstay-manifest") || magic.starts_with(b"file ") {
        return find_in(&parent());
    }
    if is_rdb(path) {
        let aux = read_aux(&*open(path)?);
        let has = |name: &str, value: Option<&str>| {
            aux.iter().any(|(n, v)| n == name && value.is_none_or(|value| v == value))
        };
        let begins = has("aof-base", Some("1")) || has("aof-preamble", Some("1"));
        if begins
            && has("mainstay-ver", None)
            && let Some((offset, _)) = find_base_header(path)?
        {
            let view = View::of_base(&RealDisk, path, offset).map_err(Failure::new)?;
            return Ok((Kind::Base, Found::Ours(Box::new(view))));
        }
        if begins {
            return Ok((Kind::Aof, aof(path)));
        }
        return Ok((Kind::Rdb, Found::Redis(import::Source::Rdb(path.to_owned()))));
    }
    if magic.starts_with(b"*") || magic.starts_with(b"#") {
        return Ok((Kind::Aof, aof(path)));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let what = match segment::parse_name(name) {
        Some((segment::NameKind::CompressedSegment, _)) => {
            "a compressed segment can only be read with its directory"
        }
        Some(_) => "its name is one of Mainstay's, but its first bytes are damaged",
        None => "it is neither one of Mainstay's files nor an RDB file or append-only file",
    };
    Err(Failure::new(format_args!("{}: {what}", path.display())))
}

/// The fields at the beginning of an RDB.
pub fn read_aux(file: &dyn File) -> Vec<(String, String)> {
    let limits = Limits::new(KeyHasher::new((0, 0)));
    let mut aux = Vec::new();
    let Ok(mut reader) = FileReader::open(file, limits, true) else { return aux };
    // What is damaged is for those to report who read all of it.
    while let Ok(Some(Some((name, value)))) = reader.next(|record| match record {
        Record::Aux { name, value } => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Some((text(&name), text(&value)))
        }
        _ => None,
    }) {
        aux.push((name, value));
    }
    aux
}

fn find_base_header(path: &Path) -> Result<Option<(u64, SegmentHeader)>, Failure> {
    segment::find_header(&*open(path)?).map_err(Failure::doing("reading", path.display()))
}

/// The files of what was found.
pub fn files(found: &Found) -> Result<Vec<SourceFile>, Failure> {
    let measured = |path: &Path, what| {
        let metadata = fs::metadata(path).map_err(Failure::doing("measuring", path.display()))?;
        Ok(SourceFile { path: path.to_owned(), bytes: metadata.len(), what })
    };
    match found {
        Found::Redis(import::Source::Rdb(path)) => Ok(vec![measured(path, "RDB file")?]),
        Found::Redis(import::Source::Aof(parts)) | Found::Both(import::Aof { parts, .. }, _) => {
            parts.iter().map(|path| measured(path, "part of an append-only file")).collect()
        }
        Found::Ours(view) => {
            let manifest = view.manifest();
            let retired = manifest.retired.iter().map(|line| {
                let what = match &line.file {
                    RetiredFile::Base(_) => "retired base",
                    RetiredFile::Segment(_) => "retired segment",
                    RetiredFile::CompressedSegment { .. } => "retired segment, compressed",
                };
                (line.file.name(), what)
            });
            let base = manifest.base.iter();
            let base = base.map(|base| (segment::base_name(base.sequence), "base"));
            let segments = manifest.segments.iter().map(|line| {
                let what = if line.end.is_some() { "segment" } else { "open segment" };
                (segment::segment_name(line.sequence), what)
            });
            let mut files = Vec::new();
            for (name, what) in retired.chain(base).chain(segments) {
                // One that is missing is for those to report who need it.
                let Ok(file) = view.file(&name) else { continue };
                let path = view.dir().join(&name);
                let bytes = file.len().map_err(Failure::doing("measuring", path.display()))?;
                files.push(SourceFile { path, bytes, what });
            }
            Ok(files)
        }
    }
}
