//! The file that keeps measured costs: one for each device, number of threads and libtorch version; each line of its table
//! an application with its time in microseconds. A file that cannot be read is measured anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::formats::map_file;
use crate::graph::{Op, TensorType};

/// libtorch's version: kernels change with it.
const LIBTORCH: &str = "2.11";
const FORMAT: &str = "graphopt-costs";
const VERSION: u32 = 2;

/// An application, as text: operator, attributes, types.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Key(String);

impl Key {
    pub fn of(op: &Op, inputs: &[Option<&TensorType>]) -> Key {
        Key(application_name(op, inputs))
    }
}

/// An application by name: operator, attributes, and types of its operands. The same in every build of the program.
pub fn application_name(op: &Op, inputs: &[Option<&TensorType>]) -> String {
    let mut text = op.label();
    if let Op::Apply(_, attrs) = op {
        for (name, value) in attrs.iter() {
            let _ = write!(text, " {name}={value:?}");
        }
    }
    for ty in inputs {
        let _ = match ty {
            Some(ty) => write!(text, " {ty}"),
            None => write!(text, " -"),
        };
    }
    text
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    device: String,
    threads: i64,
    libtorch: String,
    time_us: BTreeMap<Key, f64>,
}

/// The text of a file, if it is one of ours.
fn parse(text: &[u8]) -> Option<File> {
    let file: File = serde_json::from_slice(text).ok()?;
    let ours =
        file.format == FORMAT && file.version == VERSION && file.time_us.values().all(|t| t.is_finite() && *t >= 0.0);
    ours.then_some(file)
}

/// The measured times in the text of a cache file, in microseconds, by application; `None` if it is no such file.
pub fn read_costs(text: &[u8]) -> Option<BTreeMap<String, f64>> {
    Some(parse(text)?.time_us.into_iter().map(|(key, time)| (key.0, time)).collect())
}

/// Measured costs, in memory and on disk.
pub(super) struct Cache {
    path: Option<PathBuf>,
    device: String,
    threads: i64,
    time_us: BTreeMap<Key, f64>,
    added: usize,
}

impl Cache {
    /// The costs kept in `folder` for a device; empty if there is no such file, or none that can be read.
    pub fn open(folder: Option<&Path>, device: &str, threads: usize) -> Cache {
        let threads = threads as i64;
        let digest = blake3::hash(format!("{device}|{threads}|{LIBTORCH}").as_bytes()).to_hex();
        let path = folder.map(|f| f.join(format!("costs-{}.json", &digest.as_str()[..16])));
        let mut cache = Cache { path, device: device.to_owned(), threads, time_us: BTreeMap::new(), added: 0 };
        cache.time_us = cache.read().unwrap_or_default();
        cache
    }

    fn read(&self) -> Option<BTreeMap<Key, f64>> {
        // A map, since it refuses pipes and devices, which could keep the program waiting.
        let file = parse(&map_file(self.path.as_ref()?).ok()?)?;
        let ours = file.device == self.device && file.threads == self.threads && file.libtorch == LIBTORCH;
        ours.then_some(file.time_us)
    }

    pub fn get(&self, key: &Key) -> Option<f64> {
        self.time_us.get(key).copied()
    }

    pub fn put(&mut self, key: Key, time_us: f64) {
        if self.time_us.insert(key, time_us).is_none() {
            self.added += 1;
        }
    }

    pub fn added(&self) -> usize {
        self.added
    }

    /// Writes the file, whole or not at all. What another process wrote meanwhile is kept.
    pub fn save(&mut self) -> io::Result<()> {
        let Some(path) = self.path.clone().filter(|_| self.added > 0) else { return Ok(()) };
        let mut merged = self.read().unwrap_or_default();
        merged.extend(self.time_us.clone());
        let file = File {
            format: FORMAT.to_owned(),
            version: VERSION,
            device: self.device.clone(),
            threads: self.threads,
            libtorch: LIBTORCH.to_owned(),
            time_us: merged,
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut temporary, &file)?;
        temporary.persist(&path).map_err(|e| e.error)?;
        self.added = 0;
        Ok(())
    }
}

/// The folder for caches: `XDG_CACHE_HOME` or `~/.cache`, below it `graphopt`.
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("graphopt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_found_again_and_only_for_the_same_device() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "device a", 2);
        cache.put(Key("Relu f32[3]".into()), 1.5);
        cache.save().unwrap();
        let again = Cache::open(Some(folder.path()), "device a", 2);
        assert_eq!(again.get(&Key("Relu f32[3]".into())), Some(1.5));
        assert_eq!(Cache::open(Some(folder.path()), "device b", 2).time_us.len(), 0);
    }

    #[test]
    fn a_broken_file_is_measured_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(Some(folder.path()), "d", 1);
        std::fs::write(cache.path.as_ref().unwrap(), "{\"format\": \"graphopt-co").unwrap();
        assert_eq!(Cache::open(Some(folder.path()), "d", 1).time_us.len(), 0);
        cache.put(Key("Relu f32[3]".into()), 1.5);
        cache.save().unwrap();
        assert_eq!(Cache::open(Some(folder.path()), "d", 1).time_us.len(), 1);
    }
}
