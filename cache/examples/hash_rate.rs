//! How fast a file's digest is found, against BLAKE3 alone.
//!
//! Each line is the best of some turns, taken by turns: `memory` hashes as many bytes that are in
//! memory already, with the same threads and no reading at all; `mapped` is what `b3sum` does; `read`
//! is [`Digest::of_file`]. Gigabytes (10^9 bytes) a second of elapsed time, and CPU seconds.
//!
//! ```text
//! head -c 1G /dev/urandom > some-file
//! cargo run --release -p flow-cache --example hash_rate -- some-file
//! ```

#![allow(
    clippy::print_stdout,
    reason = "a program that measures time and prints it"
)]

use std::path::Path;
use std::time::Instant;

use flow_cache::Digest;

const TURNS: usize = 5;
/// Bytes that are hashed over and over, of which no cache of a processor holds all.
const BLOCK: usize = 256 << 20;

/// User plus system time of this process in seconds.
fn cpu_seconds() -> f64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

fn memory(block: &[u8], size: u64) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut left = size;
    while left > 0 {
        let now = left.min(block.len() as u64);
        hasher.update_rayon(&block[..now as usize]);
        left -= now;
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

fn mapped(path: &Path) -> std::io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path)?;
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "usage: hash_rate FILE")
    })?;
    let path = Path::new(&path);
    let size = std::fs::metadata(path)?.len();
    let block = vec![7; BLOCK];
    let mut best = [(f64::INFINITY, f64::INFINITY); 3];
    for _ in 0..TURNS {
        let mut digests = Vec::new();
        for (way, best) in best.iter_mut().enumerate() {
            let (started, cpu) = (Instant::now(), cpu_seconds());
            digests.push(match way {
                0 => memory(&block, size),
                1 => mapped(path)?,
                _ => Digest::of_file(path)?.0,
            });
            best.0 = best.0.min(started.elapsed().as_secs_f64());
            best.1 = best.1.min(cpu_seconds() - cpu);
        }
        assert_eq!(digests[1], digests[2]);
    }
    let threads = rayon::current_num_threads();
    for (name, (wall, cpu)) in ["memory", "mapped", "read"].iter().zip(best) {
        let rate = size as f64 * 1e-9 / wall;
        println!("{name:8} {rate:6.2} GB/s {cpu:7.3} CPU s ({threads} threads)");
    }
    Ok(())
}
