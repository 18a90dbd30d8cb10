//! Pipelines that are drawn at random, and edits of them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use flow_testkit::Random;

use crate::harness::Project;
use crate::oracle::{Node, Oracle, World};

/// A project: its stages (the source and the folds are always there) and its files' rows.
#[derive(Clone)]
pub struct Model {
    seed: i64,
    version: u32,
    names: usize,
    nodes: Vec<Node>,
    files: BTreeMap<String, Vec<(String, &'static str, usize)>>,
}

const OPS: [&str; 3] = ["copy", "upper", "first"];
const LABELS: [&str; 3] = ["x", "y", "-"];
const WORDS: [&str; 5] = ["apple", "Apple", "avocado", "bean", "cherry"];

impl Model {
    pub fn new(random: &mut Random) -> Self {
        let mut model = Self {
            seed: 0,
            version: 1,
            names: 0,
            nodes: Vec::new(),
            files: BTreeMap::new(),
        };
        for _ in 0..1 + random.below(3) {
            model.add_file(random);
        }
        for _ in 0..1 + random.below(7) {
            let node = model.node(random);
            model.nodes.push(node);
        }
        model
    }

    pub fn node_at(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index.checked_sub(1)?)
    }

    /// Works row by row from the source on, and joins no folds on the way: what folds can cut.
    pub fn row_wise(&self, mut index: usize) -> bool {
        let mut chosen = false;
        while let Some(node) = self.node_at(index) {
            index = match node {
                Node::Choose { from, .. } => {
                    chosen = true;
                    *from
                }
                // One choice over all folds of what was picked in each: leakage, and refused.
                Node::Pick { .. } if chosen => return false,
                Node::Map { from, .. } | Node::Pick { from, .. } => *from,
                _ => return false,
            };
        }
        true
    }

    /// A view that differs by fold: nothing that reads all folds at once can see through it.
    pub fn is_fold_view(&self, mut index: usize) -> bool {
        while let Some(Node::Choose { from, .. }) = self.node_at(index) {
            index = *from;
        }
        matches!(self.node_at(index), Some(Node::Pick { .. }))
    }

    pub fn node(&self, random: &mut Random) -> Node {
        let all: Vec<usize> = (0..=self.nodes.len()).collect();
        let only = |fits: &dyn Fn(usize) -> bool| -> Vec<usize> {
            all.iter().copied().filter(|&i| fits(i)).collect()
        };
        let row_wise = only(&|i| self.row_wise(i));
        let whole = only(&|i| !self.is_fold_view(i));
        let some = |random: &mut Random| {
            let n = 1 + random.below(3);
            (0..n).map(|_| *random.pick(&whole)).collect()
        };
        match random.below(8) {
            0..=2 => Node::Map {
                from: *random.pick(&all),
                op: OPS[random.below(OPS.len())],
                suffix: random.below(2),
            },
            3 => Node::Learner {
                from: *random.pick(&row_wise),
                depth: 1 + random.below(2),
            },
            4 => Node::Join { from: some(random) },
            5 => Node::Choose {
                from: *random.pick(&whole),
                keep: 1 + random.below(2),
            },
            6 => Node::Pick {
                from: *random.pick(&row_wise),
                keep: 1 + random.below(2),
            },
            _ => Node::Tweak {
                from: some(random),
                tag: random.below(2),
            },
        }
    }

    pub fn add_file(&mut self, random: &mut Random) {
        let file = (b'a' + random.below(6) as u8) as char;
        let rows = (0..1 + random.below(3)).map(|row| {
            let label = LABELS[random.below(LABELS.len())];
            (format!("{file}{row}"), label, random.below(WORDS.len()))
        });
        self.files.insert(file.to_string(), rows.collect());
    }

    pub fn name(&self, index: usize) -> String {
        match index {
            0 => "read".to_owned(),
            index => format!("s{}", index + self.names * 100),
        }
    }

    pub fn toml(&self) -> String {
        let port = |index: usize| match index {
            0 => "read.rows".to_owned(),
            index => self.name(index),
        };
        let mut text = format!(
            "[pipeline]\nseed = {}\n[stages.read]\nuse = \"source\"\ndir = \"data\"\n\
             [stages.folds]\nuse = \"folds\"\ninputs = {{ objects = \"read\" }}\n",
            self.seed
        );
        for (index, node) in self.nodes.iter().enumerate() {
            let names = node.from().into_iter().map(|i| format!("{:?}", port(i)));
            let names = names.collect::<Vec<_>>().join(", ");
            let one = format!("inputs = {{ rows = {names} }}");
            let list = format!("inputs = {{ rows = [{names}] }}");
            let folds = format!("inputs = {{ rows = {names}, folds = \"folds\" }}");
            let body = match node {
                Node::Map { op, suffix, .. } => {
                    format!("use = \"map\"\nop = {op:?}\nsuffix = \"{suffix}\"\n{one}")
                }
                Node::Choose { keep, .. } => format!("use = \"choose\"\nkeep = {keep}\n{one}"),
                Node::Pick { keep, .. } => format!("use = \"pick\"\nkeep = {keep}\n{folds}"),
                Node::Learner { depth, .. } => {
                    format!("use = \"learner\"\ndepth = {depth}\n{folds}")
                }
                Node::Join { .. } => format!("use = \"join\"\n{list}"),
                Node::Tweak { tag, .. } => format!("use = \"tweak\"\ntag = {tag}\n{list}"),
            };
            text.push_str(&format!("[stages.{}]\n{body}\n", self.name(index + 1)));
        }
        text.push_str("[outputs]\n");
        for index in self.delivered() {
            text.push_str(&format!("\"out/{index}.txt\" = {:?}\n", port(index)));
        }
        text
    }

    /// The stages with an output file: all but views.
    pub fn delivered(&self) -> Vec<usize> {
        let view = |i: &usize| {
            matches!(
                self.node_at(*i),
                Some(Node::Choose { .. } | Node::Pick { .. })
            )
        };
        (1..=self.nodes.len()).filter(|i| !view(i)).collect()
    }

    pub fn edit(&mut self, random: &mut Random) {
        match random.below(9) {
            0 => self.seed = random.below(2) as i64,
            1 => self.names = random.below(3),
            2 => self.version = 1 + random.below(2) as u32,
            3 => self.add_file(random),
            4 if self.files.len() > 1 => {
                let at = random.below(self.files.len());
                let name = self.files.keys().nth(at).cloned();
                self.files.remove(&name.unwrap());
            }
            5 => {
                let node = self.node(random);
                self.nodes.push(node);
            }
            6 | 7 => {
                let at = random.below(self.files.len());
                let rows = self.files.values_mut().nth(at).unwrap();
                let row = random.below(rows.len());
                rows[row].1 = LABELS[random.below(LABELS.len())];
                rows[row].2 = random.below(WORDS.len());
            }
            _ => {
                let at = random.below(self.nodes.len());
                match &mut self.nodes[at] {
                    Node::Map { op, .. } => *op = OPS[random.below(OPS.len())],
                    Node::Learner { depth, .. } => *depth = 1 + random.below(2),
                    Node::Join { from } => from.reverse(),
                    Node::Tweak { tag, .. } => *tag = random.below(3),
                    Node::Choose { keep, .. } | Node::Pick { keep, .. } => {
                        *keep = 1 + random.below(3);
                    }
                }
            }
        }
    }

    pub fn texts(&self) -> BTreeMap<String, String> {
        let text = |rows: &Vec<(String, &str, usize)>| {
            let lines = rows.iter();
            let lines = lines.map(|(id, label, word)| format!("{id} {label} {}\n", WORDS[*word]));
            lines.collect::<String>()
        };
        let files = self.files.iter();
        files
            .map(|(name, rows)| (name.clone(), text(rows)))
            .collect()
    }

    pub fn write(&self, project: &Project) {
        project
            .control
            .version
            .store(self.version, Ordering::SeqCst);
        // For actions in other processes.
        project.write(".flow/version", self.version.to_string());
        project.write("p.toml", self.toml());
        let data = project.root.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        for (name, text) in self.texts() {
            project.write(&format!("data/{name}.txt"), &text);
        }
    }

    pub fn oracle(&self) -> Oracle {
        Oracle::new(&World {
            seed: self.seed,
            version: self.version,
            names: (0..=self.nodes.len()).map(|i| self.name(i)).collect(),
            nodes: &self.nodes,
            files: self.texts(),
        })
    }
}
