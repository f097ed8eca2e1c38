//! Small graphs for tests.

use std::sync::Arc;

use crate::graph::{self, Attr, DType, Data, Dim, Facts, Graph, Init, Op, OpKind, OpaqueOp, TensorType, ValueRef};
use crate::ops::{self, make_node};

/// A small graph under construction.
pub struct Build(Graph);

impl Build {
    pub fn new() -> Build {
        Build(Graph::new("g"))
    }

    /// Nodes so far.
    pub fn len(&self) -> usize {
        self.0.id_bound()
    }

    pub fn input(&mut self, name: &str, dtype: DType, shape: &[Dim]) -> ValueRef {
        let facts = Facts { ty: Some(TensorType::new(dtype, shape.to_vec())), elements: None };
        ValueRef::first(self.0.add_input(name, facts))
    }

    pub fn weight(&mut self, name: &str, dtype: DType, shape: &[u64], init: Init) -> ValueRef {
        let tensor = graph::Tensor::new(dtype, shape, Data::Init(init)).unwrap();
        ValueRef::first(self.0.add_node(graph::Node::weight(name, tensor)))
    }

    pub fn op(&mut self, kind: OpKind, attrs: Vec<(&str, Attr)>, inputs: &[ValueRef]) -> ValueRef {
        let op = ops::build(kind, attrs).unwrap();
        let name = format!("v{}", self.0.id_bound());
        let names: Vec<Arc<str>> = vec![name.as_str().into()];
        let node = make_node(&self.0, &name, op, inputs.iter().copied().map(Some).collect(), &names).unwrap();
        ValueRef::first(self.0.add_node(node))
    }

    pub fn opaque(&mut self, origin: usize, inputs: &[ValueRef], ty: Option<TensorType>) -> ValueRef {
        let op = OpaqueOp {
            domain: "com.example".to_owned(),
            op_type: "Odd".to_owned(),
            origin,
            own_inputs: inputs.len(),
            captures: Vec::new(),
        };
        let output = graph::Output { name: format!("o{origin}").as_str().into(), facts: Facts { ty, elements: None } };
        let inputs = inputs.iter().copied().map(Some);
        ValueRef::first(self.0.add_node(graph::Node::new("odd", Op::Opaque(Arc::new(op)), inputs, [output], false)))
    }

    pub fn constant(&mut self, tensor: graph::Tensor) -> ValueRef {
        let name = format!("c{}", self.0.id_bound());
        ValueRef::first(self.0.add_node(graph::Node::weight(&name, tensor)))
    }

    pub fn outputs(mut self, outputs: &[(&str, ValueRef)]) -> Graph {
        for (name, value) in outputs {
            self.0.add_output(name, *value);
        }
        self.0.validate().unwrap();
        self.0
    }
}

/// Dimensions that are numbers.
pub fn known(sizes: &[i64]) -> Vec<Dim> {
    sizes.iter().map(|&n| Dim::Known(n)).collect()
}
