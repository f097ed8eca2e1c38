//! Tensors on a path of operators, and which operators apply to them: caches over types, so that values alone are left to
//! be computed for each graph.

use std::marker::PhantomData;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::arithmetic::Arithmetic;
use super::operator::{Operands, Operator};
use super::preset::Preset;
use super::recipe::Applied;
use super::tensor::{MAX_RANK, Type};
use crate::graph::splitmix64;

/// Number of a type in a [`Domain`].
pub type TypeId = u16;
/// Number of an operator on given types in a [`Domain`].
pub type PlanId = u32;

/// A tensor: its type and, in the order of [`Type::count`], its elements.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its type.
    pub ty: TypeId,
    /// Its elements.
    pub data: Rc<[u64]>,
}

/// An operator that applies to a tensor and an input, or to a tensor alone.
#[derive(Clone, Copy, Debug)]
pub struct Partner {
    /// Number of the operator.
    pub op: u8,
    /// The input, if there are two operands.
    pub input: Option<u8>,
    /// Whether the input is the first operand.
    pub input_first: bool,
    /// What is computed.
    pub plan: PlanId,
}

/// An operator that applies to inputs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Number of the operator.
    pub op: u8,
    /// Operands, as many as there are.
    pub inputs: [Option<u8>; 2],
    /// What is computed.
    pub plan: PlanId,
}

/// Types, plans and inputs of a preset over an arithmetic.
pub struct Domain<A> {
    /// What may be used.
    pub preset: Preset,
    /// The operators; those of the preset, or its functions.
    pub operators: Vec<Operator>,
    /// The inputs.
    pub inputs: Vec<Tensor>,
    /// Whether Concat takes its operands in both orders (TASO: the one made earlier stands first).
    pub both_orders: bool,
    types: Vec<Type>,
    type_ids: FxHashMap<Type, TypeId>,
    plans: Vec<Rc<Plan>>,
    plan_ids: FxHashMap<(u8, TypeId, TypeId), Option<PlanId>>,
    partners: FxHashMap<TypeId, Rc<[Partner]>>,
    arithmetic: PhantomData<A>,
}

/// An operator on given types.
pub struct Plan {
    /// How results come about.
    pub applied: Applied,
    /// Types of the results.
    pub types: Vec<TypeId>,
    /// Elements that stand for each result in fingerprints, by index.
    pub samples: Vec<[u32; SAMPLES]>,
}

/// Elements of a tensor that its fingerprint is made of.
pub const SAMPLES: usize = 3;

/// Which elements stand for a tensor: a corner, the middle, and one at half a border. Different tensors that agree there
/// are told apart when the pair is checked.
fn samples(ty: &Type) -> [u32; SAMPLES] {
    let places: [fn(usize, u32) -> u32; SAMPLES] =
        [|_, _| 0, |_, size| size / 2, |axis, size| if axis % 3 == 0 { size - 1 } else { size / 3 }];
    places.map(|place| {
        ty.dims.iter().enumerate().fold(0, |at, (axis, &size)| at * u32::from(size) + place(axis, u32::from(size)))
    })
}

const NO_TYPE: TypeId = TypeId::MAX;

impl<A: Arithmetic> Domain<A> {
    /// The domain of a preset, with random elements for the inputs.
    pub fn new(preset: &Preset, functions: bool, seed: u64) -> Domain<A> {
        let operators = if functions { preset.functions() } else { preset.operators.clone() };
        let mut domain = Domain {
            preset: preset.clone(),
            operators,
            inputs: Vec::new(),
            both_orders: functions,
            types: Vec::new(),
            type_ids: FxHashMap::default(),
            plans: Vec::new(),
            plan_ids: FxHashMap::default(),
            partners: FxHashMap::default(),
            arithmetic: PhantomData,
        };
        for (number, input) in preset.inputs.iter().enumerate() {
            let ty = Type::of(input.dims);
            let stream = splitmix64(seed, number as u64);
            let data = (0..ty.count()).map(|i| A::element(splitmix64(stream, i as u64))).collect();
            let ty = domain.type_id(ty);
            domain.inputs.push(Tensor { ty, data });
        }
        domain
    }

    fn type_id(&mut self, ty: Type) -> TypeId {
        let next = self.types.len() as TypeId;
        let id = *self.type_ids.entry(ty).or_insert(next);
        if id == next {
            self.types.push(ty);
        }
        id
    }

    /// The shape of a type as a number: the same for types that differ in layout and joints alone.
    pub fn shape_number(&self, id: TypeId) -> u64 {
        let ty = self.ty(id);
        u64::from(ty.rank) << 32 | u64::from(u32::from_le_bytes(ty.dims))
    }

    /// Elements that stand for a tensor in fingerprints, by index.
    pub fn samples(&self, id: TypeId) -> [u32; SAMPLES] {
        samples(self.ty(id))
    }

    /// A type by its number.
    pub fn ty(&self, id: TypeId) -> &Type {
        &self.types[usize::from(id)]
    }

    /// A plan by its number.
    pub fn plan(&self, id: PlanId) -> Rc<Plan> {
        Rc::clone(&self.plans[id as usize])
    }

    /// The operator on these types, if it applies.
    pub fn plan_of(&mut self, op: u8, a: Option<TypeId>, b: Option<TypeId>) -> Option<PlanId> {
        let key = (op, a.unwrap_or(NO_TYPE), b.unwrap_or(NO_TYPE));
        if let Some(plan) = self.plan_ids.get(&key) {
            return *plan;
        }
        let ty = |id: Option<TypeId>| id.map(|id| self.types[usize::from(id)]);
        let operator = self.operators[usize::from(op)];
        let applied = operator.apply(ty(a).as_ref(), ty(b).as_ref(), &self.preset.limits);
        let plan = applied.map(|applied| {
            let types = applied.types.iter().map(|&ty| self.type_id(ty)).collect();
            let samples = applied.types.iter().map(samples).collect();
            self.plans.push(Rc::new(Plan { applied, types, samples }));
            self.plans.len() as PlanId - 1
        });
        self.plan_ids.insert(key, plan);
        plan
    }

    /// Every operator on inputs alone, in order of operators and operands.
    pub fn roots(&mut self) -> Vec<Root> {
        let mut roots = Vec::new();
        let count = self.inputs.len() as u8;
        for op in 0..self.operators.len() as u8 {
            let operator = self.operators[usize::from(op)];
            let mut add = |domain: &mut Domain<A>, inputs: [Option<u8>; 2]| {
                let ty = |i: Option<u8>| i.map(|i| domain.inputs[usize::from(i)].ty);
                let (a, b) = (ty(inputs[0]), ty(inputs[1]));
                if !domain.takes(op, inputs[0], inputs[1]) {
                    return;
                }
                if let Some(plan) = domain.plan_of(op, a, b) {
                    roots.push(Root { op, inputs, plan });
                }
            };
            match operator.operands() {
                Operands::None => add(self, [None, None]),
                Operands::One => (0..count).for_each(|a| add(self, [Some(a), None])),
                Operands::Unordered => {
                    (0..count).for_each(|a| (a + 1..count).for_each(|b| add(self, [Some(a), Some(b)])));
                }
                Operands::Ordered { same } => {
                    for a in 0..count {
                        for b in 0..count {
                            if same || a != b {
                                add(self, [Some(a), Some(b)]);
                            }
                        }
                    }
                }
            }
        }
        roots
    }

    /// Whether an operator may take these operands, as far as it matters which inputs they are (`None`: a result).
    pub fn takes(&self, op: u8, a: Option<u8>, b: Option<u8>) -> bool {
        let operator = self.operators[usize::from(op)];
        let is_kernel = |input: Option<u8>| {
            let input = input.map(|input| &self.preset.inputs[usize::from(input)]);
            input.is_some_and(|input| input.weight && input.dims.len() == MAX_RANK)
        };
        let apart = self.preset.limits.weights_known && !operator.takes_kernels();
        if apart && (is_kernel(a) || (is_kernel(b) && !matches!(operator, Operator::Conv { .. }))) {
            return false;
        }
        match operator {
            Operator::Conv { .. } => a.is_none_or(|a| !self.preset.inputs[usize::from(a)].weight),
            Operator::Enlarge | Operator::Heads { rank: 1 } => a.is_some(),
            Operator::Concat { .. } if !self.both_orders => match (a, b) {
                (Some(a), Some(b)) => a < b,
                (a, _) => a.is_some(),
            },
            _ => true,
        }
    }

    /// Operators on a result of this type, alone or with an input.
    pub fn partners(&mut self, ty: TypeId) -> Rc<[Partner]> {
        if let Some(partners) = self.partners.get(&ty) {
            return Rc::clone(partners);
        }
        let mut partners = Vec::new();
        for op in 0..self.operators.len() as u8 {
            match self.operators[usize::from(op)].operands() {
                Operands::None => {}
                Operands::One => {
                    if self.takes(op, None, None)
                        && let Some(plan) = self.plan_of(op, Some(ty), None)
                    {
                        partners.push(Partner { op, input: None, input_first: false, plan });
                    }
                }
                kind @ (Operands::Unordered | Operands::Ordered { .. }) => {
                    for input in 0..self.inputs.len() as u8 {
                        let theirs = self.inputs[usize::from(input)].ty;
                        if self.takes(op, Some(input), None)
                            && let Some(plan) = self.plan_of(op, Some(theirs), Some(ty))
                        {
                            partners.push(Partner { op, input: Some(input), input_first: true, plan });
                        }
                        if kind != Operands::Unordered
                            && self.takes(op, None, Some(input))
                            && let Some(plan) = self.plan_of(op, Some(ty), Some(theirs))
                        {
                            partners.push(Partner { op, input: Some(input), input_first: false, plan });
                        }
                    }
                }
            }
        }
        let partners: Rc<[Partner]> = partners.into();
        self.partners.insert(ty, Rc::clone(&partners));
        partners
    }
}
