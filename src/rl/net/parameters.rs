//! Named parameters, drawn so that the seed and the name alone fix their values.

use std::cell::RefCell;

use indexmap::IndexMap;
use tch::{Device, Kind, Tensor, no_grad};

use crate::graph::Init;

/// The parameters of a network, by name, in the order in which they were made.
#[derive(Debug)]
pub struct Parameters {
    device: Device,
    seed: u64,
    tensors: RefCell<IndexMap<String, Tensor>>,
}

impl Parameters {
    /// No parameters yet.
    pub fn new(device: Device, seed: u64) -> Parameters {
        Parameters { device, seed, tensors: RefCell::default() }
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Where the first part of a network makes its parameters.
    pub fn root(&self) -> Place<'_> {
        Place { parameters: self, prefix: String::new() }
    }

    /// All of them: names, and tensors that share their storage with the network.
    pub fn all(&self) -> Vec<(String, Tensor)> {
        self.tensors.borrow().iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// How many numbers they hold.
    pub fn count(&self) -> usize {
        self.tensors.borrow().values().map(Tensor::numel).sum()
    }

    /// Copies values from a function of the name; `None` leaves a parameter as it is. The tensor has the right shape.
    pub fn copy_from(&self, values: impl Fn(&str) -> Option<Tensor>) {
        no_grad(|| {
            for (name, tensor) in self.tensors.borrow().iter() {
                if let Some(value) = values(name) {
                    tensor.shallow_clone().copy_(&value);
                }
            }
        });
    }
}

/// A part of a network, by the names that lead to it.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    parameters: &'a Parameters,
    prefix: String,
}

impl<'a> Place<'a> {
    /// A part of this part.
    pub fn sub(&self, name: &str) -> Place<'a> {
        Place { parameters: self.parameters, prefix: format!("{}{name}.", self.prefix) }
    }

    /// A parameter with these values at first.
    fn make(&self, name: &str, values: Tensor) -> Tensor {
        let tensor = values.to_device(self.parameters.device).set_requires_grad(true);
        let name = format!("{}{name}", self.prefix);
        let old = self.parameters.tensors.borrow_mut().insert(name, tensor.shallow_clone());
        assert!(old.is_none(), "every parameter has a name of its own");
        tensor
    }

    /// A parameter of zeros.
    pub fn zeros(&self, name: &str, size: &[usize]) -> Tensor {
        self.filled(name, size, 0.0)
    }

    /// A parameter that is `value` everywhere.
    pub fn filled(&self, name: &str, size: &[usize], value: f64) -> Tensor {
        let size: Vec<i64> = size.iter().map(|&n| n as i64).collect();
        self.make(name, Tensor::full(size, value, (Kind::Float, Device::Cpu)))
    }

    /// A parameter `[rows, columns]` of normal numbers.
    pub fn normal(&self, name: &str, rows: usize, columns: usize, std: f64) -> Tensor {
        let rule = self.rule(name, std);
        let values: Vec<f32> = (0..(rows * columns) as u64).map(|i| rule.element(i) as f32).collect();
        self.make(name, Tensor::from_slice(&values).reshape([rows as i64, columns as i64]))
    }

    /// A parameter `[rows, columns]` with orthogonal rows or columns, times `gain` (Saxe, McClelland and Ganguli 2014).
    pub fn orthogonal(&self, name: &str, rows: usize, columns: usize, gain: f64) -> Tensor {
        let (count, length) = (rows.min(columns), rows.max(columns));
        let rule = self.rule(name, 1.0);
        let draw = |at: usize| (0..length).map(|i| rule.element((at * length + i) as u64)).collect();
        let mut vectors: Vec<Vec<f64>> = (0..count).map(draw).collect();
        for at in 0..count {
            let (before, rest) = vectors.split_at_mut(at);
            orthonormalise(&mut rest[0], before);
        }
        let flat = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            (if rows <= columns { gain * vectors[row][column] } else { gain * vectors[column][row] }) as f32
        };
        let values: Vec<f32> = (0..rows * columns).map(flat).collect();
        self.make(name, Tensor::from_slice(&values).reshape([rows as i64, columns as i64]))
    }

    fn rule(&self, name: &str, std: f64) -> Init {
        let digest = blake3::hash(format!("{}{name}", self.prefix).as_bytes());
        let by_name = u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"));
        Init::Normal { seed: self.parameters.seed ^ by_name, std }
    }
}

/// Makes `vector` orthogonal to unit vectors and a unit vector itself. Twice, so that rounding leaves nothing.
fn orthonormalise(vector: &mut [f64], units: &[Vec<f64>]) {
    for _ in 0..2 {
        for unit in units {
            let along: f64 = vector.iter().zip(unit).map(|(a, b)| a * b).sum();
            vector.iter_mut().zip(unit).for_each(|(a, b)| *a -= along * b);
        }
    }
    let length = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
    vector.iter_mut().for_each(|a| *a /= length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_and_name_alone_fix_the_values() {
        let make = |seed, names: [&str; 2]| {
            let parameters = Parameters::new(Device::Cpu, seed);
            names.map(|name| parameters.root().sub("a").orthogonal(name, 3, 5, 2.0))
        };
        let [a, b] = make(1, ["x", "y"]);
        let [c, d] = make(1, ["y", "x"]);
        assert!(a.equal(&d) && b.equal(&c) && !a.equal(&b));
        assert!(!make(2, ["x", "y"])[0].equal(&a));
        let unit = a.matmul(&a.tr()) / 4.0;
        assert!(unit.allclose(&Tensor::eye(3, (Kind::Float, Device::Cpu)), 1e-5, 1e-5, false));
    }
}
