//! Gives every binary of the package a RUNPATH to libtorch, so that it runs on its own.
//! RUNPATH and not RPATH: `LD_LIBRARY_PATH` can still point the program at another libtorch 2.11.

use std::path::Path;

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
}
