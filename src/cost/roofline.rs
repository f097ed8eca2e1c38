//! The roofline model: an application takes the longer of its arithmetic and its memory traffic, plus a launch.
//! Williams, Waterman and Patterson, "Roofline: an insightful visual performance model" (2009).

use crate::graph::{Op, OpKind, TensorType};
use crate::ops;

use super::{Cost, CostModel};

/// What a device can do.
#[derive(Clone, PartialEq, Debug)]
pub struct DeviceProfile {
    /// Name in reports.
    pub name: String,
    /// Arithmetic that large dense linear maps reach, in floating-point operations per microsecond.
    pub dense_flops_per_us: f64,
    /// Arithmetic that element-wise work, pools, and depthwise convolutions reach, per microsecond.
    pub scalar_flops_per_us: f64,
    /// Memory traffic, in bytes per microsecond.
    pub bytes_per_us: f64,
    /// Time to start one kernel, in microseconds.
    pub launch_us: f64,
}

impl DeviceProfile {
    /// Two current x86 cores with 512-bit vectors running libtorch: about 120 GFLOP/s on dense f32 work, 20 GFLOP/s
    /// elsewhere, 15 GB/s, 3 us a call.
    pub fn cpu() -> DeviceProfile {
        DeviceProfile {
            name: "cpu".to_owned(),
            dense_flops_per_us: 120e3,
            scalar_flops_per_us: 20e3,
            bytes_per_us: 15e3,
            launch_us: 3.0,
        }
    }

    /// An H200-class GPU running libtorch eagerly: 40 TFLOP/s on dense f32 work, 4 TB/s, 5 us a launch.
    pub fn cuda() -> DeviceProfile {
        DeviceProfile {
            name: "cuda".to_owned(),
            dense_flops_per_us: 40e6,
            scalar_flops_per_us: 10e6,
            bytes_per_us: 4e6,
            launch_us: 5.0,
        }
    }
}

/// The roofline cost model of a device.
#[derive(Clone, Debug)]
pub struct Roofline {
    profile: DeviceProfile,
}

impl Roofline {
    /// The model for a device.
    pub fn new(profile: DeviceProfile) -> Roofline {
        Roofline { profile }
    }

    fn flops_per_us(&self, op: &Op, inputs: &[Option<&TensorType>]) -> f64 {
        let dense = match op.kind() {
            Some(OpKind::Conv | OpKind::ConvTranspose) => {
                // A group of few channels has little to reuse: rates fall in proportion below 16 channels a group.
                let channels = inputs.get(1).copied().flatten().and_then(|w| w.shape.get(1)).and_then(|d| d.known());
                let share = channels.map_or(1.0, |c| (c as f64 / 16.0).clamp(0.0, 1.0));
                return self.profile.scalar_flops_per_us
                    + share * (self.profile.dense_flops_per_us - self.profile.scalar_flops_per_us);
            }
            Some(OpKind::MatMul | OpKind::Gemm | OpKind::Einsum | OpKind::LSTM | OpKind::GRU) => true,
            _ => false,
        };
        if dense { self.profile.dense_flops_per_us } else { self.profile.scalar_flops_per_us }
    }
}

impl CostModel for Roofline {
    fn name(&self) -> String {
        format!("roofline ({})", self.profile.name)
    }

    fn apply(&self, op: &Op, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> Cost {
        let work = ops::work(op, inputs, outputs);
        let busy = (work.flops / self.flops_per_us(op, inputs)).max(work.bytes / self.profile.bytes_per_us);
        Cost {
            time_us: busy + f64::from(work.launches) * self.profile.launch_us,
            flops: work.flops,
            bytes: work.bytes,
            launches: f64::from(work.launches),
            peak_memory: 0.0,
        }
    }
}
