//! Where networks are computed.

use burn::tensor::Device;

/// Returns the device of an action: the processor, or the GPU that it has.
pub fn device(gpus: &[usize]) -> Device {
    match gpus.first() {
        Some(&gpu) => of_gpu(gpu),
        None => Device::flex(),
    }
}

/// The name of the kind of device that [`device`] returns.
pub fn device_name(gpus: usize) -> &'static str {
    match gpus {
        0 => "cpu",
        _ if cfg!(feature = "cuda") => "cuda",
        _ => "wgpu",
    }
}

#[cfg(feature = "cuda")]
fn of_gpu(gpu: usize) -> Device {
    Device::cuda(gpu)
}

#[cfg(all(feature = "wgpu", not(feature = "cuda")))]
fn of_gpu(gpu: usize) -> Device {
    Device::wgpu(burn::tensor::DeviceKind::DiscreteGpu(gpu))
}

/// A pipeline that asks for a GPU is refused when it is checked.
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn of_gpu(_gpu: usize) -> Device {
    Device::flex()
}
