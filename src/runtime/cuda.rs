//! Loading CUDA when the program runs.
//!
//! The program links libtorch's CPU part alone, so that one file serves every machine. `libtorch_cuda.so` registers the
//! CUDA backend from its static initialisers; opening it is all that is needed. libtorch asks for that backend once and
//! remembers the answer, so it must be opened before libtorch is first asked about CUDA.
#![allow(unsafe_code)] // dlopen and calls into the NVIDIA driver have no safe interface.

#[cfg(target_os = "linux")]
pub(super) use linux::{device_name, driver_is_present, load_backend};

/// Why the CUDA backend could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoadError {
    /// libtorch on this system never has a CUDA part.
    #[cfg_attr(target_os = "linux", allow(dead_code))]
    Platform,
    /// This libtorch was built without CUDA.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    NoBackend,
    /// The CUDA part is there, but a library that it needs is not; the loader's message.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    MissingLibrary(String),
}

#[cfg(target_os = "linux")]
mod linux {
    use super::LoadError;
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::sync::OnceLock;

    const BACKEND: &CStr = c"libtorch_cuda.so";
    const DRIVER: &CStr = c"libcuda.so.1";

    /// Opens libtorch's CUDA part; further calls return the first answer.
    pub fn load_backend() -> Result<(), LoadError> {
        static LOADED: OnceLock<Result<(), LoadError>> = OnceLock::new();
        LOADED
            .get_or_init(|| match open(BACKEND, libc::RTLD_NOW | libc::RTLD_GLOBAL) {
                Ok(_) => Ok(()),
                // The loader's message begins with the file that it did not find.
                Err(message) if message.starts_with("libtorch_cuda.so:") => Err(LoadError::NoBackend),
                Err(message) => Err(LoadError::MissingLibrary(message)),
            })
            .clone()
    }

    /// Whether an NVIDIA driver is installed (not yet whether it has a device).
    pub fn driver_is_present() -> bool {
        open(DRIVER, libc::RTLD_LAZY).is_ok()
    }

    /// The name of a CUDA device as its driver gives it ("NVIDIA H200").
    pub fn device_name(index: usize) -> Option<String> {
        // The driver's own interface: every entry returns a status, 0 for success; a device handle is an int.
        type Init = unsafe extern "C" fn(u32) -> c_int;
        type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
        type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;

        let driver = open(DRIVER, libc::RTLD_LAZY).ok()?;
        let (init, get, name) =
            (symbol(driver, c"cuInit")?, symbol(driver, c"cuDeviceGet")?, symbol(driver, c"cuDeviceGetName")?);
        let mut text = [0u8; 256];
        let mut device: c_int = 0;
        // SAFETY: the three symbols come from the NVIDIA driver, whose published interface has these signatures; the
        // pointers are to live locals, and the length of the buffer is passed.
        let status = unsafe {
            let init = std::mem::transmute::<*mut c_void, Init>(init);
            let get = std::mem::transmute::<*mut c_void, Get>(get);
            let name = std::mem::transmute::<*mut c_void, Name>(name);
            match (init(0), get(&raw mut device, c_int::try_from(index).ok()?)) {
                (0, 0) => name(text.as_mut_ptr().cast(), text.len() as c_int, device),
                (0, status) | (status, _) => status,
            }
        };
        if status != 0 {
            return None;
        }
        CStr::from_bytes_until_nul(&text).ok()?.to_str().ok().map(str::to_owned)
    }

    /// Opens a shared library for the rest of the program's life, or gives the loader's message.
    fn open(name: &CStr, flags: c_int) -> Result<*mut c_void, String> {
        // SAFETY: `name` is a C string. The library's initialisers run here: that is what we want, and both libraries
        // are made to be opened at any time. `dlerror` answers for this thread and is copied at once.
        unsafe {
            let handle = libc::dlopen(name.as_ptr(), flags);
            if !handle.is_null() {
                return Ok(handle);
            }
            let message = libc::dlerror();
            if message.is_null() {
                return Err(format!("{} does not load", name.to_string_lossy()));
            }
            Err(CStr::from_ptr(message).to_string_lossy().into_owned())
        }
    }

    fn symbol(library: *mut c_void, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: `library` is a handle that `open` returned and that is never closed; `name` is a C string.
        let address = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!address.is_null()).then_some(address)
    }
}

/// libtorch has no CUDA part outside Linux (on the platforms that we build for).
#[cfg(not(target_os = "linux"))]
pub(super) fn load_backend() -> Result<(), LoadError> {
    Err(LoadError::Platform)
}

/// There is no driver to ask.
#[cfg(not(target_os = "linux"))]
pub(super) fn driver_is_present() -> bool {
    false
}

/// There is no driver to ask.
#[cfg(not(target_os = "linux"))]
pub(super) fn device_name(_index: usize) -> Option<String> {
    None
}
