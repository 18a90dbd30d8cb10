//! Checks the properties of `fuzz/` on mutations of sound bytes, from fixed seeds: what the fuzzer
//! looks for, without a fuzzer.

#[path = "../fuzz/src/targets.rs"]
mod targets;

use flow_testkit::Random;

/// A stretch of `bytes`, usually a short one.
fn stretch(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let from = random.below(bytes.len() + 1);
    let most = [4, 40, bytes.len()][random.below(3)];
    let length = random.below(most + 1);
    from..bytes.len().min(from + length)
}

fn mutate(bytes: &mut Vec<u8>, tokens: &[&[u8]], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = stretch(bytes, random);
        match random.below(5) {
            0 => drop(bytes.drain(at)),
            1 => {
                let copy = bytes[at].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            2 => {
                let token = tokens[random.below(tokens.len())];
                bytes.splice(at, token.iter().copied());
            }
            3 => bytes.truncate(at.start),
            _ => {
                if let Some(byte) = bytes.get_mut(at.start) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

fn holds(target: fn(&[u8]), sound: &[u8], tokens: &[&[u8]], mutations: u64) {
    target(sound);
    for seed in 0..mutations {
        let mut bytes = sound.to_vec();
        mutate(&mut bytes, tokens, &mut Random(seed << 32));
        // A panic does not say which bytes caused it, but the seed gives them.
        let ended = std::panic::catch_unwind(|| target(&bytes));
        assert!(ended.is_ok(), "seed {seed}: {}", bytes.escape_ascii());
    }
}

#[test]
fn segments_survive_any_damage() {
    let tokens: [&[u8]; 4] = [b"flow-row", b"flow-rw2", b"flowseg1", &[0xff; 9]];
    holds(
        targets::record,
        &flow_cache::fuzzing::example(),
        &tokens,
        3_000,
    );
}

#[test]
fn pipelines_are_loaded_or_refused() {
    let tokens: [&[u8]; 8] = [
        b"[stages.x]\n",
        b"use = \"command\"\n",
        b"inputs = { curves = \"ingest\" }\n",
        b"each = \"x\"\n",
        b"= [[",
        b"\"",
        b"-9223372036854775808",
        b"\xc3\x28",
    ];
    for text in [include_str!("../pipelines/stack.toml"), targets::BASE] {
        assert!(targets::load_toml(text.as_bytes()).is_ok());
        holds(targets::toml, text.as_bytes(), &tokens, 2_000);
    }
}

#[test]
fn surveys_are_read_or_refused() {
    let tokens: [&[u8]; 8] = [
        b",",
        b"\n",
        b"\"",
        b"\r",
        b"nan",
        b"1e999",
        b"\xc3\x28",
        b"\0",
    ];
    assert_eq!(targets::read_csv(&targets::example_csv()).unwrap(), 6);
    holds(targets::csv, &targets::example_csv(), &tokens, 3_000);
}
