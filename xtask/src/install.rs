//! `cargo xtask install`: a `graphopt` that works without this repository.
//!
//! The program looks for libtorch in `../lib/graphopt` beside itself first (build.rs gives it that RUNPATH), so that the
//! same file runs from `target/` and when it is installed.

use crate::libtorch::{self, Libtorch, list};
use crate::tools::{self, Fault, Repo, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Builds `graphopt` and installs it into `root/bin`, with its libtorch in `root/lib/graphopt`.
pub fn run(repo: &Repo, root: Option<&Path>) -> Result<ExitCode> {
    let root = match root {
        Some(root) => std::path::absolute(root).map_err(|e| Fault::file("find", root, &e))?,
        None => default_root()?,
    };
    let libtorch = libtorch::ensure(repo)?;
    let program = tools::build(repo, &libtorch)?;

    let libraries = root.join("lib/graphopt");
    eprintln!("installing libtorch into {}", libraries.display());
    install_libraries(&libtorch, &libraries)?;
    let bin = root.join("bin");
    fs::create_dir_all(&bin).map_err(|e| Fault::file("create", &bin, &e))?;
    let (new, installed) = (bin.join(".graphopt.new"), bin.join("graphopt"));
    fs::copy(&program, &new).map_err(|e| Fault::file("write", &new, &e))?;
    fs::rename(&new, &installed).map_err(|e| Fault::file("write", &installed, &e))?;
    eprintln!("installed {}", installed.display());

    let on_path = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir == bin));
    if !on_path {
        eprintln!("hint: {} is not on the PATH", bin.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Where `cargo install` would put it.
fn default_root() -> Result<PathBuf> {
    let named =
        ["CARGO_INSTALL_ROOT", "CARGO_HOME"].iter().find_map(|name| env::var_os(name).filter(|v| !v.is_empty()));
    match (named, env::var_os("HOME")) {
        (Some(root), _) => Ok(root.into()),
        (None, Some(home)) => Ok(PathBuf::from(home).join(".cargo")),
        (None, None) => Err(Fault::user("neither CARGO_HOME nor HOME is set; name a folder with --root")),
    }
}

/// Replaces `to` by the libraries of this libtorch and the NVIDIA libraries beside it, laid out alike (they find each
/// other by relative paths).
fn install_libraries(libtorch: &Libtorch, to: &Path) -> Result<()> {
    let from = fs::canonicalize(&libtorch.dir).map_err(|e| Fault::file("read", &libtorch.dir, &e))?;
    let new = to.with_extension("new");
    libtorch::remove(&new)?;
    link_libraries(&from.join("lib"), &new.join("torch/lib"))?;
    for name in ["nvidia", "torch.libs"] {
        let beside = from.with_file_name(name);
        if beside.is_dir() {
            link_libraries(&beside, &new.join(name))?;
        }
    }
    let licences = from.with_file_name("licences");
    if licences.is_dir() {
        link_tree(&licences, &new.join("licences"), &|_| true)?;
    }
    libtorch::remove(to)?;
    fs::rename(&new, to).map_err(|e| Fault::file("write", to, &e))
}

fn link_libraries(from: &Path, to: &Path) -> Result<()> {
    link_tree(from, to, &|name| name.contains(".so") || name.ends_with(".dylib"))
}

/// Hard links (which stay when the original is deleted and take no space) where the file system allows, copies elsewhere.
fn link_tree(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    for path in list(from)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = to.join(&name);
        if path.is_dir() {
            link_tree(&path, &target, wanted)?;
        } else if wanted(&name) {
            fs::create_dir_all(to).map_err(|e| Fault::file("create", to, &e))?;
            // A link of a symbolic link would point to nowhere: take what it points to.
            let real = fs::canonicalize(&path).map_err(|e| Fault::file("read", &path, &e))?;
            if fs::hard_link(&real, &target).is_err() {
                fs::copy(&real, &target).map_err(|e| Fault::file("write", &target, &e))?;
            }
        }
    }
    Ok(())
}
