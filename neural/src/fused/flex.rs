//! The way from tensors of the CPU backend to slices and back, with gradients by hand.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, BackendTypes, Flex};
use burn::tensor::{DType, Tensor, TensorData};

type Recorded = <Autodiff<Flex> as BackendTypes>::FloatTensorPrimitive;

/// An input of an operation.
pub struct Input {
    tensor: Recorded,
    /// It is on a device that remembers how tensors are computed.
    remembers: bool,
    shape: Vec<usize>,
}

impl Input {
    /// Returns the input if its numbers are `f32` on the CPU backend.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        if tensor.dtype() != DType::F32 {
            return None;
        }
        let shape = tensor.dims().to_vec();
        if let Ok(tensor) = tensor.clone().try_into_primitive::<Autodiff<Flex>>() {
            return Some(Self {
                tensor,
                remembers: true,
                shape,
            });
        }
        let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
        Some(Self {
            tensor: Recorded::new(tensor),
            remembers: false,
            shape,
        })
    }

    /// Returns whether it is on a device that remembers how tensors are computed.
    pub fn remembers(&self) -> bool {
        self.remembers
    }

    /// Returns its numbers, row-major.
    pub fn values(&self) -> Values {
        Values(self.tensor.primitive().to_contiguous())
    }
}

/// The numbers of a tensor, row-major.
#[derive(Clone, Debug)]
pub struct Values(FlexTensor);

impl Values {
    /// The numbers of a new tensor.
    pub fn new<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Self {
        Self(FlexTensor::from_data(TensorData::new(values, shape)))
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("contiguous numbers")
    }
}

/// What an operation remembers for its gradients, of `N` inputs.
pub trait Tape<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// Returns the gradients of the inputs that are needed, given the one of the output.
    fn gradients(self, of_output: &[f32], needed: [bool; N]) -> [Option<Vec<f32>>; N];
}

/// Returns the output of an operation as a tensor.
pub fn output<const N: usize, const D: usize>(
    inputs: [Input; N],
    values: Values,
    tape: impl Tape<N>,
) -> Tensor<D> {
    if !inputs.iter().any(|input| input.remembers) {
        return Tensor::from_primitive::<Flex>(values.0);
    }
    let shapes = inputs.each_ref().map(|input| input.shape.clone());
    let nodes = inputs.each_ref().map(|input| input.tensor.node());
    let step = Step(PhantomData).prepare::<NoCheckpointing>(nodes);
    let tensor = match step.compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish((Arc::new(tape), shapes), values.0),
        OpsKind::UnTracked(step) => step.finish(values.0),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(tensor)
}

/// Returns a tensor without a gradient, on the device that remembers or on the one that does not.
pub fn constant<const D: usize>(values: Vec<f32>, shape: [usize; D], remembers: bool) -> Tensor<D> {
    let values = Values::new(values, shape).0;
    match remembers {
        true => Tensor::from_primitive::<Autodiff<Flex>>(Recorded::new(values)),
        false => Tensor::from_primitive::<Flex>(values),
    }
}

/// The step back through an operation.
#[derive(Debug)]
struct Step<T>(PhantomData<T>);

impl<T: Tape<N>, const N: usize> Backward<Flex, N> for Step<T> {
    type State = (Arc<T>, [Vec<usize>; N]);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (tape, shapes) = ops.state;
        let of_output = Values(grads.consume::<Flex>(&ops.node).to_contiguous());
        let needed = ops.parents.each_ref().map(|parent| parent.is_some());
        let gradients = Arc::unwrap_or_clone(tape).gradients(&of_output, needed);
        for ((parent, shape), gradient) in ops.parents.iter().zip(shapes).zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                let gradient = FlexTensor::from_data(TensorData::new(gradient, shape));
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
