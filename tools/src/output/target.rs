//! What a copy must not replace.

use super::Failure;
use super::temporary::parent;
use crate::source::{Kind, Source};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a target that is, or lies in, what is being read: the copy would take the place of the original.
///
/// # Errors
/// If it does, naming both.
pub fn refuse_source(source: &Source, target: &Path) -> Result<(), Failure> {
    let refused = |what: &str, path: &Path| {
        let (target, path) = (target.display(), path.display());
        Err(Failure::new(format_args!("{target} {what} {path}, which is being read")))
    };
    let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let is_same = |path: &Path| identity(path).is_some_and(|it| identity(target) == Some(it));
    if let Some(file) = source.files().iter().find(|file| is_same(&file.path)) {
        return refused("is the same file as", &file.path);
    }
    // What does not exist yet lies where its directory does, or the nearest one above it that is there.
    let canonical = target.ancestors().find_map(|path| match path.as_os_str().is_empty() {
        true => fs::canonicalize(".").ok(),
        false => fs::canonicalize(path).ok(),
    });
    let Some(canonical) = canonical else { return Ok(()) };
    if let Some(view) = source.view().filter(|_| source.kind() == Kind::DataSet)
        && fs::canonicalize(view.dir()).is_ok_and(|dir| canonical.starts_with(dir))
    {
        return refused("lies in", view.dir());
    }
    // The parts of an append-only file are named by a manifest, which is not one of them.
    let is_manifest = canonical.extension().is_some_and(|it| it == "manifest");
    let part = source.files().iter().filter(|_| source.kind() == Kind::Aof && is_manifest);
    let beside = |path: &Path| identity(parent(path)) == identity(parent(&canonical));
    match part.map(|file| &file.path).find(|path| beside(path)) {
        Some(path) => refused("is the manifest of", path),
        None => Ok(()),
    }
}
