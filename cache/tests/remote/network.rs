//! A plain HTTP server that works, and all the ways in which it does not.

use std::time::{Duration, Instant};

use super::common::contents;
use super::server::{Fault, Server};
use super::{QUICK, Team};

fn team(server: &Server) -> Team {
    Team::at(server.url.clone())
}

#[test]
fn two_stores_share_a_server() {
    let server = Server::start();
    let team = team(&server);
    let a = team.writer("a");
    a.run(&[1, 2, 3]);
    assert_eq!((a.traffic().written, a.traffic().failed_writes), (3, 0));
    let b = team.writer("b");
    assert_eq!(b.learn(&[1, 2, 3, 4]), [1, 2, 3]);
    assert_eq!(b.bytes(2).unwrap(), contents(2));
    // The second writer of a record does not replace the first.
    let d = team.writer("d");
    d.make(3, b"other");
    d.settle();
    assert_eq!(d.traffic().different, 1);
    let c = team.reader("c");
    c.learn(&[3]);
    assert_eq!(c.bytes(3).unwrap(), contents(3));
}

#[test]
fn a_wave_of_records_is_under_way_at_once() {
    let server = Server::start();
    let team = team(&server);
    team.writer("a").run(&[1]);
    let pause = Duration::from_millis(100);
    server.rule(move |_, path, _| path.starts_with("records").then_some(Fault::Slow(pause)));
    let all: Vec<u32> = (1..40).collect();
    let b = team.reader("b");
    let begin = Instant::now();
    assert_eq!(b.learn(&all), [1]);
    assert!(begin.elapsed() < pause * 20, "{:?}", begin.elapsed());
    assert_eq!(server.asked("GET", "records/"), 39);
    // Nobody asks twice for what is not there.
    assert_eq!(b.learn(&all), [1]);
    assert_eq!(server.asked("GET", "records/"), 39);
}

#[test]
fn servers_that_are_busy_are_asked_again_when_they_say() {
    let server = Server::start();
    let team = team(&server);
    team.writer("a").run(&[1]);
    for status in [
        "500 Oops",
        "503 Slow Down",
        "429 Too Many Requests",
        "502 Bad Gateway",
    ] {
        server.rule(move |_, _, before| (before < 2).then_some(Fault::Answer(status, "")));
        let b = team.reader(&status[..3]);
        assert_eq!(b.learn(&[1]), [1], "{status}");
        assert_eq!(b.bytes(1).unwrap(), contents(1), "{status}");
        assert_eq!(b.traffic().failed_reads, 0);
    }
    let busy = Fault::Answer("503 Slow Down", "Retry-After: 1\r\n");
    server.rule(move |_, path, before| {
        (path.starts_with("records") && before < 1).then(|| busy.clone())
    });
    let begin = Instant::now();
    assert_eq!(team.reader("later").learn(&[1]), [1]);
    let waited = begin.elapsed();
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    // Nobody waits for an hour.
    let away = Fault::Answer("503 Slow Down", "Retry-After: 3600\r\n");
    server.rule(move |_, _, _| Some(away.clone()));
    let begin = Instant::now();
    assert!(team.reader("never").learn(&[1]).is_empty());
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_server_that_refuses_or_fails_or_hangs_is_given_up_with_one_warning() {
    let hang = Fault::Hang(Duration::from_secs(20));
    for (fault, why) in [
        (Fault::Answer("403 Forbidden", ""), "403"),
        (Fault::Answer("401 Unauthorized", ""), "401"),
        (Fault::Answer("500 Oops", ""), "500"),
        (hang, "nothing more is read"),
    ] {
        let server = Server::start();
        let team = team(&server);
        team.writer("a").run(&[1, 2]);
        let shown = format!("{fault:?}");
        server.rule(move |_, path, _| path.starts_with("records").then(|| fault.clone()));
        let b = team.reader("b");
        let begin = Instant::now();
        for wave in 0..20u32 {
            let wave: Vec<u32> = (wave * 5..wave * 5 + 5).collect();
            assert!(b.learn(&wave).is_empty(), "{shown}");
        }
        assert!(
            begin.elapsed() < Duration::from_secs(8),
            "{shown}: {:?}",
            begin.elapsed()
        );
        let warnings = b.warnings();
        assert_eq!(warnings.lines().count(), 1, "{shown}: {warnings}");
        assert!(warnings.contains(why), "{shown}: {warnings}");
        assert!(b.traffic().failed_reads > 0);
        assert_eq!(b.traffic().hits, 0);
    }
}

#[test]
fn a_record_that_comes_cut_is_a_miss() {
    let server = Server::start();
    let team = team(&server);
    team.writer("a").run(&[1, 2]);
    server.rule(|_, path, _| path.starts_with("records").then_some(Fault::Cut(3)));
    let b = team.reader("b");
    // The others are not there, which is an answer, so the remote is not given up.
    assert!(b.learn(&[1, 3, 4, 2, 5]).is_empty());
    assert_eq!(b.traffic().failed_reads, 2);
    assert_eq!(b.warnings(), "");
}

#[test]
fn a_port_where_nobody_listens_holds_up_nobody() {
    let team = Team::at("http://127.0.0.1:9/cache".to_owned());
    let b = team.writer("b");
    let begin = Instant::now();
    assert!(b.learn(&[1, 2, 3]).is_empty());
    b.run(&[1, 2, 3, 4, 5]);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(b.traffic().failed_writes, 5);
    assert_eq!(b.traffic().written, 0);
    assert_eq!(b.warnings().lines().count(), 2);
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_broke() {
    let server = Server::start();
    let team = team(&server);
    let noise = noise();
    let a = team.writer("a");
    a.make(1, &noise);
    a.settle();
    server.rule(|method, path, _| {
        (method == "GET" && path.starts_with("artifacts")).then_some(Fault::Cut(50_000))
    });
    let b = team.reader("b");
    assert_eq!(b.learn(&[1]), [1]);
    assert_eq!(b.bytes(1).unwrap(), noise);
    let log = &server.state.lock().unwrap().log;
    let ranges = log
        .iter()
        .filter(|(_, path, _)| path.starts_with("artifacts"));
    let ranges: Vec<&str> = ranges.map(|(_, _, range)| range.as_str()).collect();
    assert_eq!(ranges, ["", "50000", "100000", "150000"]);
    assert_eq!(b.traffic().fetched_bytes, b.traffic().wanted_bytes);
}

#[test]
fn a_slow_link_is_no_failure() {
    let server = Server::start();
    let team = team(&server);
    let a = team.writer("a");
    a.make(1, &contents(1).repeat(2));
    a.settle();
    let pause = QUICK.answer / 5;
    server.rule(move |_, path, _| path.starts_with("artifacts").then_some(Fault::Slow(pause)));
    let b = team.reader("b");
    assert_eq!(b.learn(&[1]), [1]);
    assert!(b.bytes(1).is_some());
    assert_eq!(b.traffic().failed_reads, 0);
}

/// Bytes that no compression makes smaller.
fn noise() -> Vec<u8> {
    let digest = |n: u32| *flow_cache::Digest::of(&n.to_le_bytes()).as_bytes();
    (0..5_000).flat_map(digest).collect()
}

#[test]
fn a_server_that_only_trickles_is_given_up() {
    let server = Server::start();
    let team = team(&server);
    let a = team.writer("a");
    a.make(1, &noise());
    a.settle();
    // Every piece comes in time, and all of them would take four minutes.
    let pause = QUICK.answer / 5;
    server.rule(move |_, path, _| path.starts_with("artifacts").then_some(Fault::Slow(pause)));
    let b = team.reader("b");
    assert_eq!(b.learn(&[1]), [1]);
    let begin = Instant::now();
    assert!(b.bytes(1).is_none());
    assert!(begin.elapsed() < QUICK.answer * 10, "{:?}", begin.elapsed());
    assert_eq!(b.traffic().failed_reads, 1);
}

#[test]
fn nobody_follows_a_server_that_points_elsewhere() {
    let elsewhere = Server::start();
    for (status, method) in [
        ("302 Found", "GET"),
        ("303 See Other", "PUT"),
        ("307 Away", "PUT"),
    ] {
        let server = Server::start();
        let team = team(&server);
        team.writer("a").run(&[1]);
        let header: &'static str = format!("location: {}/x\r\n", elsewhere.url).leak();
        server.rule(move |asked, _, _| (asked == method).then_some(Fault::Answer(status, header)));
        let b = team.writer("b");
        assert!(b.learn(&[1]).is_empty() || method == "PUT", "{status}");
        b.run(&[2, 3, 4]);
        assert_eq!((b.traffic().written, b.traffic().failed_writes), (0, 3));
        let warnings = b.warnings();
        assert!(warnings.contains(&elsewhere.url), "{status}: {warnings}");
    }
    assert_eq!(elsewhere.asked("", ""), 0);
}

#[test]
fn a_record_that_is_too_large_is_none() {
    let server = Server::start();
    let team = team(&server);
    team.writer("a").run(&[1, 2]);
    {
        let mut state = server.state.lock().unwrap();
        let mut records = state.objects.iter_mut();
        let record = records.find(|(path, _)| path.starts_with("records"));
        record.unwrap().1.resize(20 << 20, 0);
    }
    let b = team.reader("b");
    assert_eq!(b.learn(&[1, 2]).len(), 1);
    assert_eq!((b.traffic().damaged, b.traffic().failed_reads), (1, 0));
}

#[test]
fn failed_writes_are_counted_and_given_up() {
    for (status, most) in [
        ("403 Forbidden", 4),
        ("500 Oops", 60),
        ("400 Bad Request", 20),
    ] {
        let server = Server::start();
        let team = team(&server);
        server.rule(move |method, _, _| (method == "PUT").then_some(Fault::Answer(status, "")));
        let a = team.writer("a");
        let all: Vec<u32> = (0..50).collect();
        a.run(&all);
        let traffic = a.traffic();
        assert_eq!(
            (traffic.failed_writes, traffic.written),
            (50, 0),
            "{status}"
        );
        let warnings = a.warnings();
        assert_eq!(warnings.lines().count(), 1, "{warnings}");
        assert!(warnings.contains("nothing more is written"), "{warnings}");
        let asked = server.asked("PUT", "");
        assert!(asked <= most, "{status}: {asked} requests");
    }
}

#[test]
fn an_upload_that_hangs_can_be_left() {
    let server = Server::start();
    let team = team(&server);
    server.rule(|method, _, _| (method == "PUT").then(|| Fault::Hang(Duration::from_secs(30))));
    let a = team.writer("a");
    a.make(1, b"x");
    let begin = Instant::now();
    let left = a.remote.finish(
        &|| begin.elapsed() > Duration::from_millis(200),
        &mut |_| {},
    );
    assert_eq!(left, 1);
    assert!(begin.elapsed() < Duration::from_secs(1));
}
