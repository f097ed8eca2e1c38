//! Gives every binary of the package a RUNPATH to libtorch, so that it runs on its own.
//! RUNPATH and not RPATH: `LD_LIBRARY_PATH` can still point the program at another libtorch 2.11.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
        if cfg!(target_os = "linux") {
            println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags");
        }
    }
}
