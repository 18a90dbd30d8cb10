//! A file that is written again as soon as it was hashed, in the same tick of the clock and of the
//! same size: only the content can tell.

use flow_cache::{Digest, StatCache};
use flow_testkit::files::folder_in_memory;

#[test]
fn a_write_in_the_tick_of_the_hashing_is_noticed() {
    let dir = folder_in_memory();
    let (path, saved) = (dir.path().join("file"), dir.path().join("cache"));
    let cache = StatCache::open(&saved);
    for i in 0..1_000u32 {
        let text = format!("{i:08}");
        std::fs::write(&path, &text).unwrap();
        let digest = Digest::of(text.as_bytes());
        assert_eq!(cache.digest(&path).unwrap().0, digest, "write {i}");
    }
    // Nor by a later process.
    cache.save().unwrap();
    std::fs::write(&path, "another!").unwrap();
    let digest = StatCache::open(&saved).digest(&path).unwrap().0;
    assert_eq!(digest, Digest::of(b"another!"));
}
