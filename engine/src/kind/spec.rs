//! A kind described as data: its ports, and the steps that it consists of.

use crate::kind::params::ParamSpec;

/// The port type of a table of folds, the only type from which the engine itself reads facts.
pub const FOLDS: &str = "folds";

/// The description of a kind.
#[derive(Clone, Debug)]
pub struct KindSpec {
    /// The name in `use = "..."`.
    pub name: &'static str,
    /// Changes whenever the bytes of an output change. A test pins it to golden digests.
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

/// Fits every port. It is the type of a command's output, whose schema is checked when it is read.
pub const ANY: PortType = "file";

/// An input port.
#[derive(Clone, Debug)]
pub struct InputPort {
    /// Its name.
    pub name: String,
    /// What it accepts.
    pub ty: PortType,
    /// It takes a list of references.
    pub many: bool,
    /// It may be left out.
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
    /// What came in through `port`, seen through output `output` of step `step`, such as a choice of
    /// columns. Nothing is copied.
    View {
        /// The input port that is passed on.
        port: &'static str,
        /// Index of the step that made the view.
        step: usize,
        /// Name of the step's output.
        output: &'static str,
    },
}

/// What a step has one action for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One action.
    Whole,
    /// One action per shard (a stretch of rows), and per fold if an input has folds.
    Shard,
    /// One action per fold, including the final fit.
    Fold,
    /// One action per fold and shard.
    FoldShard,
}

/// One step of a kind.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, which is part of the recipe.
    pub name: &'static str,
    /// What it has one action for.
    pub scope: Scope,
    /// What it reads.
    pub reads: Vec<Read>,
    /// Names of the artifacts that it writes, all of them on every run.
    pub writes: Vec<String>,
    /// It draws random numbers, so the seeds go into its recipe.
    pub seeded: bool,
    /// Which source files it reads.
    pub sources: Sources,
    /// How it treats the rows that it sees together.
    pub together: Together,
}

/// How a step that is not below folds treats the rows that it sees together. This decides what may be done
/// with its results below folds, and with predictions that stem from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Rows may influence each other's results, as in any fit. Nothing below folds may be fitted on such
    /// results, and no predictions that stem from them may be scored. The results of folds may be joined.
    Mixed,
    /// Each row is treated by itself, and shards are only put side by side.
    Apart,
    /// For each fold, it fits on the out-of-fold predictions of the other folds alone. The step gets the
    /// table of folds and its [`Lineage`](crate::kind::lineage::Lineage).
    Crossed,
    /// It scores predictions. The step gets the table of folds and its [`Lineage`](crate::kind::Lineage).
    Scored,
    /// It treats each row by itself and makes copies of it, which are new rows. Copies may be measured row by row,
    /// and a fit may read those of its training rows ([`Rows::Copies`]). They are never predicted, scored, or
    /// dealt to folds.
    Copied,
    /// Its results were made outside of flow, from data that is not known here. They are taken on trust,
    /// and the lineage of everything that stems from them says so.
    Foreign,
}

impl Together {
    /// Returns true for a step that checks predictions against the table of folds.
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
    /// Where it comes from.
    pub from: From,
    /// The only rows that count, if not all do. Their digest goes into the recipe, and shards without such
    /// rows are left out.
    pub rows: Option<Rows>,
}

/// Where a step reads from.
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
    /// The rows that a fold is fitted on.
    Train,
    /// The rows that the model of a fold is applied to: those that the fold holds out, or for the final fit
    /// the unlabelled ones.
    Apply,
    /// The copies of training rows: rows that a step made with [`Step::copied`], of which only those count whose
    /// source is a training row. They have other names than the rows that they are copies of.
    Copies,
    /// The rows without a label, in every fold.
    Unlabelled,
}

impl Rows {
    /// Returns the name that the `slices` attribute of a table of folds uses.
    pub fn name(self) -> &'static str {
        match self {
            Rows::Train => "train",
            Rows::Apply => "apply",
            Rows::Copies => "copies",
            Rows::Unlabelled => "unlabelled",
        }
    }

    /// Returns true if there may be none of these rows, and an action still has something to do.
    pub(crate) fn may_lack(self) -> bool {
        matches!(self, Rows::Copies | Rows::Unlabelled)
    }
}

impl Step {
    /// Makes a step of this scope that reads and writes nothing yet.
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

    /// Reads these rows of an input port.
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

    /// Makes copies of rows: [`Together::Copied`].
    #[must_use]
    pub fn copied(mut self) -> Self {
        self.together = Together::Copied;
        self
    }

    /// Has results that were made outside of flow: [`Together::Foreign`].
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
    /// A port for output `name` of step `step`, under the same name.
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
