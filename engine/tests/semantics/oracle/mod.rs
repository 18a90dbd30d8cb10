//! What a pipeline of the tiny kinds must give, computed from its sources without the engine:
//! every action with what decides it, what it reads and the text it writes.
//!
//! The kinds' meaning is written down here a second time, and so are the rules by which stages
//! multiply over folds and shards, in the simplest way that comes to mind.

mod kinds;

use std::collections::BTreeMap;

use flow_cache::Digest;

/// What a stage is; numbers are indices of earlier stages, 0 the source.
#[derive(Clone, Debug)]
pub enum Node {
    Map {
        from: usize,
        op: &'static str,
        suffix: usize,
    },
    /// A view fitted once on all rows.
    Choose {
        from: usize,
        keep: usize,
    },
    /// A view fitted fold by fold on training rows.
    Pick {
        from: usize,
        keep: usize,
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

impl Node {
    /// The stages that it reads, each once.
    pub fn from(&self) -> Vec<usize> {
        match self {
            Self::Join { from } | Self::Tweak { from, .. } => {
                let mut seen = Vec::new();
                for index in from {
                    if !seen.contains(index) {
                        seen.push(*index);
                    }
                }
                seen
            }
            Self::Map { from, .. }
            | Self::Choose { from, .. }
            | Self::Pick { from, .. }
            | Self::Learner { from, .. } => vec![*from],
        }
    }
}

/// Everything that decides a result.
pub struct World<'a> {
    /// Seed of the pipeline.
    pub seed: i64,
    /// Version of kind `map`.
    pub version: u32,
    /// Name of each stage, that of the source first.
    pub names: Vec<String>,
    /// The stages after the source.
    pub nodes: &'a [Node],
    /// Text of each source file by its stem.
    pub files: BTreeMap<String, String>,
}

/// An action.
pub struct Act {
    /// As `STAGE: LABEL`.
    pub name: String,
    /// All that decides its result: equal actions have equal ones.
    pub identity: String,
    /// The actions whose bytes it reads.
    pub needs: Vec<usize>,
    /// Name and text of what it writes.
    pub output: (&'static str, String),
}

impl Act {
    /// The digest of its output.
    pub fn digest(&self) -> Digest {
        Digest::of(self.output.1.as_bytes())
    }
}

/// All actions, in an order of dependence, and by stage what others may read of them.
pub struct Oracle {
    pub acts: Vec<Act>,
    stages: Vec<Stage>,
    /// `ID LABEL` of all objects in order, with the file that holds them.
    objects: Vec<(String, usize)>,
    split: usize,
}

#[derive(Default)]
struct Stage {
    cells: Vec<Cell>,
    /// The cells hold views through which that stage is seen.
    view_of: Option<usize>,
}

/// An action and where it stands; none where it has no rows.
#[derive(Clone, Copy)]
struct Cell {
    fold: Option<usize>,
    shard: Option<usize>,
    act: Option<usize>,
}

/// Where an action stands.
type At = (Option<usize>, Option<usize>);

/// What an action reads.
struct Part {
    act: usize,
    /// The fold, where parts stand for different ones.
    fold: Option<usize>,
    /// Innermost first.
    views: Vec<Option<usize>>,
    /// The rows that count, where not all do.
    rows: Option<Vec<String>>,
    shard: Option<usize>,
}

const FOLDS: [&str; 3] = ["0", "1", "final"];

fn words(line: &str) -> [&str; 3] {
    let mut words = line.splitn(3, ' ');
    [(); 3].map(|()| words.next().unwrap_or(""))
}

/// Which rows a fold trains on (true), applies to (false), or leaves alone.
fn trains(id: &str, label: &str, fold: usize) -> Option<bool> {
    let group = usize::from(id.as_bytes()[0] - b'a') % 2;
    match (label == "-", fold == 2) {
        (true, true) => Some(false),
        (true, false) => None,
        (false, true) => Some(true),
        (false, false) => Some(group != fold),
    }
}

fn sorted(mut lines: Vec<String>) -> String {
    lines.sort();
    lines.concat()
}

impl Oracle {
    /// Evaluates everything.
    pub fn new(world: &World<'_>) -> Self {
        let mut oracle = Self {
            acts: Vec::new(),
            stages: Vec::new(),
            objects: Vec::new(),
            split: 0,
        };
        oracle.source(world);
        for (index, node) in world.nodes.iter().enumerate() {
            let name = &world.names[index + 1];
            let stage = match node {
                Node::Map { from, op, suffix } => {
                    oracle.map(name, world.version, *from, op, *suffix)
                }
                Node::Choose { from, keep } => oracle.choose(name, *from, *keep),
                Node::Pick { from, keep } => oracle.pick(name, *from, *keep),
                Node::Learner { from, depth } => oracle.learner(name, world.seed, *from, *depth),
                Node::Join { .. } => oracle.join(name, &node.from()),
                Node::Tweak { tag, .. } => oracle.tweak(name, &node.from(), *tag),
            };
            oracle.stages.push(stage);
        }
        oracle
    }

    fn add(&mut self, name: String, identity: String, needs: Vec<usize>, out: Text) -> usize {
        self.acts.push(Act {
            name,
            identity,
            needs,
            output: out,
        });
        self.acts.len() - 1
    }

    fn source(&mut self, world: &World<'_>) {
        let mut stage = Stage::default();
        for (shard, (label, text)) in world.files.iter().enumerate() {
            let identity = format!("source read {}", Digest::of(text.as_bytes()));
            let name = format!("read: read {label}");
            let act = self.add(name, identity, Vec::new(), ("rows", text.clone()));
            stage.cells.push(Cell {
                fold: None,
                shard: Some(shard),
                act: Some(act),
            });
        }
        self.stages.push(stage);
        let all = self.parts(0, (None, None));
        let mut lines = Vec::new();
        for part in &all {
            let text = &self.acts[part.act].output.1;
            let ids: Vec<&str> = text.lines().map(|line| words(line)[0]).collect();
            let shard = Digest::of(ids.join("\n").as_bytes()).hex();
            for line in text.lines() {
                let [id, label, _] = words(line);
                lines.push(format!("{id} {label} {shard}\n"));
                self.objects
                    .push((format!("{id} {label}"), part.shard.unwrap()));
            }
        }
        // An id is in one file only, so the shard does not matter for the order.
        self.objects.sort();
        let identity = format!("source collect {}", self.keyed(&all));
        let needs = self.needs(&all, None);
        let name = "read: collect".to_owned();
        let objects = self.add(name, identity, needs, ("objects", sorted(lines)));

        let mut table = String::new();
        for (object, _) in &self.objects {
            let (id, label) = object.split_once(' ').unwrap();
            for (fold, name) in FOLDS.iter().enumerate() {
                let role = match trains(id, label, fold) {
                    Some(true) => "train",
                    Some(false) => "apply",
                    None => continue,
                };
                table.push_str(&format!("{name} {id} {role}\n"));
            }
        }
        let identity = format!("folds split 2 {}", self.acts[objects].digest());
        let name = "folds: split".to_owned();
        self.split = self.add(name, identity, vec![objects], ("folds", table));
    }

    fn dims(&self, stage: usize) -> (bool, bool) {
        let stage = &self.stages[stage];
        let (fold, shard) = stage.view_of.map_or((false, false), |from| self.dims(from));
        (
            fold || stage.cells.iter().any(|cell| cell.fold.is_some()),
            shard || stage.cells.iter().any(|cell| cell.shard.is_some()),
        )
    }

    /// What someone at `at` reads of a stage: its own part in the dimensions they share.
    fn parts(&self, mut stage: usize, at: At) -> Vec<Part> {
        let own = |cell: &Cell| {
            let same = |own: Option<usize>, other| own.is_none() || other == own;
            (cell.fold.is_none() || same(at.0, cell.fold))
                && (cell.shard.is_none() || same(at.1, cell.shard))
        };
        let mut views = Vec::new();
        while let Some(from) = self.stages[stage].view_of {
            let mut cells = self.stages[stage].cells.iter().filter(|cell| own(cell));
            views.push(cells.next().unwrap().act);
            assert!(cells.next().is_none(), "a view of several folds");
            stage = from;
        }
        views.reverse();
        let cells = self.stages[stage].cells.iter().filter(|cell| own(cell));
        let there = cells.filter_map(|cell| Some((cell, cell.act?)));
        let parts = there.map(|(cell, act)| Part {
            act,
            fold: cell.fold.filter(|_| at.0.is_none()),
            views: views.clone(),
            rows: None,
            shard: cell.shard,
        });
        parts.collect()
    }

    /// Only the parts that hold rows with a role in a fold, with these rows.
    fn rows(&self, stage: usize, fold: usize, shard: Option<usize>, train: bool) -> Vec<Part> {
        let mut parts = self.parts(stage, (Some(fold), shard));
        parts.retain_mut(|part| {
            let objects = self.objects.iter().filter(|(_, s)| Some(*s) == part.shard);
            let rows = objects.map(|(object, _)| object.clone()).filter(|object| {
                let (id, label) = object.split_once(' ').unwrap();
                trains(id, label, fold) == Some(train)
            });
            let rows: Vec<String> = rows.collect();
            let any = !rows.is_empty();
            part.rows = Some(rows);
            any
        });
        parts
    }

    /// The lines of a part, seen through its views.
    fn text(&self, part: &Part) -> String {
        let mut text = self.acts[part.act].output.1.clone();
        for view in &part.views {
            let letters = &self.acts[view.unwrap()].output.1;
            let seen = text.lines().map(|line| {
                let [id, label, value] = words(line);
                let first = value.chars().next().map(|c| c.to_ascii_lowercase());
                match first.is_some_and(|c| letters.contains(c)) {
                    true => format!("{line}\n"),
                    false => format!("{id} {label} ?\n"),
                }
            });
            text = seen.collect();
        }
        text
    }

    /// The lines of the rows that count, in order.
    fn lines(&self, parts: &[Part]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in parts {
            let rows = part.rows.as_ref().unwrap();
            let text = self.text(part);
            let id = |row: &str| row.split(' ').next().map(str::to_owned);
            let ids: Vec<_> = rows.iter().map(|row| id(row)).collect();
            let counts = |line: &&str| ids.contains(&id(line));
            lines.extend(text.lines().filter(counts).map(str::to_owned));
        }
        lines.sort();
        lines
    }

    /// Parts in the order in which they count: by fold, then by their bytes.
    fn in_order<'p>(&self, parts: &'p [Part]) -> Vec<&'p Part> {
        let mut parts: Vec<&Part> = parts.iter().collect();
        parts.sort_by_key(|part| (part.fold, self.acts[part.act].digest()));
        parts
    }

    /// What of some parts decides a result.
    fn keyed(&self, parts: &[Part]) -> String {
        let parts = self.in_order(parts);
        let part = |part: &&Part| {
            let views = part.views.iter().map(|view| view.map(|v| self.digest(v)));
            let views: Vec<_> = views.collect();
            let fold = part.fold.map(|fold| FOLDS[fold]);
            format!("{:?}", (self.digest(part.act), fold, &part.rows, views))
        };
        parts.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    fn digest(&self, act: usize) -> String {
        self.acts[act].digest().hex()
    }

    fn needs(&self, parts: &[Part], fold: Option<usize>) -> Vec<usize> {
        let mut needs: Vec<usize> = fold.map(|_| self.split).into_iter().collect();
        for part in parts {
            needs.push(part.act);
            needs.extend(part.views.iter().flatten());
        }
        needs
    }

    fn label(&self, stage: &str, step: &str, fold: Option<usize>, shard: Option<usize>) -> String {
        let mut label = format!("{stage}: {step}");
        if let Some(fold) = fold {
            label.push_str(&format!(" {}", FOLDS[fold]));
        }
        if let Some(shard) = shard {
            let read = &self.acts[self.stages[0].cells[shard].act.unwrap()].name;
            label.push_str(read.strip_prefix("read: read").unwrap());
        }
        label
    }

    /// What the output file of a stage holds, and the actions behind it in their order.
    pub fn file(&self, stage: usize) -> (String, Vec<usize>) {
        let cells = self.stages[stage].cells.iter();
        let acts: Vec<usize> = cells.filter_map(|cell| cell.act).collect();
        let texts = acts.iter().map(|act| &self.acts[*act].output.1);
        let lines = texts.flat_map(|text| text.lines().map(|line| format!("{line}\n")));
        (sorted(lines.collect()), acts)
    }
}

type Text = (&'static str, String);
