//! Which device a graph runs on: `--device auto|cpu|cuda|cuda:N`.

use super::cuda::{self, LoadError};
use std::fmt;
use std::str::FromStr;
use tch::Device;

/// What the user asked for.
///
/// ```
/// use graphopt::runtime::DeviceChoice;
/// assert_eq!("cuda:1".parse(), Ok(DeviceChoice::Cuda(1)));
/// assert!("gpu".parse::<DeviceChoice>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this index, from 0.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The text names no device.
    #[error("`{0}` is no device: use auto, cpu, cuda or cuda:N")]
    Unknown(String),
    /// CUDA was asked for and does not answer.
    #[error("no CUDA device: {0}")]
    NoCuda(NoCuda),
    /// CUDA answers, but has no device of this index.
    #[error("there is no device cuda:{index}: CUDA shows {count} here, the last is cuda:{}", count - 1)]
    NoSuchIndex {
        /// The index asked for.
        index: usize,
        /// How many devices CUDA shows, at least 1.
        count: usize,
    },
}

/// Why CUDA does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCuda {
    /// Not on this operating system.
    #[error("libtorch has a CUDA part on Linux only")]
    Platform,
    /// There is no NVIDIA driver.
    #[error("this machine has no NVIDIA driver (libcuda.so.1)")]
    NoDriver,
    /// libtorch was built for the CPU alone.
    #[error("this libtorch has no CUDA part (libtorch_cuda.so); `cargo xtask setup --cuda` gets one that has")]
    NoBackend,
    /// The NVIDIA libraries that libtorch needs are not all there.
    #[error("{0}; `cargo xtask setup --cuda` adds the CUDA libraries")]
    MissingLibrary(String),
    /// The driver is there, but shows no device that works.
    #[error("the NVIDIA driver shows no usable GPU (see `nvidia-smi` and CUDA_VISIBLE_DEVICES)")]
    NoDevice,
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                // `parse` alone would take "+1".
                if !index.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(unknown());
                }
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// The device to use; with [`DeviceChoice::Auto`] on the CPU also a line that says why.
    ///
    /// Call it before libtorch is used for anything else: libtorch remembers whether there was CUDA when it was first
    /// asked. Loading CUDA takes a second or two; it is not tried where there is no driver.
    ///
    /// # Errors
    /// [`DeviceError::NoCuda`] or [`DeviceError::NoSuchIndex`] if CUDA was asked for by name and is not there.
    pub fn resolve(self) -> Result<(Device, Option<String>), DeviceError> {
        match self {
            Self::Cpu => Ok((Device::Cpu, None)),
            Self::Cuda(index) => {
                let count = count_cuda().map_err(DeviceError::NoCuda)?;
                if index < count {
                    Ok((Device::Cuda(index), None))
                } else {
                    Err(DeviceError::NoSuchIndex { index, count })
                }
            }
            Self::Auto => match count_cuda() {
                Ok(_) => Ok((Device::Cuda(0), None)),
                Err(reason) => Ok((Device::Cpu, Some(format!("using the CPU: {reason}")))),
            },
        }
    }
}

/// How many CUDA devices work here: at least one, or the reason why there is none.
fn count_cuda() -> Result<usize, NoCuda> {
    if cfg!(target_os = "linux") && !cuda::driver_is_present() {
        return Err(NoCuda::NoDriver);
    }
    cuda::load_backend().map_err(|error| match error {
        LoadError::Platform => NoCuda::Platform,
        LoadError::NoBackend => NoCuda::NoBackend,
        LoadError::MissingLibrary(message) => NoCuda::MissingLibrary(message),
    })?;
    match usize::try_from(tch::Cuda::device_count()) {
        Ok(count) if count > 0 => Ok(count),
        Ok(_) | Err(_) => Err(NoCuda::NoDevice),
    }
}

/// The name of a device for results and for the key of measured costs: the model of the processor or of the GPU.
#[must_use]
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => cuda::device_name(index).unwrap_or_else(|| format!("cuda:{index}")),
        Device::Cpu => cpu_model().unwrap_or_else(|| format!("{} cpu", std::env::consts::ARCH)),
        Device::Mps => "mps".to_owned(),
        Device::Vulkan => "vulkan".to_owned(),
    }
}

/// Sets how many threads libtorch uses within one operator, and returns how many it used before.
///
/// Zero leaves the number as it is.
pub fn set_threads(count: usize) -> usize {
    let before = threads();
    if let (Ok(count), true) = (i32::try_from(count), count > 0) {
        tch::set_num_threads(count);
    }
    before
}

/// How many threads libtorch uses within one operator.
///
/// ```
/// assert!(graphopt::runtime::threads() >= 1);
/// ```
#[must_use]
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

fn cpu_model() -> Option<String> {
    if cfg!(target_os = "macos") {
        let output = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        let name = String::from_utf8(output.stdout).ok()?;
        return Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    }
    model_in_cpuinfo(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The first `model name` that Linux lists (Arm kernels list none).
fn model_in_cpuinfo(cpuinfo: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name" && !value.trim().is_empty()).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_device() {
        let rows: &[(&str, Option<DeviceChoice>)] = &[
            ("auto", Some(DeviceChoice::Auto)),
            ("cpu", Some(DeviceChoice::Cpu)),
            ("cuda", Some(DeviceChoice::Cuda(0))),
            ("cuda:0", Some(DeviceChoice::Cuda(0))),
            ("cuda:12", Some(DeviceChoice::Cuda(12))),
            ("", None),
            ("CPU", None),
            ("gpu", None),
            ("cuda:", None),
            ("cuda:+1", None),
            ("cuda:-1", None),
            ("cuda:1x", None),
            ("cuda:99999999999999999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse().ok(), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_choice_prints_as_it_is_read() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
    }

    #[test]
    fn the_cpu_is_always_there_and_has_a_name() {
        assert_eq!(DeviceChoice::Cpu.resolve(), Ok((Device::Cpu, None)));
        assert!(!device_name(Device::Cpu).is_empty());
    }

    #[test]
    fn without_cuda_auto_says_why_and_cuda_is_refused_with_the_same_reason() {
        match DeviceChoice::Cuda(0).resolve() {
            Ok((device, note)) => {
                // A machine with a GPU: auto takes it, and there is a last one.
                assert_eq!((device, note), (Device::Cuda(0), None));
                assert_eq!(DeviceChoice::Auto.resolve(), Ok((Device::Cuda(0), None)));
                let error = DeviceChoice::Cuda(1000).resolve().unwrap_err();
                assert!(matches!(error, DeviceError::NoSuchIndex { index: 1000, .. }), "{error}");
            }
            Err(DeviceError::NoCuda(reason)) => {
                let (device, note) = DeviceChoice::Auto.resolve().unwrap();
                assert_eq!((device, note), (Device::Cpu, Some(format!("using the CPU: {reason}"))));
                assert!(!reason.to_string().contains('\n'), "{reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_missing_library_is_named_with_the_way_out() {
        let message = "libcudnn.so.9: cannot open shared object file: No such file or directory";
        let error = DeviceError::NoCuda(NoCuda::MissingLibrary(message.to_owned()));
        assert_eq!(
            error.to_string(),
            "no CUDA device: libcudnn.so.9: cannot open shared object file: No such file or directory; \
             `cargo xtask setup --cuda` adds the CUDA libraries"
        );
    }

    #[test]
    fn the_cpu_model_is_read_from_linux() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) CPU\n";
        assert_eq!(model_in_cpuinfo(cpuinfo).as_deref(), Some("Intel(R) Xeon(R) CPU"));
        assert_eq!(model_in_cpuinfo("processor\t: 0\nBogoMIPS\t: 50\n"), None);
    }
}
