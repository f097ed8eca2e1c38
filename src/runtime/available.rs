//! Whether a graph can be run in the memory that there is: asked before anything of its size is allocated, since Rust ends
//! the program when memory runs out, and Linux may kill it.

use std::collections::BTreeMap;
use std::fs;

use crate::graph::{Graph, Op, ValueRef};

/// Something that takes more memory than there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} takes at least {} of memory, and {} are available", size(*.needed), size(*.available))]
pub struct TooLarge {
    /// What is too large.
    pub what: String,
    /// Bytes that it takes at least.
    pub needed: u64,
    /// Bytes that are available.
    pub available: u64,
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let (value, unit) = match bytes {
        0..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
        1_000_000_000..1_000_000_000_000_000 => (bytes as f64 / 1e9, "GB"),
        _ => (bytes as f64 / 1e15, "PB"),
    };
    format!("{value:.1} {unit}")
}

/// That so many bytes are available.
///
/// # Errors
/// They are not.
pub fn check_available(what: &str, needed: u64) -> Result<(), TooLarge> {
    // Small things are not worth a look at /proc.
    if needed < 1 << 26 {
        return Ok(());
    }
    match available() {
        Some(available) if needed > available => Err(TooLarge { what: what.to_owned(), needed, available }),
        _ => Ok(()),
    }
}

/// That a graph can be run in f64, as checking it does: a lower bound of what that takes is available. It counts every
/// weight and the largest value in f64; dimensions without a size count as 1.
///
/// # Errors
/// [`TooLarge`], naming what is largest.
pub fn check_runnable(graph: &Graph) -> Result<(), TooLarge> {
    let mut weights = 0u64;
    let mut largest = (0u64, String::new());
    for id in graph.node_ids() {
        let node = graph.node(id);
        for (slot, output) in node.outputs.iter().enumerate() {
            let Some(ty) = &output.facts.ty else { continue };
            let sizes = ty.shape.iter().map(|d| d.bind(&BTreeMap::new()).known().unwrap_or(1).max(0) as u64);
            let bytes = sizes.fold(1u64, u64::saturating_mul).saturating_mul(8);
            if matches!(node.op, Op::Weight(_)) {
                weights = weights.saturating_add(bytes);
            }
            if bytes > largest.0 {
                let name = graph.value_name(ValueRef { node: id, slot: slot as u32 });
                largest = (bytes, format!("value {name:?} of type {ty}"));
            }
        }
    }
    check_available(&largest.1, largest.0)?;
    check_available("running the model in f64, as the check does,", weights)
}

/// Bytes that this process may still allocate, as far as the system tells (Linux): what memory and swap have left, the
/// control group's limit, and the limits of the process.
fn available() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let mut least = field(&memory, "MemAvailable:")?.saturating_add(field(&memory, "SwapFree:").unwrap_or(0));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    if let Some(limit) = group.and_then(|text| text.trim().parse::<u64>().ok()) {
        least = least.min(limit);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (limit, used) in [("Max address space", "VmSize:"), ("Max data size", "VmData:")] {
        let rest = limits.lines().find_map(|line| line.strip_prefix(limit));
        if let Some(soft) = rest.and_then(|r| r.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()) {
            least = least.min(soft.saturating_sub(field(&status, used).unwrap_or(0)));
        }
    }
    Some(least)
}

/// A line of /proc such as `MemAvailable:   123 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DType, Facts, TensorType};

    #[test]
    fn what_is_too_large_is_named_with_its_size() {
        let mut graph = Graph::new("g");
        let input = |graph: &mut Graph, name: &str, n: i64| {
            graph.add_input(name, Facts { ty: Some(TensorType::known(DType::F32, &[n, 1000])), elements: None })
        };
        input(&mut graph, "small", 3);
        assert_eq!(check_runnable(&graph), Ok(()));
        input(&mut graph, "x", 1 << 40);
        if cfg!(target_os = "linux") {
            let message = check_runnable(&graph).unwrap_err().to_string();
            let wanted = "value \"x\" of type f32[1099511627776, 1000] takes at least 8.8 PB of memory, and ";
            assert!(message.starts_with(wanted) && message.ends_with("are available"), "{message}");
        }
    }

    #[test]
    fn lines_of_proc_are_read() {
        assert_eq!(field("MemFree: 1 kB\nMemAvailable:    2048 kB\n", "MemAvailable:"), Some(2 << 20));
        assert_eq!(field("MemFree: 1 kB", "MemAvailable:"), None);
        assert_eq!(size(12_345_678_901), "12.3 GB");
    }
}
