//! Gives every binary of the package a RUNPATH to libtorch, so that it runs on its own, and compiles the calls of oneDNN.
//! RUNPATH and not RPATH: `LD_LIBRARY_PATH` can still point the program at another libtorch 2.11.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let macos = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
    // First the copy that `cargo xtask install` puts beside an installed program, then the one that it was built with.
    let origin = if macos { "@executable_path" } else { "$ORIGIN" };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{origin}/../lib/graphopt/torch/lib");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        let lib = Path::new(&libtorch).join("lib");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
    if !macos {
        println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags");
    }
    compile_onednn();
}

/// `src/runtime/onednn.cpp`, against the headers beside the libtorch that the bindings link.
fn compile_onednn() {
    const SOURCE: &str = "src/runtime/onednn.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys tells where libtorch is");
    let root = match std::env::var("LIBTORCH_INCLUDE") {
        Ok(root) => PathBuf::from(root),
        Err(_) => Path::new(&lib).parent().expect("a folder lib in a folder").to_owned(),
    };
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .warnings(false)
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .flag("-std=c++17")
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .file(SOURCE)
        .compile("graphopt_onednn");
}
