//! What each kind makes of what it reads.

use std::collections::BTreeSet;

use flow_cache::{Digest, Recipe, Value};

use super::{Cell, FOLDS, Oracle, Part, Stage, sorted, trains, words};

impl Oracle {
    pub(super) fn map(
        &mut self,
        name: &str,
        version: u32,
        from: usize,
        op: &str,
        suffix: usize,
    ) -> Stage {
        let (over_folds, over_shards) = self.dims(from);
        let mut stage = Stage::default();
        for fold in range(over_folds, FOLDS.len()) {
            for shard in range(over_shards, self.stages[0].cells.len()) {
                let parts = self.parts(from, (fold, shard));
                let vacant = parts.is_empty() || parts[0].views.contains(&None);
                let act = (!vacant).then(|| {
                    let text = self.text(&parts[0]);
                    let changed = text.lines().map(|line| {
                        let [id, label, value] = words(line);
                        let value = match op {
                            "upper" => value.to_uppercase(),
                            "first" => value.chars().take(1).collect(),
                            _ => value.to_owned(),
                        };
                        format!("{id} {label} {value}{suffix}\n")
                    });
                    let out = ("rows", changed.collect());
                    let keyed = self.keyed(&parts);
                    let identity = format!("map {version} apply {op} {suffix} {keyed}");
                    let needs = self.needs(&parts, fold);
                    let name = self.label(name, "apply", fold, shard);
                    self.add(name, identity, needs, out)
                });
                stage.cells.push(Cell { fold, shard, act });
            }
        }
        stage
    }

    pub(super) fn choose(&mut self, name: &str, from: usize, keep: usize) -> Stage {
        let parts = self.parts(from, (None, None));
        let texts: Vec<String> = parts.iter().map(|part| self.text(part)).collect();
        let letters = first_letters(texts.iter().flat_map(|text| text.lines()), keep);
        let identity = format!("choose {keep} {}", self.keyed(&parts));
        let needs = self.needs(&parts, None);
        let act = self.add(
            format!("{name}: choose"),
            identity,
            needs,
            ("choice", letters),
        );
        let mut stage = whole(act);
        stage.view_of = Some(from);
        stage
    }

    pub(super) fn pick(&mut self, name: &str, from: usize, keep: usize) -> Stage {
        let mut stage = Stage {
            view_of: Some(from),
            ..Stage::default()
        };
        for fold in 0..FOLDS.len() {
            let parts = self.rows(from, fold, None, true);
            let act = has_rows(&parts).then(|| {
                let lines = self.lines(&parts);
                let letters = first_letters(lines.iter().map(String::as_str), keep);
                let identity = format!("pick {keep} {}", self.keyed(&parts));
                let needs = self.needs(&parts, Some(fold));
                let name = self.label(name, "fit", Some(fold), None);
                self.add(name, identity, needs, ("choice", letters))
            });
            stage.cells.push(Cell {
                fold: Some(fold),
                shard: None,
                act,
            });
        }
        stage
    }

    pub(super) fn learner(&mut self, name: &str, seed: i64, from: usize, depth: usize) -> Stage {
        let mut applied = Vec::new();
        for fold in 0..FOLDS.len() {
            let parts = self.rows(from, fold, None, true);
            if !has_rows(&parts) {
                continue;
            }
            let identity = format!("learner fit {depth} {seed} {}", self.keyed(&parts));
            let needs = self.needs(&parts, Some(fold));
            let rows = self.lines(&parts).join(",");
            let drawn = self.seed(seed, fold) % 1000;
            let model = Digest::of(format!("{depth} {drawn} {rows}").as_bytes()).short();
            let label = self.label(name, "fit", Some(fold), None);
            let fit = self.add(label, identity, needs, ("model", model.clone()));
            for shard in 0..self.stages[0].cells.len() {
                let parts = self.rows(from, fold, Some(shard), false);
                if !has_rows(&parts) {
                    continue;
                }
                let lines = self.lines(&parts);
                let text = lines.iter().map(|line| format!("{line} {model}\n"));
                let out = ("part", text.collect());
                let keyed = (self.digest(fit), self.keyed(&parts));
                let identity = format!("learner apply {depth} {keyed:?}");
                let mut needs = self.needs(&parts, Some(fold));
                needs.push(fit);
                let label = self.label(name, "apply", Some(fold), Some(shard));
                applied.push(Part {
                    act: self.add(label, identity, needs, out),
                    fold: Some(fold),
                    views: Vec::new(),
                    rows: None,
                    shard: None,
                });
            }
        }
        let mut lines = Vec::new();
        for part in &applied {
            let fold = FOLDS[part.fold.unwrap()];
            let text = &self.acts[part.act].output.1;
            lines.extend(text.lines().map(|line| format!("{line} {fold}\n")));
        }
        let identity = format!("learner gather {depth} {}", self.keyed(&applied));
        let needs = self.needs(&applied, None);
        let out = ("predictions", sorted(lines));
        whole(self.add(format!("{name}: gather"), identity, needs, out))
    }

    /// The documented seed: of the kind, the seeds that are set, and the rows trained on.
    fn seed(&self, pipeline: i64, fold: usize) -> u64 {
        let rows = self.objects.iter().map(|(object, _)| object.as_str());
        let rows = rows.filter(|object| {
            let (id, label) = object.split_once(' ').unwrap();
            trains(id, label, fold) == Some(true)
        });
        let content = rows.collect::<Vec<_>>().join("\n");
        let mut recipe = Recipe::new();
        recipe.push("kind", Value::Str("learner".into()));
        recipe.push("seeds", Value::map([("pipeline", pipeline)]));
        recipe.push("content", Value::Digest(Digest::of(content.as_bytes())));
        let key = recipe.key();
        u64::from_le_bytes(key.0.as_bytes()[..8].try_into().unwrap())
    }

    pub(super) fn join(&mut self, name: &str, from: &[usize]) -> Stage {
        let (mut lines, mut keyed, mut needs) = (Vec::new(), Vec::new(), Vec::new());
        for (reference, stage) in from.iter().enumerate() {
            let parts = self.parts(*stage, (None, None));
            for part in &parts {
                let text = self.text(part);
                lines.extend(text.lines().map(|line| format!("{line} {reference}\n")));
            }
            keyed.push(self.keyed(&parts));
            needs.extend(self.needs(&parts, None));
        }
        let identity = format!("join {keyed:?}");
        let out = ("rows", sorted(lines));
        whole(self.add(format!("{name}: join"), identity, needs, out))
    }

    pub(super) fn tweak(&mut self, name: &str, from: &[usize], tag: usize) -> Stage {
        let mut text = format!("tag {tag}\n");
        let (mut keyed, mut needs) = (Vec::new(), Vec::new());
        for stage in from {
            let parts = self.parts(*stage, (None, None));
            for part in self.in_order(&parts) {
                let digest = Digest::of(self.text(part).as_bytes()).short();
                text.push_str(&format!("of {digest}\n"));
            }
            keyed.push(self.keyed(&parts));
            needs.extend(self.needs(&parts, None));
        }
        let identity = format!("tweak {tag} {keyed:?}");
        whole(self.add(format!("{name}: tweak"), identity, needs, ("rows", text)))
    }
}

fn first_letters<'a>(lines: impl Iterator<Item = &'a str>, keep: usize) -> String {
    let letters: BTreeSet<char> = lines
        .filter_map(|line| words(line)[2].chars().next())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    letters.into_iter().take(keep).collect()
}

fn range(over: bool, n: usize) -> Vec<Option<usize>> {
    match over {
        true => (0..n).map(Some).collect(),
        false => vec![None],
    }
}

fn has_rows(parts: &[Part]) -> bool {
    !parts.is_empty() && parts.iter().all(|part| !part.views.contains(&None))
}

fn whole(act: usize) -> Stage {
    Stage {
        cells: vec![Cell {
            fold: None,
            shard: None,
            act: Some(act),
        }],
        view_of: None,
    }
}
