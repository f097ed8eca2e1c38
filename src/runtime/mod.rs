//! libtorch: devices, running graphs, timing, comparing outputs.

mod allocator;
mod available;
mod cuda;
mod device;
mod equivalence;
mod executor;
mod fold;
mod inputs;
pub mod kernels;
mod memory;
mod onednn;
mod refusal;
#[cfg(test)]
mod testing;
mod timing;
mod weights;

pub use allocator::keep_freed_memory;
pub use available::{TooLarge, check_available, check_runnable};
pub use device::{DeviceChoice, DeviceError, NoCuda, device_name, set_threads, threads};
pub use equivalence::{
    CompareError, CompareOptions, ERROR_FACTOR, Equivalence, Errors, NATIVE_TOLERANCE, REFERENCE_TOLERANCE, compare,
    compare_with,
};
pub use executor::{ExecuteError, NotRun, Options, Program, Run, synchronise};
pub use fold::{Constants, Folded, fold, fold_with};
pub use inputs::{DrawError, Role, draw, draw_inputs, role, size_sets};
pub use memory::{PeakMemory, peak_memory};
pub use refusal::becomes_an_error;
pub use timing::{Interleaved, OperatorTime, Ratio, Timing, TimingOptions, profile, time_program, time_programs};
pub use weights::{Weights, from_torch, to_torch};
