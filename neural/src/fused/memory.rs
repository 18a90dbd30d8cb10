//! Memory that is asked for again and again.

/// The most freed memory that the process keeps, in bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 256 << 20;

/// Lets the process keep up to 256 MiB of freed memory for the next batch, from now on.
///
/// All tensors of a step of a fit are freed at its end, and those of the next step are as large. The allocator of glibc
/// would give the memory back to the system in between, which takes a third of the time of a small network. The most
/// memory that a process has at once does not change. Elsewhere this does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The largest that it may be, in bytes.
        const LARGEST: i32 = 32 << 20;
        // SAFETY: the function of the C library takes any numbers, at any time and in any thread.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
