//! Random pipelines under random edits and damage: after each, the output files are those of a run
//! without a cache, and a second run does nothing.
//!
//! `FLOW_MODEL_SEED=N` starts at another seed; a failure prints its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::harness::{Project, Ran};

const CASES: u64 = 100;
const EDITS: usize = 5;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// What a stage is; numbers are indices of earlier stages.
#[derive(Clone)]
enum Node {
    Map {
        from: usize,
        op: &'static str,
        suffix: usize,
    },
    Learner {
        from: usize,
        depth: usize,
    },
    Join {
        from: Vec<usize>,
    },
    Tweak {
        from: Vec<usize>,
        tag: usize,
    },
}

/// A project: its stages (the source and the folds are always there) and its files' rows.
#[derive(Clone)]
struct Model {
    seed: usize,
    names: usize,
    nodes: Vec<Node>,
    files: BTreeMap<String, Vec<(String, &'static str, usize)>>,
}

const OPS: [&str; 3] = ["copy", "upper", "first"];
const LABELS: [&str; 3] = ["x", "y", "-"];

impl Model {
    fn new(random: &mut Random) -> Self {
        let mut model = Self {
            seed: 0,
            names: 0,
            nodes: Vec::new(),
            files: BTreeMap::new(),
        };
        for _ in 0..1 + random.below(3) {
            model.add_file(random);
        }
        for _ in 0..1 + random.below(6) {
            let node = model.node(random);
            model.nodes.push(node);
        }
        model
    }

    /// Stages that work row by row from the source on: what folds can cut.
    fn row_wise(&self) -> Vec<usize> {
        let mut found = vec![0];
        for (index, node) in self.nodes.iter().enumerate() {
            if matches!(node, Node::Map { from, .. } if found.contains(from)) {
                found.push(index + 1);
            }
        }
        found
    }

    fn node(&self, random: &mut Random) -> Node {
        let any = |random: &mut Random| random.below(self.nodes.len() + 1);
        let some = |random: &mut Random| (0..1 + random.below(3)).map(|_| any(random)).collect();
        match random.below(5) {
            0 | 1 => Node::Map {
                from: any(random),
                op: OPS[random.below(OPS.len())],
                suffix: random.below(2),
            },
            2 => Node::Learner {
                from: *random.pick(&self.row_wise()),
                depth: 1 + random.below(2),
            },
            3 => Node::Join { from: some(random) },
            _ => Node::Tweak {
                from: some(random),
                tag: random.below(2),
            },
        }
    }

    fn add_file(&mut self, random: &mut Random) {
        let file = (b'a' + random.below(6) as u8) as char;
        let rows = (0..1 + random.below(3)).map(|row| {
            (
                format!("{file}{row}"),
                LABELS[random.below(LABELS.len())],
                random.below(5),
            )
        });
        self.files.insert(format!("{file}.txt"), rows.collect());
    }

    fn toml(&self) -> String {
        let name = |index: &usize| match index {
            0 => "read.rows".to_owned(),
            index => format!("s{}", index + self.names * 100),
        };
        let list = |from: &[usize]| {
            // A port takes each output once.
            let mut seen: Vec<usize> = Vec::new();
            from.iter().for_each(|index| {
                if !seen.contains(index) {
                    seen.push(*index)
                }
            });
            let names: Vec<String> = seen
                .iter()
                .map(|index| format!("{:?}", name(index)))
                .collect();
            names.join(", ")
        };
        let mut text = format!(
            "[pipeline]\nseed = {}\n[stages.read]\nuse = \"source\"\ndir = \"data\"\n\
             [stages.folds]\nuse = \"folds\"\ninputs = {{ objects = \"read\" }}\n",
            self.seed
        );
        for (index, node) in self.nodes.iter().enumerate() {
            let body = match node {
                Node::Map { from, op, suffix } => format!(
                    "use = \"map\"\nop = {op:?}\nsuffix = \"{suffix}\"\ninputs = {{ rows = {:?} }}",
                    name(from)
                ),
                Node::Learner { from, depth } => format!(
                    "use = \"learner\"\ndepth = {depth}\ninputs = {{ rows = {:?}, folds = \"folds\" }}",
                    name(from)
                ),
                Node::Join { from } => {
                    format!("use = \"join\"\ninputs = {{ rows = [{}] }}", list(from))
                }
                Node::Tweak { from, tag } => {
                    format!(
                        "use = \"tweak\"\ntag = {tag}\ninputs = {{ rows = [{}] }}",
                        list(from)
                    )
                }
            };
            writeln!(text, "[stages.{}]\n{body}", name(&(index + 1))).unwrap();
        }
        text.push_str("[outputs]\n");
        for index in 1..=self.nodes.len() {
            writeln!(text, "\"out/{index}.txt\" = {:?}", name(&index)).unwrap();
        }
        text
    }

    fn edit(&mut self, random: &mut Random) {
        match random.below(8) {
            0 => self.seed = random.below(2),
            1 => self.names = random.below(3),
            2 => self.add_file(random),
            3 if self.files.len() > 1 => {
                let name = self
                    .files
                    .keys()
                    .nth(random.below(self.files.len()))
                    .cloned();
                self.files.remove(&name.unwrap());
            }
            4 => {
                let node = self.node(random);
                self.nodes.push(node);
            }
            5 | 6 => {
                let at = random.below(self.files.len());
                let rows = self.files.values_mut().nth(at).unwrap();
                let row = random.below(rows.len());
                rows[row].1 = LABELS[random.below(LABELS.len())];
                rows[row].2 = random.below(5);
            }
            _ => {
                let at = random.below(self.nodes.len());
                match &mut self.nodes[at] {
                    Node::Map { op, .. } => *op = OPS[random.below(OPS.len())],
                    Node::Learner { depth, .. } => *depth = 1 + random.below(2),
                    Node::Join { from } => from.reverse(),
                    Node::Tweak { tag, .. } => *tag = random.below(3),
                }
            }
        }
    }

    fn write(&self, project: &Project) {
        let words = ["apple", "Apple", "avocado", "bean", "beet"];
        project.write("p.toml", &self.toml());
        let data = project.root.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        for (name, rows) in &self.files {
            let lines = rows
                .iter()
                .map(|(id, label, word)| format!("{id} {label} {}\n", words[*word]));
            project.write(&format!("data/{name}"), &lines.collect::<String>());
        }
    }
}

/// Removes or damages artifacts, and output files.
fn damage(project: &Project, ran: &Ran, random: &mut Random) {
    for (name, digest) in &ran.digests {
        let path = || project.artifact(ran, name);
        let what = random.below(12);
        if what > 2 || !path().exists() {
            continue;
        }
        let mut bytes = std::fs::read(path()).unwrap();
        std::fs::remove_file(path()).unwrap();
        match what {
            0 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
                std::fs::write(path(), bytes).unwrap();
            }
            1 => std::fs::write(path(), digest.hex()).unwrap(),
            _ => {}
        }
    }
    if random.below(2) == 0 {
        let output = project.root.join("out/1.txt");
        if output.exists() {
            std::fs::remove_file(output).unwrap();
        }
    }
}

fn check(project: &Project, context: &str) -> Ran {
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{context}: {:?}", ran.failures);
    for (path, expected) in project.uncached() {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{context}: {}", path.display());
    }
    let again = project.run();
    assert!(
        again.ran.is_empty(),
        "{context}: second run ran {:?}",
        again.ran
    );
    assert!(
        again.written.is_empty(),
        "{context}: second run wrote {:?}",
        again.written
    );
    again
}

#[test]
fn a_cached_run_gives_what_an_uncached_one_does() {
    let first = std::env::var("FLOW_MODEL_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + CASES {
        let mut random = Random(seed);
        let mut project = Project::new("");
        let mut model = Model::new(&mut random);
        let mut models = vec![model.clone()];
        model.write(&project);
        let mut ran = check(&project, &format!("FLOW_MODEL_SEED={seed}, first run"));
        for step in 0..EDITS {
            match random.below(4) {
                0 => damage(&project, &ran, &mut random),
                1 => model = random.pick(&models).clone(),
                _ => {}
            }
            for _ in 0..random.below(3) {
                model.edit(&mut random);
            }
            models.push(model.clone());
            project.jobs = 1 + random.below(3);
            model.write(&project);
            let context = format!("FLOW_MODEL_SEED={seed}, edit {step}\n{}", model.toml());
            ran = check(&project, &context);
        }
    }
}
