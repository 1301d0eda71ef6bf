//! RDB files and append-only files.

use super::Report;
use super::finding::Finding;
use crate::output::{Failure, Output};
use crate::source::{Kind, Source};
use mainstay::data::{KeyHasher, Limits};
use mainstay::disk::{Disk, File, RealDisk};
use mainstay::rdb::file::FileReader;
use std::path::{Path, PathBuf};

/// Checks a source that is not ours.
pub fn check(source: &Source, output: &Output) -> Result<Report, Failure> {
    let mut report = Report { kind: source.kind().name().to_owned(), ..Report::default() };
    let bar = output.bar("verifying", source.files().iter().map(|file| file.bytes).sum());
    let parts = source.files().len();
    for (index, part) in source.files().iter().enumerate() {
        report.files += 1;
        report.bytes += part.bytes;
        let rdb_end = if crate::source::is_rdb(&part.path) {
            rdb(&part.path, &mut report, &|bytes| bar.advance(bytes))?
        } else {
            Some(0)
        };
        if let Some(offset) = rdb_end
            && source.kind() == Kind::Aof
        {
            aof(&part.path, offset, index + 1 == parts, &mut report)?;
        } else if let Some(offset) = rdb_end.filter(|&offset| offset < part.bytes) {
            let mut finding = Finding::at(&name(&part.path), offset, "bytes behind the end");
            finding.bytes = part.bytes - offset;
            report.findings.push(finding);
        }
    }
    if source.kind() == Kind::Aof {
        let text =
            "an append-only file has no checksums: damage that leaves whole commands is not found";
        report.remarks.push(text.to_owned());
        report.remarks.extend(unread(source)?);
    }
    Ok(report)
}

/// RDB files beside an append-only file, which a Redis that loads that one does not read.
fn unread(source: &Source) -> Result<Vec<String>, Failure> {
    let dir = source.path();
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = RealDisk.list(dir).map_err(Failure::doing("listing", dir.display()))?;
    names.sort();
    let is_unread = |path: &PathBuf| {
        path.is_file()
            && crate::source::is_rdb(path)
            && source.files().iter().all(|file| file.path != *path)
    };
    let paths = names.iter().map(|name| dir.join(name)).filter(is_unread);
    Ok(paths.map(|path| format!("{} is not checked: name it for that", path.display())).collect())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads an RDB to its end. Gives the offset behind it, unless it is damaged.
fn rdb(path: &Path, report: &mut Report, progress: &dyn Fn(u64)) -> Result<Option<u64>, Failure> {
    let file = RealDisk.open_to_read(path).map_err(Failure::doing("opening", path.display()))?;
    let file: &dyn File = &*file;
    let limits = Limits::new(KeyHasher::new((0, 0)));
    let mut damaged = |error: &mainstay::rdb::file::FileError| {
        let mut finding = Finding::at(&name(path), error.offset, error);
        if let Some((db, key)) = &error.key {
            finding.db = Some(*db);
            finding.keys.push(crate::output::escaped(key));
        }
        report.findings.push(finding);
    };
    let mut reader = match FileReader::open(file, limits, true) {
        Ok(reader) => reader,
        Err(error) => {
            damaged(&error);
            return Ok(None);
        }
    };
    let mut reached = 0;
    loop {
        match reader.next(|_| ()) {
            Ok(Some(())) => {
                let offset = reader.offset();
                if offset - reached >= 1 << 20 {
                    progress(offset - reached);
                    reached = offset;
                }
            }
            Ok(None) => return Ok(Some(reader.offset())),
            Err(error) => {
                damaged(&error);
                return Ok(None);
            }
        }
    }
}

/// Reads the commands of an append-only file from `offset` on.
fn aof(path: &Path, offset: u64, is_last: bool, report: &mut Report) -> Result<(), Failure> {
    let doing = || Failure::doing("reading", path.display());
    let file = RealDisk.open_to_read(path).map_err(doing())?;
    let len = file.len().map_err(doing())?;
    let ended = mainstay::engine::import::check_commands(file, len, offset).map_err(doing())?;
    if let Some((offset, damage, is_cut)) = ended {
        let mut finding = Finding::at(&name(path), offset, damage);
        finding.bytes = len - offset;
        finding.unfinished_write = is_cut && is_last;
        report.findings.push(finding);
    }
    Ok(())
}
