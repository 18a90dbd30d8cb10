//! Power loss: the recorded steps of a run, of which only what was synced is sure to survive.
//!
//! Model: a name in a directory is sure after a sync of that directory, bytes of a file after a
//! sync of that file. Whatever else was done may survive or not, name by name and in any prefix of
//! the bytes, whose lost tail may read as zeros or, where a file was cut and written again, as before.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use common::{action, commit, contents, key};
use flow_cache::testing::fault::Strike;
use flow_cache::testing::recorder::{self, Op};
use flow_cache::{Digest, GcPolicy, Health, Store};
use flow_testkit::Random;
use flow_testkit::files::folder_in_memory as tempdir;
use flow_testkit::store::{arm, segments};

#[derive(Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: usize,
    /// What was cut off, and may come back in place of what was written there since.
    cut: Vec<u8>,
}

/// What a name pointed to over time; states before `sure` cannot come back.
struct Name {
    states: Vec<Option<usize>>,
    sure: usize,
}

#[derive(Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Name>,
    dirs: BTreeMap<PathBuf, bool>,
}

impl Disk {
    fn set(&mut self, path: &Path, inode: Option<usize>) {
        let name = self.names.entry(path.to_path_buf()).or_insert(Name {
            states: vec![None],
            sure: 0,
        });
        name.states.push(inode);
    }

    fn inode(&self, path: &Path) -> usize {
        self.names[path].states.last().unwrap().unwrap()
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Mkdir(path) => drop(self.dirs.insert(path.clone(), false)),
            Op::Create(path) => {
                self.inodes.push(Inode::default());
                self.set(path, Some(self.inodes.len() - 1));
            }
            Op::Append(path, bytes) => {
                let inode = self.inode(path);
                self.inodes[inode].bytes.extend_from_slice(bytes);
            }
            Op::Truncate(path, length) => {
                let inode = self.inode(path);
                let inode = &mut self.inodes[inode];
                inode.cut = inode.bytes.clone();
                inode.bytes.truncate(*length as usize);
                inode.synced = inode.synced.min(inode.bytes.len());
            }
            Op::Sync(path) => {
                let inode = self.inode(path);
                self.inodes[inode].synced = self.inodes[inode].bytes.len();
                self.inodes[inode].cut.clear();
            }
            Op::SyncDir(dir) => {
                let inside = self
                    .names
                    .iter_mut()
                    .filter(|(p, _)| p.parent() == Some(dir));
                inside.for_each(|(_, name)| name.sure = name.states.len() - 1);
                let inside = self
                    .dirs
                    .iter_mut()
                    .filter(|(p, _)| p.parent() == Some(dir));
                inside.for_each(|(_, sure)| *sure = true);
            }
            Op::Link(from, to) => self.set(to, Some(self.inode(from))),
            Op::Rename(from, to) => {
                self.set(to, Some(self.inode(from)));
                self.set(from, None);
            }
            Op::Remove(path) => self.set(path, None),
        }
    }

    /// Writes what survives to `to`, in place of `root`.
    fn survive(&self, root: &Path, to: &Path, random: &mut Random) {
        let moved = |path: &Path| to.join(path.strip_prefix(root).unwrap());
        for (dir, sure) in &self.dirs {
            if *sure || random.below(2) == 0 {
                let _ = fs::create_dir(moved(dir));
            }
        }
        let mut files: HashMap<usize, Vec<u8>> = HashMap::new();
        for (path, name) in &self.names {
            let state = name.sure + random.below(name.states.len() - name.sure);
            let Some(number) = name.states[state] else {
                continue;
            };
            let bytes = files.entry(number).or_insert_with(|| {
                let inode = &self.inodes[number];
                let unsure = inode.bytes.len() - inode.synced;
                let kept = inode.synced + random.below(unsure + 1);
                let mut bytes = inode.bytes[..kept].to_vec();
                match random.below(3) {
                    0 => bytes.resize(inode.bytes.len(), 0),
                    1 => bytes.extend(inode.cut.iter().skip(kept)),
                    _ => {}
                }
                bytes
            });
            // A file in a directory that did not survive is gone with it.
            let _ = fs::write(moved(path), bytes);
        }
    }
}

/// Steps from the opening of a store on, and the actions that are committed after each number of steps.
fn record(root: &Path) -> (Vec<Op>, Vec<(usize, u32)>) {
    drop(Store::open(root).unwrap());
    recorder::record(root);
    let first = Store::open(root).unwrap();
    commit(&first, &[1]).unwrap();
    let second = Store::open(root).unwrap();
    commit(&second, &[2, 3]).unwrap();
    let fails = |point: &str, action: u32| {
        arm(root, point, 0, Strike::Error(libc::ENOSPC));
        assert!(commit(&second, &[action]).unwrap_err().is_disk_full());
    };
    // A writer that fails leaves half a row, which the next one cuts off, and a directory whose name it
    // did not make durable, which the next one uses.
    fails("commit.append-half", 6);
    fails("commit.link", 4);
    commit(&first, &[4]).unwrap();
    second
        .commit(vec![action(&second, 1, b"orphan").unwrap()])
        .unwrap();
    drop(first);
    // A second segment, so that gc has something to merge and remove.
    let segment = segments(root).remove(0);
    fs::copy(&segment, segment.with_file_name("copy.seg")).unwrap();
    assert!(!second.gc(&GcPolicy::default()).unwrap().in_use);
    commit(&second, &[5]).unwrap();
    let ops = recorder::recorded(root);
    assert!(ops.iter().any(|op| matches!(op, Op::Truncate(..))));
    assert!(ops.contains(&Op::Remove(segment)), "gc merged nothing");
    let is_segment = |path: &Path| path.extension().is_some_and(|e| e == "seg");
    let syncs = ops.iter().enumerate().filter_map(|(i, op)| match op {
        Op::Sync(path) if is_segment(path) => Some(i + 1),
        _ => None,
    });
    let groups: [&[u32]; 4] = [&[1], &[2, 3], &[4], &[5]];
    let durable: Vec<(usize, u32)> = syncs
        .zip(groups)
        .flat_map(|(after, group)| group.iter().map(move |&n| (after, n)))
        .collect();
    assert_eq!(durable.len(), 5);
    (ops, durable)
}

#[test]
fn every_prefix_and_random_losses_leave_a_consistent_store() {
    let dir = tempdir();
    let root = dir.path().join("store");
    let (ops, durable) = record(&root);
    let prefixes = 0..=ops.len();
    let random_cuts = (0..1_000).map(|seed| Random(seed).below(ops.len() + 1));
    for (seed, cut) in prefixes.chain(random_cuts).enumerate() {
        let mut random = Random(1_000 + seed as u64);
        let mut disk = Disk::default();
        ops[..cut].iter().for_each(|op| disk.apply(op));
        let survivor = tempdir();
        for part in ["artifacts", "records", "tmp", "locks", "quarantine"] {
            fs::create_dir(survivor.path().join(part)).unwrap();
        }
        fs::write(survivor.path().join("format"), "flow-store 2\n").unwrap();
        disk.survive(&root, survivor.path(), &mut random);

        let what = format!("seed {seed}, {cut} of {} steps", ops.len());
        let store = Store::open(survivor.path()).unwrap();
        for n in 1..=5 {
            let record = store.lookup(&key(n)).unwrap();
            let promised = durable.iter().any(|&(after, d)| d == n && cut >= after);
            assert!(record.is_some() || !promised, "{what}: record {n} is lost");
            if let Some(record) = record {
                let digest = record.outputs[0].digest;
                assert_eq!(digest, Digest::of(&contents(n)), "{what}");
                assert_eq!(
                    store.check(&digest).unwrap(),
                    Health::Ok,
                    "{what}: output of {n}"
                );
            }
        }
        commit(&store, &[1, 2, 3, 4, 5]).unwrap();
        assert_eq!(Store::open(survivor.path()).unwrap().len(), 5, "{what}");
    }
}
