//! A kind, described as data: its ports, and the steps that it consists of.

use crate::kind::params::ParamSpec;

/// The port type of a table of folds: the one type that the engine itself reads facts from.
pub const FOLDS: &str = "folds";

/// A kind, described.
#[derive(Clone, Debug)]
pub struct KindSpec {
    /// The name in `use = "..."`.
    pub name: &'static str,
    /// Changes whenever the bytes of an output do; pinned to golden digests by a test.
    pub version: u32,
    /// What it does, in one line.
    pub about: &'static str,
    /// Its ports.
    pub ports: Ports,
    /// Its parameters.
    pub params: Vec<ParamSpec>,
    /// Its steps, each reading only earlier ones.
    pub steps: Vec<Step>,
}

/// Inputs and outputs.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// What it reads.
    pub inputs: Vec<InputPort>,
    /// What it gives.
    pub outputs: Vec<OutputPort>,
}

/// The type of what flows through a port, such as `curves`. [`ANY`] fits every port.
pub type PortType = &'static str;

/// Fits every port: the output of a command, whose schema is checked when it is read.
pub const ANY: PortType = "file";

/// An input port.
#[derive(Clone, Debug)]
pub struct InputPort {
    /// Its name.
    pub name: String,
    /// What it accepts.
    pub ty: PortType,
    /// Takes a list of references.
    pub many: bool,
    /// May be left out.
    pub optional: bool,
}

/// An output port.
#[derive(Clone, Debug)]
pub struct OutputPort {
    /// Its name.
    pub name: String,
    /// What it gives.
    pub ty: PortType,
    /// What is in it, for the reference page.
    pub about: &'static str,
    /// Where it comes from.
    pub of: Of,
}

/// Where an output port comes from.
#[derive(Clone, Debug)]
pub enum Of {
    /// Output `output` of step `step`.
    Step {
        /// Index of the step.
        step: usize,
        /// Name of the step's output.
        output: String,
    },
    /// What came in through `port`, seen through output `output` of step `step` (such as a choice
    /// of columns): nothing is copied.
    View {
        /// The input port that is passed on.
        port: &'static str,
        /// Index of the step that made the view.
        step: usize,
        /// Name of the step's output.
        output: &'static str,
    },
}

/// Over what a step multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One action.
    Whole,
    /// One action a shard (a stretch of rows), and a fold where an input has folds.
    Shard,
    /// One action a fold, the final fit among them.
    Fold,
    /// One action a fold and shard.
    FoldShard,
}

/// One step of a kind.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, part of the recipe.
    pub name: &'static str,
    /// Over what it multiplies.
    pub scope: Scope,
    /// What it reads.
    pub reads: Vec<Read>,
    /// Names of the artifacts it writes, all of them on every run.
    pub writes: Vec<String>,
    /// Draws random numbers: the seeds go into its recipe.
    pub seeded: bool,
    /// Which source files it reads.
    pub sources: Sources,
    /// What it makes of the rows that it sees together.
    pub together: Together,
}

/// What a step that is not below folds makes of the rows that it sees together. It decides what may be
/// done with its results below folds, and with predictions that stem from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Rows may have part in each other's results, as in any fit. Nothing below folds may fit on such
    /// results, and no predictions that stem from them may be scored. What folds gave may be joined.
    Mixed,
    /// Each row by itself: shards are only put side by side.
    Apart,
    /// It fits, for each fold, on the out-of-fold predictions of the other folds alone. The step gets
    /// the table of folds and its [`Lineage`](crate::kind::Lineage).
    Crossed,
    /// It scores predictions. The step gets the table of folds and its [`Lineage`](crate::kind::Lineage).
    Scored,
    /// What comes out was made outside of flow, out of what is not known here: it is taken on trust, and
    /// the [`Lineage`](crate::kind::Lineage) of what stems from it says so.
    Foreign,
}

impl Together {
    /// True for a step that holds predictions against the table of folds.
    pub fn is_checked(self) -> bool {
        matches!(self, Self::Crossed | Self::Scored)
    }
}

/// Source files of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// None.
    None,
    /// [`Layout::common`](crate::kind::Layout::common).
    Common,
    /// [`Layout::common`](crate::kind::Layout::common) and the action's own [`Shard`](crate::kind::Shard).
    Shard,
}

/// One thing that a step reads.
#[derive(Clone, Debug)]
pub struct Read {
    /// Whence.
    pub from: From,
    /// Only these rows count: their digest goes into the recipe, and shards without any are left out.
    pub rows: Option<Rows>,
}

/// Whence a step reads.
#[derive(Clone, Debug)]
pub enum From {
    /// An input port.
    Port(String),
    /// An output of an earlier step of the same stage.
    Step(usize, &'static str),
}

/// Rows by their role in a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those a fold fits on.
    Train,
    /// Those a fold's model is applied to: its validation rows; for the final fit, unlabelled rows.
    Apply,
}

impl Rows {
    /// The name used in the `slices` attribute of a folds artifact.
    pub fn name(self) -> &'static str {
        match self {
            Rows::Train => "train",
            Rows::Apply => "apply",
        }
    }
}

impl Step {
    /// A step over `scope` that reads and writes nothing yet.
    pub fn new(name: &'static str, scope: Scope) -> Self {
        Self {
            name,
            scope,
            reads: Vec::new(),
            writes: Vec::new(),
            seeded: false,
            sources: Sources::None,
            together: Together::Mixed,
        }
    }

    /// Reads an input port.
    #[must_use]
    pub fn port(mut self, port: impl Into<String>) -> Self {
        self.reads.push(Read {
            from: From::Port(port.into()),
            rows: None,
        });
        self
    }

    /// Reads those rows of an input port.
    #[must_use]
    pub fn rows(mut self, port: impl Into<String>, rows: Rows) -> Self {
        self.reads.push(Read {
            from: From::Port(port.into()),
            rows: Some(rows),
        });
        self
    }

    /// Reads an output of an earlier step.
    #[must_use]
    pub fn after(mut self, step: usize, output: &'static str) -> Self {
        self.reads.push(Read {
            from: From::Step(step, output),
            rows: None,
        });
        self
    }

    /// Writes an artifact.
    #[must_use]
    pub fn writes(mut self, output: impl Into<String>) -> Self {
        self.writes.push(output.into());
        self
    }

    /// Draws random numbers.
    #[must_use]
    pub fn seeded(mut self) -> Self {
        self.seeded = true;
        self
    }

    /// Reads source files.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Treats each row by itself: [`Together::Apart`].
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.together = Together::Apart;
        self
    }

    /// Is cross-fitted: [`Together::Crossed`].
    #[must_use]
    pub fn crossed(mut self) -> Self {
        self.together = Together::Crossed;
        self
    }

    /// Scores predictions: [`Together::Scored`].
    #[must_use]
    pub fn scored(mut self) -> Self {
        self.together = Together::Scored;
        self
    }

    /// Gives what was made outside of flow: [`Together::Foreign`].
    #[must_use]
    pub fn foreign(mut self) -> Self {
        self.together = Together::Foreign;
        self
    }
}

impl InputPort {
    /// A port that takes one reference.
    pub fn one(name: &str, ty: PortType) -> Self {
        Self {
            name: name.into(),
            ty,
            many: false,
            optional: false,
        }
    }

    /// A port that takes a list.
    pub fn many(name: &str, ty: PortType) -> Self {
        Self {
            many: true,
            ..Self::one(name, ty)
        }
    }
}

impl OutputPort {
    /// Output `name` of step `step`, under the same name.
    pub fn of(name: &str, ty: PortType, step: usize, about: &'static str) -> Self {
        Self {
            name: name.into(),
            ty,
            about,
            of: Of::Step {
                step,
                output: name.into(),
            },
        }
    }
}
