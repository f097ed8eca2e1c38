//! Files on disk: memory maps, the folder that a model may read from, and writes that happen whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use indexmap::IndexMap;

use super::error::Problem;

/// The content of a regular file, memory-mapped. Pipes, devices and folders are refused, so that reading never waits.
///
/// The map shows the file as it is: whoever cuts the file while graphopt runs takes the process down, as with every
/// program that maps its input. graphopt itself replaces files by renaming, which leaves existing maps intact.
pub fn map_file(path: &Path) -> io::Result<Bytes> {
    // A pipe would block in `open`, so that the kind is asked for first.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() == 0 {
        return Ok(Bytes::new());
    }
    if usize::try_from(metadata.len()).is_err() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "larger than the address space"));
    }
    map(&file)
}

#[allow(unsafe_code)]
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: the map is private and read-only, and lives as long as the `Bytes` that own it. That the file is not
    // modified meanwhile is the assumption stated at `map_file`; models above the size of memory cannot be read otherwise.
    let map = unsafe { memmap2::Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}

/// The folder of a model's file: the only place from which its tensors are read. Remembers what was read.
#[derive(Debug, Default)]
pub struct Folder {
    path: Option<PathBuf>,
    files: IndexMap<String, Bytes>,
    /// SHA-1 digests of files, in hex.
    digests: IndexMap<String, String>,
    /// Bytes that were copied or spelt out beyond the size of the files themselves.
    kept: u64,
}

/// What a model may make its reader copy or spell out, beyond the size of its files, in all (1 GiB).
const MAX_KEPT: u64 = 1 << 30;

impl Folder {
    /// The folder that holds the file at `path`.
    pub fn of(path: &Path) -> Folder {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Folder { path: Some(parent.to_owned()), ..Folder::default() }
    }

    /// No folder: every file that the model names is missing.
    pub fn none() -> Folder {
        Folder::default()
    }

    /// The content of the file `name` in this folder.
    ///
    /// # Errors
    /// If the name is absolute, has a `..`, leads out of the folder through a link, or names no readable regular file.
    pub fn open(&mut self, name: &str) -> Result<Bytes, Problem> {
        if let Some(bytes) = self.files.get(name) {
            return Ok(bytes.clone());
        }
        check_relative(name)?;
        let cannot = |error: io::Error| Problem::new(format_args!("cannot read the file {name:?}: {error}"));
        let folder = self.path.as_ref().ok_or_else(|| {
            Problem::new(format_args!("the data are in the file {name:?}, and there is no folder to read it from"))
        })?;
        let file = folder.join(name).canonicalize().map_err(cannot)?;
        if !file.starts_with(folder.canonicalize().map_err(cannot)?) {
            return Err(Problem::new(format_args!("the file {name:?} is a link that leaves the model's folder")));
        }
        let bytes = map_file(&file).map_err(cannot)?;
        self.files.insert(name.to_owned(), bytes.clone());
        Ok(bytes)
    }

    /// The SHA-1 digest of the file `name`, in hex; computed once.
    pub(super) fn sha1(&mut self, name: &str) -> Result<String, Problem> {
        if let Some(digest) = self.digests.get(name) {
            return Ok(digest.clone());
        }
        let digest = sha1_hex(&self.open(name)?);
        self.digests.insert(name.to_owned(), digest.clone());
        Ok(digest)
    }

    /// Whether so many bytes more may be copied from files, or spelt out.
    pub(super) fn may_keep(&mut self, bytes: u64) -> bool {
        let sum = self.kept.saturating_add(bytes);
        let may = sum <= MAX_KEPT;
        if may {
            self.kept = sum;
        }
        may
    }

    /// Everything that was read, by name.
    pub fn into_files(self) -> IndexMap<String, Bytes> {
        self.files
    }
}

/// The SHA-1 digest in hex, as ONNX writes it.
pub(super) fn sha1_hex(bytes: &[u8]) -> String {
    use sha1::{Digest, Sha1};
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses names that are not those of a file in or below the folder: empty, absolute, with `..`, with a zero byte.
pub(super) fn check_relative(name: &str) -> Result<(), Problem> {
    let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    let drive = name.as_bytes().get(1) == Some(&b':') || name.starts_with('\\');
    let climbs = name.split(['/', '\\']).any(|part| part == "..");
    if name.is_empty() || name.contains('\0') || !inside || drive || climbs {
        return Err(Problem::new(format_args!(
            "the file name {name:?} is refused: it must be relative and must not leave the model's folder"
        )));
    }
    Ok(())
}

/// Writes a file whole or not at all: into a temporary file in the same folder, flushed to the disk, then renamed.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut temporary = temporary_beside(path)?;
    write_and_sync(temporary.as_file_mut(), write)?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_folder(path)
}

/// That a file can be written at `path`: makes one beside it and removes it.
///
/// # Errors
/// Why it cannot.
pub fn check_writable(path: &Path) -> io::Result<()> {
    temporary_beside(path)?.close()
}

/// A temporary file in the folder of `path`; removed unless it is persisted.
pub(super) fn temporary_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".graphopt-");
    #[cfg(unix)]
    {
        // As any new file: readable by all unless the user's mask says otherwise.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The name of the temporary file would only puzzle the user.
    builder.tempfile_in(folder).map_err(|e| {
        io::Error::new(e.kind(), format!("no file can be written in the folder {} ({})", folder.display(), e.kind()))
    })
}

/// Runs a writer through a buffer, then flushes everything to the disk.
pub(super) fn write_and_sync<T>(
    file: &mut File,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<T>,
) -> io::Result<T> {
    let mut buffered = BufWriter::with_capacity(1 << 20, &mut *file);
    let result = write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.sync_all()?;
    Ok(result)
}

/// Makes a rename in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Copies bytes to the file at `path`, leaving holes where they are zero, so that a sparse file stays sparse.
pub(super) fn copy_sparse(bytes: &[u8], path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    let mut temporary = temporary_beside(path)?;
    write_and_sync(temporary.as_file_mut(), |out| write_sparse(bytes, out))?;
    temporary.as_file().set_len(bytes.len() as u64)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_folder(path)
}

/// Writes bytes, stepping over blocks of zeros. The length of a file that ends in zeros is the caller's to set.
pub(super) fn write_sparse(bytes: &[u8], out: &mut (impl Write + Seek)) -> io::Result<()> {
    const BLOCK: usize = 1 << 16;
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    for block in bytes.chunks(BLOCK) {
        if *block == ZEROS[..block.len()] {
            out.seek(SeekFrom::Current(block.len() as i64))?;
        } else {
            out.write_all(block)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["", "/etc/passwd", "..", "a/../../b", "a/..", "..\\b", "C:\\b", "\\\\host\\b", "a\0b"] {
            assert!(check_relative(name).is_err(), "{name:?}");
        }
        for name in ["a", "a/b.bin", "./a", "a..b", "..a"] {
            assert!(check_relative(name).is_ok(), "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_may_not_leave_the_folder_and_pipes_are_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir(&inside).unwrap();
        fs::write(&outside, b"secret").unwrap();
        fs::write(inside.join("own"), b"own").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink("own", inside.join("near")).unwrap();
        let mut folder = Folder::of(&inside.join("model.onnx"));
        assert_eq!(&folder.open("near").unwrap()[..], b"own");
        assert!(folder.open("link").unwrap_err().what.contains("leaves the model's folder"));
        assert!(folder.open("absent").unwrap_err().what.contains("absent"));
        assert!(map_file(&inside).is_err());
        assert!(map_file(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_debris() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("interrupted"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn zeros_become_holes_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0u8; 1 << 20];
        bytes[300_000] = 7;
        copy_sparse(&bytes, &dir.path().join("sub/a")).unwrap();
        assert_eq!(fs::read(dir.path().join("sub/a")).unwrap(), bytes);
        copy_sparse(&[0; 10], &dir.path().join("b")).unwrap();
        assert_eq!(fs::read(dir.path().join("b")).unwrap(), [0; 10]);
    }
}
