//! How the C library's allocator treats memory that is given back.
//!
//! libtorch allocates each activation anew. By default glibc hands freed memory back to the system now and then, so that a
//! network pays for its pages again: on two cores MobileNet-v2 took 10.7 ms with memory kept and 13 to 18 ms without,
//! depending on what had been allocated before (77 ms with a mapping for every block above 128 KiB). Runtimes that deploy
//! networks keep an arena; times are only comparable with theirs, and with one another, if memory is kept.
#![allow(unsafe_code, reason = "mallopt has no safe binding")]

/// Makes freed memory stay with the process. Called once, before the first tensor; does nothing but on Linux with glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Blocks up to this size come from the heap, and this much may lie unused at its top: 1 GiB.
        const KEPT: libc::c_int = 1 << 30;
        // SAFETY: mallopt takes two integers and changes parameters of the allocator under its own lock; an unknown or
        // refused parameter is ignored.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
