//! Finds libtorch 2.11, or fetches its pinned wheels into `.libtorch/`.
//!
//! `.libtorch/` holds `torch/` (what LIBTORCH names; a link when an installed PyTorch is used, so that plain cargo commands
//! find it at the same place), `nvidia/`, the licences, and one stamp per set of wheels. A stamp is written last and holds
//! the text of the pins: a set-up that was interrupted, or made for other pins, has none that fits and is made again.

use crate::python::Python;
use crate::tools::{Fault, Repo, Result};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A libtorch that is ready to build against.
#[derive(Debug)]
pub struct Libtorch {
    /// Holds `lib/` and `include/`.
    pub dir: PathBuf,
}

/// Wheels that are fetched together.
struct Set {
    name: &'static str,
    requirements: &'static str,
    pins: &'static str,
    /// Bytes of the wheels and of what is unpacked from them, which are on the disk at the same time, and some room.
    disk: u64,
}

const CPU: Set = Set {
    name: "cpu",
    requirements: "xtask/requirements/libtorch.txt",
    pins: include_str!("../requirements/libtorch.txt"),
    disk: 3_000_000_000,
};

const CUDA: Set = Set {
    name: "cuda",
    requirements: "xtask/requirements/libtorch-cuda.txt",
    pins: include_str!("../requirements/libtorch-cuda.txt"),
    disk: 6_000_000_000,
};

const UNPACK: &str = include_str!("unpack.py");
const INSTALLED: &str = include_str!("installed.py");

/// libtorch for the CPU: the first of the places that `cargo xtask help` lists.
pub fn ensure(repo: &Repo) -> Result<Libtorch> {
    if let Some(dir) = named_by_user(repo)? {
        return Ok(Libtorch { dir });
    }
    let home = repo.libtorch_home();
    let dir = home.join("torch");
    if is_linked(&dir) && check(&dir).is_ok() || is_stamped(&home, &CPU) && check(&dir).is_ok() {
        return Ok(Libtorch { dir });
    }
    let _lock = lock(&home)?;
    // Another run may have finished while this one waited.
    if is_stamped(&home, &CPU) && check(&dir).is_ok() {
        return Ok(Libtorch { dir });
    }
    let python = Python::find()?;
    let installed = python.ask(INSTALLED, &[]).filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(installed) = installed.filter(|path| check(path).is_ok()) {
        eprintln!("using the PyTorch 2.11 that is installed in {}", installed.display());
        clear(&home)?;
        std::os::unix::fs::symlink(&installed, &dir).map_err(|e| Fault::file("create the link", &dir, &e))?;
    } else {
        fetch(repo, &python, &CPU)?;
    }
    check(&dir)?;
    Ok(Libtorch { dir })
}

/// libtorch with the NVIDIA libraries that its CUDA part links.
pub fn ensure_cuda(repo: &Repo) -> Result<Libtorch> {
    if cfg!(not(target_os = "linux")) {
        return Err(Fault::user("libtorch has a CUDA part on Linux only"));
    }
    let home = repo.libtorch_home();
    let libtorch = ensure(repo)?;
    let own = libtorch.dir == home.join("torch") && !is_linked(&libtorch.dir);
    if own && is_stamped(&home, &CUDA) {
        return Ok(libtorch);
    }
    let python = Python::find()?;
    if !own {
        if loads_cuda(&python, &libtorch.dir) {
            return Ok(libtorch);
        }
        if libtorch.dir != home.join("torch") {
            return Err(Fault::user(format!(
                "the libtorch that LIBTORCH names has no CUDA part that loads: {}; unset LIBTORCH to have one fetched",
                libtorch.dir.display()
            )));
        }
    }
    let _lock = lock(&home)?;
    if !own {
        eprintln!("the installed PyTorch has no CUDA part that loads; fetching our own");
        fetch(repo, &python, &CPU)?;
    }
    if !is_stamped(&home, &CUDA) {
        fetch(repo, &python, &CUDA)?;
    }
    if loads_cuda(&python, &libtorch.dir) {
        return Ok(libtorch);
    }
    Err(Fault::user(format!("the CUDA libraries are in {} but do not load on this machine", home.display())))
}

/// The folder in LIBTORCH, unless it is the one that our own cargo configuration sets.
fn named_by_user(repo: &Repo) -> Result<Option<PathBuf>> {
    let Some(named) = env::var_os("LIBTORCH").filter(|v| !v.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    let ours = repo.libtorch_home().join("torch");
    if named == ours || fs::canonicalize(&named).ok().is_some_and(|p| fs::canonicalize(&ours).ok() == Some(p)) {
        return Ok(None);
    }
    let dir = std::path::absolute(&named).map_err(|e| Fault::file("find", &named, &e))?;
    check(&dir).map_err(|fault| Fault::user(format!("LIBTORCH: {}", fault.message)))?;
    Ok(Some(dir))
}

/// Whether a folder holds the library and the headers of libtorch 2.11.
fn check(dir: &Path) -> Result<()> {
    let library = if cfg!(target_os = "macos") { "lib/libtorch_cpu.dylib" } else { "lib/libtorch_cpu.so" };
    if !dir.join(library).exists() {
        return Err(Fault::user(format!("{} is no libtorch: it has no {library}", dir.display())));
    }
    let header = dir.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(&header).map_err(|_| {
        Fault::user(format!("{} is not libtorch 2.11: its headers do not state that version", dir.display()))
    })?;
    match version(&text) {
        Some((2, 11)) => Ok(()),
        Some((major, minor)) => {
            Err(Fault::user(format!("{} is libtorch {major}.{minor}, 2.11 is needed", dir.display())))
        }
        None => Err(Fault::user(format!("{} does not state a version", header.display()))),
    }
}

/// Major and minor version as libtorch's `version.h` defines them.
fn version(header: &str) -> Option<(u32, u32)> {
    let number = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next()?.parse().ok())?
        })
    };
    Some((number("TORCH_VERSION_MAJOR")?, number("TORCH_VERSION_MINOR")?))
}

/// Whether `.libtorch/torch` is our link to an installed PyTorch.
fn is_linked(dir: &Path) -> bool {
    dir.is_symlink()
}

fn stamp(home: &Path, set: &Set) -> PathBuf {
    home.join(format!("{}.stamp", set.name))
}

fn is_stamped(home: &Path, set: &Set) -> bool {
    fs::read_to_string(stamp(home, set)).is_ok_and(|text| text == set.pins)
}

/// Waits until no other run sets up the same repository.
fn lock(home: &Path) -> Result<File> {
    fs::create_dir_all(home).map_err(|e| Fault::file("create", home, &e))?;
    let path = home.join("lock");
    let file = File::create(&path).map_err(|e| Fault::file("create", &path, &e))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another set-up of this repository to end");
        file.lock().map_err(|e| Fault::file("lock", &path, &e))?;
    }
    Ok(file)
}

/// Whether the CUDA part of this libtorch loads (a driver is not needed for that).
fn loads_cuda(python: &Python, dir: &Path) -> bool {
    let library = dir.join("lib/libtorch_cuda.so");
    library.exists()
        && python.ask("import ctypes, sys; ctypes.CDLL(sys.argv[1])", &[&library.to_string_lossy()]).is_some()
}

/// Takes away what an earlier set-up made.
fn clear(home: &Path) -> Result<()> {
    for set in [&CPU, &CUDA] {
        remove(&stamp(home, set))?;
    }
    for name in ["torch", "torch.libs", "nvidia", "licences"] {
        remove(&home.join(name))?;
    }
    Ok(())
}

/// Downloads a set of wheels with pip, which checks their hashes, and unpacks what is needed from them.
fn fetch(repo: &Repo, python: &Python, set: &Set) -> Result<()> {
    let home = repo.libtorch_home();
    python.require_pip()?;
    python.require_disk(&home, set.disk)?;
    eprintln!("fetching libtorch 2.11 ({} wheels) into {}", set.name, home.display());

    let (wheels, scratch) = (home.join("wheels"), home.join("scratch"));
    remove(&scratch)?;
    for dir in [&wheels, &scratch] {
        fs::create_dir_all(dir).map_err(|e| Fault::file("create", dir, &e))?;
    }
    let requirements = repo.root.join(set.requirements);
    let (requirements, dest) = (requirements.to_string_lossy(), wheels.to_string_lossy());
    // The libraries are the same in the wheel for every Python, so that one hash serves all.
    let mut args = vec!["download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", "3.12"];
    args.extend(["--implementation", "cp", "-r", &requirements, "--dest", &dest]);
    for tag in platform_tags()? {
        args.extend(["--platform", tag]);
    }
    python.pip(
        &args,
        &scratch,
        "libtorch could not be downloaded (pip says why above); running the same command again goes on from here",
    )?;

    let mut files: Vec<PathBuf> =
        list(&wheels)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "whl")).collect();
    files.sort();
    eprintln!("unpacking");
    let unpacking = home.join("unpacking");
    remove(&unpacking)?;
    let status = python.command().args(["-c", UNPACK]).arg(&unpacking).args(&files).status();
    if !status.is_ok_and(|s| s.success()) {
        return Err(Fault::user(
            "libtorch could not be unpacked (Python says why above); running the same command again repairs it",
        ));
    }
    if set.name == CPU.name {
        clear(&home)?;
    }
    // The licences go to one folder; the CUDA libraries belong beside those that the CPU part needs.
    for dir in list(&unpacking)? {
        let name = dir.file_name().unwrap_or_default().to_os_string();
        let is_licence = name.to_string_lossy().ends_with(".dist-info");
        let to = if is_licence { home.join("licences").join(&name) } else { home.join(&name) };
        merge(&dir, &to)?;
    }
    fs::write(stamp(&home, set), set.pins).map_err(|e| Fault::file("write", &stamp(&home, set), &e))?;
    for dir in [&unpacking, &wheels, &scratch] {
        remove(dir)?;
    }
    Ok(())
}

/// The platform tags of the wheels that run here; pip matches each exactly.
fn platform_tags() -> Result<&'static [&'static str]> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") if cfg!(target_env = "gnu") => Ok(&[
            "manylinux_2_28_x86_64",
            "manylinux_2_27_x86_64",
            "manylinux_2_25_x86_64",
            "manylinux_2_18_x86_64",
            "manylinux_2_17_x86_64",
            "manylinux2014_x86_64",
        ]),
        ("linux", "aarch64") if cfg!(target_env = "gnu") => Ok(&[
            "manylinux_2_28_aarch64",
            "manylinux_2_27_aarch64",
            "manylinux_2_25_aarch64",
            "manylinux_2_18_aarch64",
            "manylinux_2_17_aarch64",
            "manylinux2014_aarch64",
        ]),
        ("macos", "aarch64") => Ok(&["macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"]),
        (os, arch) => Err(Fault::user(format!(
            "there is no libtorch 2.11 wheel for {arch} {os}; build or install one and set LIBTORCH to its folder"
        ))),
    }
}

/// Moves a tree onto another, file by file where folders meet.
fn merge(from: &Path, to: &Path) -> Result<()> {
    if to.is_dir() && from.is_dir() {
        return list(from)?.iter().try_for_each(|path| merge(path, &to.join(path.file_name().unwrap_or_default())));
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(|e| Fault::file("create", parent, &e))?;
    }
    fs::rename(from, to).map_err(|e| Fault::file("write", to, &e))
}

/// What is in a folder, in the order of the names.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(|e| Fault::file("read", dir, &e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

/// Removes a file, a link (not what it points to) or a folder, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    let result = match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    result.map_err(|e| Fault::file("remove", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_header() {
        let header = "#pragma once\n/// Indicates the major version of LibTorch.\n#define TORCH_VERSION_MAJOR 2\n\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION \\\n  x\n";
        assert_eq!(version(header), Some((2, 11)));
        assert_eq!(version("#define TORCH_VERSION_MAJOR 2\n"), None);
    }

    #[test]
    fn trees_meet_file_by_file() {
        let root = env::temp_dir().join(format!("graphopt-xtask-merge-{}", std::process::id()));
        for file in ["from/lib/new.so", "from/lib/both.so", "to/lib/old.so", "to/lib/both.so"] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, file).unwrap();
        }
        merge(&root.join("from"), &root.join("to")).unwrap();
        let names: Vec<_> =
            list(&root.join("to/lib")).unwrap().iter().map(|p| fs::read_to_string(p).unwrap()).collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(names, ["from/lib/both.so", "from/lib/new.so", "to/lib/old.so"]);
    }

    #[test]
    fn every_pin_has_a_hash() {
        for set in [&CPU, &CUDA] {
            let pins = set.pins.replace("\\\n", "");
            let mut lines = pins.lines().filter(|line| !line.starts_with('#')).peekable();
            assert!(lines.peek().is_some());
            lines.for_each(|line| assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}"));
        }
    }
}
