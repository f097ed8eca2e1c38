//! libtorch: devices, running graphs, timing, comparing outputs.

mod cuda;
mod device;

pub use device::{DeviceChoice, DeviceError, NoCuda, device_name, set_threads, threads};
