//! Whose records are used.

use super::common::{contents, key};
use super::{Team, change, objects, writing};
use flow_cache::{RemoteOptions, SigningKey, Trust};

/// A key pair, made anew each time it is asked for by another name.
fn signer(team: &Team, name: &str) -> SigningKey {
    let path = team.dir.path().join(format!("{name}.key"));
    SigningKey::read(&path).unwrap_or_else(|_| SigningKey::create(&path).unwrap())
}

fn signing(team: &Team, name: &str) -> RemoteOptions {
    RemoteOptions {
        key: Some(signer(team, name)),
        ..writing()
    }
}

fn trusting(team: &Team, name: &str) -> RemoteOptions {
    RemoteOptions {
        trust: Trust::Signed(vec![signer(team, name).public()]),
        ..RemoteOptions::default()
    }
}

#[test]
fn records_are_used_only_if_a_trusted_key_has_signed_them() {
    let team = Team::new();
    team.member("a", signing(&team, "ci")).run(&[1]);
    team.writer("unsigned").run(&[2]);
    team.member("mallory", signing(&team, "mallory")).run(&[3]);
    team.member("forger", signing(&team, "ci")).run(&[4]);
    // The outputs of a signed record are those of another one, and the check is made to fit.
    let hex = key(4).0.hex();
    let path = team
        .remote()
        .join("records")
        .join(&hex[..2])
        .join(&hex[2..]);
    let (from, to) = [4, 3].map(|n| flow_cache::Digest::of(&contents(n))).into();
    change(&path, |bytes| {
        let end = bytes.len() - 32;
        let at = bytes
            .windows(32)
            .position(|w| w == from.as_bytes())
            .unwrap();
        bytes[at..at + 32].copy_from_slice(to.as_bytes());
        let check = *flow_cache::Digest::of(&bytes[..end]).as_bytes();
        bytes[end..].copy_from_slice(&check);
    });

    let reader = team.member("reader", trusting(&team, "ci"));
    assert_eq!(reader.learn(&[1, 2, 3, 4]), [1]);
    assert_eq!(reader.bytes(1).unwrap(), contents(1));
    assert_eq!((reader.traffic().refused, reader.traffic().damaged), (3, 0));
    let warnings = reader.warnings();
    for why in ["not signed", "a key that is not trusted", "signed wrongly"] {
        assert!(warnings.contains(why), "{why} in {warnings}");
    }
    // Without signatures, whoever can write is believed, also about wrong outputs.
    let credulous = team.reader("credulous");
    assert_eq!(credulous.learn(&[1, 2, 3, 4]), [1, 2, 3, 4]);
    assert_eq!(credulous.bytes(4).unwrap(), contents(3));
}

#[test]
fn a_signer_replaces_what_it_does_not_trust() {
    let team = Team::new();
    team.writer("unsigned").run(&[1]);
    let both = RemoteOptions {
        trust: trusting(&team, "ci").trust,
        ..signing(&team, "ci")
    };
    team.member("ci", both).run(&[1]);
    let reader = team.member("reader", trusting(&team, "ci"));
    assert_eq!(reader.learn(&[1]), [1]);
    assert_eq!(objects(&team.remote(), "records").len(), 1);
    let stat = reader.remote.stat().unwrap();
    assert_eq!((stat.records, stat.signed), (1, 1));
}
