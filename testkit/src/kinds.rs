//! Kinds of stages made of closures.

use flow_engine::command::claimed;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, Loops, Of, OutputPort, ParamSpec, Params, PortType, Ports,
    Project, Resources, Shards, Stage, StageError, Step,
};
use flow_engine::{Diag, Diags};

type LayoutOf = Box<dyn Fn(&Params) -> Result<Layout, Diags> + Send + Sync>;
type Act = Box<dyn Fn(&mut Action<'_>) -> Result<(), StageError> + Send + Sync>;

/// A kind made of its description and two closures.
pub struct FakeKind {
    /// Its description.
    pub spec: KindSpec,
    layout: LayoutOf,
    act: Act,
    metrics: Vec<&'static str>,
    loops: Loops,
}

impl FakeKind {
    /// A kind of these steps that has no ports and no parameters, and fails when it is run.
    pub fn new(name: &'static str, steps: Vec<Step>) -> Self {
        Self {
            spec: KindSpec {
                name,
                version: 1,
                about: "A kind for tests.",
                ports: Ports::default(),
                params: Vec::new(),
                steps,
            },
            layout: Box::new(|_| Ok(Layout::default())),
            act: Box::new(move |_| panic!("`{name}` was to be looked at, not to be run")),
            metrics: Vec::new(),
            loops: Loops::Shared,
        }
    }

    /// Reads one reference.
    #[must_use]
    pub fn one(self, name: &str, ty: PortType) -> Self {
        self.input(InputPort::one(name, ty))
    }

    /// Reads a list of references.
    #[must_use]
    pub fn many(self, name: &str, ty: PortType) -> Self {
        self.input(InputPort::many(name, ty))
    }

    /// Has an input port.
    #[must_use]
    pub fn input(mut self, port: InputPort) -> Self {
        self.spec.ports.inputs.push(port);
        self
    }

    /// Gives what the step with this number writes under the name of the port.
    #[must_use]
    pub fn gives(mut self, name: &str, ty: PortType, step: usize) -> Self {
        let port = OutputPort::of(name, ty, step, "An output.");
        self.spec.ports.outputs.push(port);
        self
    }

    /// Says what is in the last output.
    #[must_use]
    pub fn told(mut self, about: &'static str) -> Self {
        let last = self.spec.ports.outputs.last_mut();
        last.expect("an output").about = about;
        self
    }

    /// Gives what comes in through the port of the same name, seen through what its first step writes.
    #[must_use]
    pub fn views(mut self, port: &'static str, ty: PortType, output: &'static str) -> Self {
        self.spec.ports.outputs.push(OutputPort {
            name: port.into(),
            ty,
            about: "A view.",
            of: Of::View {
                port,
                step: 0,
                output,
            },
        });
        self
    }

    /// Has a parameter.
    #[must_use]
    pub fn takes(mut self, param: ParamSpec) -> Self {
        self.spec.params.push(param);
        self
    }

    /// Has a layout.
    #[must_use]
    pub fn laid_out(
        mut self,
        layout: impl Fn(&Params) -> Result<Layout, Vec<Diag>> + Send + Sync + 'static,
    ) -> Self {
        self.layout = Box::new(layout);
        self
    }

    /// Starts folds.
    #[must_use]
    pub fn folds(self, names: &'static [&'static str]) -> Self {
        let folds = Vec::from_iter(names.iter().map(|name| (*name).to_owned()));
        self.laid_out(move |_| {
            Ok(Layout {
                folds: folds.clone(),
                ..Layout::default()
            })
        })
    }

    /// May give these metrics.
    #[must_use]
    pub fn measures(mut self, metrics: &[&'static str]) -> Self {
        self.metrics = metrics.to_vec();
        self
    }

    /// Has such loops.
    #[must_use]
    pub fn looping(mut self, loops: Loops) -> Self {
        self.loops = loops;
        self
    }

    /// Does this for each of its actions.
    #[must_use]
    pub fn runs(
        mut self,
        act: impl Fn(&mut Action<'_>) -> Result<(), StageError> + Send + Sync + 'static,
    ) -> Self {
        self.act = Box::new(act);
        self
    }
}

impl Stage for FakeKind {
    fn spec(&self) -> KindSpec {
        self.spec.clone()
    }

    fn layout(
        &self,
        params: &Params,
        _project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Diags> {
        (self.layout)(params)
    }

    fn metrics(&self) -> Vec<&'static str> {
        self.metrics.clone()
    }

    fn loops(&self, _params: &Params) -> Loops {
        self.loops
    }

    fn resources(&self, params: &Params) -> Resources {
        let claims = self.spec.params.iter().any(|spec| spec.name == "resources");
        let claimed = claims.then(|| claimed(params).0);
        claimed.unwrap_or_default()
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        (self.act)(action)
    }
}
