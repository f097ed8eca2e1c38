//! Set-up as a user meets it when something is missing or breaks off: each test gives xtask an empty repository and a PATH
//! with stand-ins for the programs that it calls.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a stand-in for Python does for each question that xtask asks it. `$2` is the code or `pip`.
struct FakePython {
    pip_version: &'static str,
    installed: String,
    free_bytes: &'static str,
    pip_download: &'static str,
    unpack: &'static str,
}

impl Default for FakePython {
    fn default() -> Self {
        Self {
            pip_version: "exit 0",
            installed: "exit 0".into(),
            free_bytes: "echo 900000000000",
            pip_download: "exit 0",
            unpack: "exit 0",
        }
    }
}

/// Unpacks the folder `wheel` as if it were libtorch.
const WHOLE: &str =
    "mkdir -p \"$3\"; cp -r \"$(dirname \"$0\")/../wheel\" \"$3/torch\"; mkdir \"$3/torch-2.11.0.dist-info\"";

struct World {
    root: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("graphopt-xtask-{name}-{}", std::process::id()));
        let world = Self { root };
        fs::create_dir_all(world.path("repo/xtask")).unwrap();
        fs::create_dir_all(world.path("bin")).unwrap();
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn python(&self, fake: &FakePython) -> &Self {
        let script = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\ncase \"$2 $3\" in\n'pip --version') {} ;;\n'pip download') {} ;;\n\
             *find_spec*) {} ;;\n*disk_usage*) {} ;;\n*zipfile*) {} ;;\nesac\nexit 0\n",
            fake.pip_version, fake.pip_download, fake.installed, fake.free_bytes, fake.unpack
        );
        let path = self.path("bin/python3");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A folder that looks like libtorch of this version.
    fn libtorch(&self, path: &str, minor: u32) -> PathBuf {
        let dir = self.path(path);
        fs::create_dir_all(dir.join("lib")).unwrap();
        fs::create_dir_all(dir.join("include/torch/headeronly")).unwrap();
        for library in ["lib/libtorch_cpu.so", "lib/libtorch_cpu.dylib"] {
            fs::write(dir.join(library), "").unwrap();
        }
        let header = format!("#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {minor}\n");
        fs::write(dir.join("include/torch/headeronly/version.h"), header).unwrap();
        dir
    }

    /// Exit code and stderr of `cargo xtask ARGS`.
    fn xtask(&self, args: &[&str], libtorch: Option<&Path>) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).env_clear().env("PATH", self.path("bin"));
        command.env("CARGO_MANIFEST_DIR", self.path("repo/xtask"));
        if let Some(dir) = libtorch {
            command.env("LIBTORCH", dir);
        }
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn setup(&self) -> (i32, String) {
        self.xtask(&["setup"], None)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A folder left in the temporary directory is no reason to fail a test.
        fs::remove_dir_all(&self.root).ok();
    }
}

/// The last line is the one sentence; what pip said may stand before it.
#[track_caller]
fn assert_refused((code, stderr): (i32, String), sentence: &str) {
    let last = stderr.lines().last().unwrap_or_default();
    assert!(code == 2 && last.starts_with("error: ") && last.contains(sentence), "{code}: {stderr}");
}

#[test]
fn what_is_missing_is_named_in_one_sentence() {
    let world = World::new("missing");
    assert_refused(world.setup(), "no Python 3.8 or newer on the PATH");
    world.python(&FakePython { pip_version: "exit 1", ..Default::default() });
    assert_refused(world.setup(), "has no pip");
    world.python(&FakePython { free_bytes: "echo 1000000000", ..Default::default() });
    assert_refused(world.setup(), "needs 3.0 GB while it is unpacked and 1.0 GB are free");
    world.python(&FakePython { pip_download: "echo no network >&2; exit 1", ..Default::default() });
    assert_refused(world.setup(), "could not be downloaded");
    assert_refused(world.xtask(&["test"], None), "no C++ compiler: `c++` does not run");
    assert_refused(world.xtask(&["tset"], None), "no task `tset`");
    assert_refused(world.xtask(&["setup", "--coda"], None), "does not take `--coda`");
}

#[test]
fn a_libtorch_named_by_the_user_is_used_or_refused() {
    let world = World::new("named");
    let (code, stderr) = world.xtask(&["setup"], Some(&world.libtorch("good", 11)));
    assert!(code == 0 && stderr.contains("good"), "{stderr}");
    assert_refused(world.xtask(&["setup"], Some(&world.libtorch("old", 10))), "is libtorch 2.10, 2.11 is needed");
    assert_refused(world.xtask(&["setup"], Some(&world.path("nowhere"))), "LIBTORCH: ");
}

#[test]
fn an_installed_pytorch_is_linked_until_it_is_upgraded() {
    let world = World::new("installed");
    let torch = world.libtorch("site/torch", 11);
    let fake = FakePython { installed: format!("echo {}", torch.display()), ..Default::default() };
    let link = world.path("repo/.libtorch/torch");
    for _ in 0..2 {
        // The second run finds the link; what Python says no longer matters.
        let (code, stderr) = world.python(&fake).setup();
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(fs::read_link(&link).unwrap(), torch);
        fs::remove_file(world.path("bin/python3")).unwrap();
    }
    world.libtorch("site/torch", 12);
    world.python(&FakePython { pip_download: "exit 1", ..Default::default() });
    assert_refused(world.setup(), "could not be downloaded");
    world.libtorch("wheel", 11);
    let (code, stderr) = world.python(&FakePython { unpack: WHOLE, ..fake }).setup();
    assert!(code == 0 && stderr.contains("fetching"), "{stderr}");
    assert!(!link.is_symlink() && link.is_dir() && torch.exists());
}

#[test]
fn an_interrupted_set_up_is_repaired_by_running_it_again() {
    let world = World::new("interrupted");
    // Downloading is done; unpacking breaks off after one file.
    let half = "mkdir -p \"$3/torch/lib\"; echo half > \"$3/torch/lib/libhalf.so\"; exit 1";
    world.python(&FakePython { unpack: half, ..Default::default() });
    assert_refused(world.setup(), "could not be unpacked");
    assert!(!world.path("repo/.libtorch/torch").exists());

    world.libtorch("wheel", 11);
    world.python(&FakePython { unpack: WHOLE, ..Default::default() });
    for expected in [true, false] {
        let (code, stderr) = world.setup();
        assert_eq!((code, stderr.contains("fetching")), (0, expected), "{stderr}");
    }
    assert!(!world.path("repo/.libtorch/torch/lib/libhalf.so").exists());

    // A stamp of other pins is as good as none.
    fs::write(world.path("repo/.libtorch/cpu.stamp"), "torch==2.10.0\n").unwrap();
    let (code, stderr) = world.setup();
    assert!(code == 0 && stderr.contains("fetching"), "{stderr}");
}
