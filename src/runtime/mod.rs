//! libtorch: devices, running graphs, timing, comparing outputs.

mod cuda;
mod device;
mod executor;
mod fold;
pub mod kernels;
mod weights;

pub use device::{DeviceChoice, DeviceError, NoCuda, device_name, set_threads, threads};
pub use executor::{ExecuteError, NotRun, Options, Program, Run, synchronise};
pub use fold::{Constants, Folded, fold};
pub use weights::{Weights, from_torch, to_torch};
