//! What may be written where: asked before the work begins, so that nothing is lost and no work is in vain.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::formats;

/// That a file can be written, and that it is none of `others`, which the command reads, or writes otherwise.
pub fn check(path: &Path, others: &[&Path]) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{}: this is a folder", path.display());
    }
    if others.iter().any(|other| place(other) == place(path)) {
        bail!(
            "{}: the command reads this file, or writes it as another of its outputs: it is never written over",
            path.display()
        );
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("{}: there is no folder {}", path.display(), folder.display());
    }
    formats::check_writable(path).with_context(|| path.display().to_string())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a path leads: to a file that is there, or to one that would be made.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = folder_of(path);
        folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(path.file_name().unwrap_or_default())
    })
}

/// That nothing is lost when a document of a format is written: there is no such file yet, or it is empty, or of that format.
pub fn check_replaces(path: &Path, format: &str) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let Ok(file) = formats::map_file(path) else { return Ok(()) };
    let is_of_it = || serde_json::from_slice::<Head>(&file).is_ok_and(|head| head.format == format);
    if !file.is_empty() && !is_of_it() {
        bail!("{}: this file is there and is no {format}: it is not written over", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_would_be_lost_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, model, old, empty] =
            ["a.json", "b.json", "m.json", "old.json", "empty.json"].map(|name| folder.path().join(name));
        fs::write(&model, r#"{"format": "graphopt-graph", "version": 1}"#).unwrap();
        fs::write(&old, r#"{"format": "graphopt-latency", "version": 7}"#).unwrap();
        fs::write(&empty, "").unwrap();
        check(&a, &[&b, &model]).unwrap();
        for (path, others) in
            [(&a, [&b, &folder.path().join("./a.json")]), (&model, [&a, &folder.path().join("./m.json")])]
        {
            let others = others.map(|path| path.as_path());
            assert!(check(path, &others).unwrap_err().to_string().contains("reads this file"));
        }
        assert!(check(folder.path(), &[]).unwrap_err().to_string().contains("folder"));
        assert!(check(&folder.path().join("none/a.json"), &[]).unwrap_err().to_string().contains("there is no folder"));
        for path in [&a, &old, &empty] {
            check_replaces(path, "graphopt-latency").unwrap();
        }
        let lost = check_replaces(&model, "graphopt-latency").unwrap_err().to_string();
        assert!(lost.contains("m.json") && lost.contains("not written over"), "{lost}");
    }
}
