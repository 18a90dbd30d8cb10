//! A real S3 server, such as moto's, by hand: `TEST_S3_URL=s3://bucket/prefix` with the variables of
//! the server, `cargo test -p flow-cache --features remote --test remote -- --ignored --nocapture s3`.

use std::time::Instant;

use super::common::contents;
use super::{Member, Team, writing};
use flow_cache::{Digest, Limits, RemoteOptions};

/// Limits for a server that a hundred writers keep busy.
const PATIENT: Limits = Limits {
    connect: std::time::Duration::from_secs(10),
    answer: std::time::Duration::from_secs(60),
    pause: std::time::Duration::from_millis(200),
};

fn team(name: &str) -> Option<Team> {
    let url = std::env::var("TEST_S3_URL").ok()?;
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    Some(Team::at(format!("{url}/{name}-{}", now.as_nanos())))
}

fn member(team: &Team, name: &str, write: bool) -> Member {
    let options = RemoteOptions { write, ..writing() };
    team.with_limits(name, options, PATIENT)
}

#[test]
#[ignore = "it needs a server"]
#[allow(clippy::print_stdout)] // it is run by hand, for its figures
fn a_hundred_writers_at_a_server() {
    let Some(team) = team("writers") else { return };
    let members: Vec<Member> = (0..100)
        .map(|n| member(&team, &format!("w{n}"), true))
        .collect();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for (n, member) in members.iter().enumerate() {
            scope.spawn(move || member.run(&[0, 1, 1000 + n as u32]));
        }
    });
    println!("100 writers took {:.1} s", begin.elapsed().as_secs_f64());
    for member in &members {
        assert_eq!(member.traffic().failed_writes, 0, "{}", member.warnings());
        assert_eq!(member.traffic().different, 0);
    }
    let all: Vec<u32> = [0, 1].into_iter().chain(1000..1100).collect();
    let reader = member(&team, "reader", false);
    let begin = Instant::now();
    assert_eq!(reader.learn(&all), all);
    println!("102 records took {:.2} s", begin.elapsed().as_secs_f64());
    for n in all {
        assert_eq!(reader.bytes(n).unwrap(), contents(n));
    }
    let stat = reader.remote.stat().unwrap();
    assert_eq!((stat.records, stat.artifacts, stat.damaged), (102, 102, 0));
    let gone = reader.remote.gc(std::time::Duration::ZERO, true).unwrap();
    assert_eq!(gone.records_before, 102);
}

#[test]
#[ignore = "it needs a server"]
#[allow(clippy::print_stdout)] // it is run by hand, for its figures
fn throughput_of_a_server() {
    let Some(team) = team("throughput") else {
        return;
    };
    let megabytes: usize = std::env::var("TEST_S3_MB").map_or(64, |n| n.parse().unwrap());
    let noise = |n: u32| -> Vec<u8> {
        let blocks = (0..megabytes as u32 * 32_768)
            .map(|i| blake3::hash(&[n, i].map(u32::to_le_bytes).concat()));
        blocks.flat_map(|block| *block.as_bytes()).collect()
    };
    let writer = member(&team, "a", true);
    let all: Vec<Vec<u8>> = (0..4).map(noise).collect();
    let total = (all.len() * megabytes) as f64;
    let begin = Instant::now();
    for (n, bytes) in (0..).zip(&all) {
        writer.make(n, bytes);
    }
    let kept = begin.elapsed().as_secs_f64();
    writer.settle();
    let sent = begin.elapsed().as_secs_f64();
    println!(
        "put {total} MB: store {kept:.2} s, then sent after {sent:.2} s: {:.0} MB/s",
        total / sent
    );
    let reader = member(&team, "b", false);
    assert_eq!(reader.learn(&[0, 1, 2, 3]).len(), 4);
    let digests: Vec<Digest> = all.iter().map(|bytes| Digest::of(bytes)).collect();
    let begin = Instant::now();
    assert!(reader.store.ensure(digests).unwrap().is_empty());
    let took = begin.elapsed().as_secs_f64();
    println!("got {total} MB in {took:.2} s: {:.0} MB/s", total / took);
}
