//! Every axiom evaluated on both sides, on all shapes and attributes that its row names.

use std::collections::BTreeMap;

use super::polynomial::Polynomial;
use crate::graph::{Attr, DType, Dim, Facts as TypeFacts, Op, TensorType, splitmix64};
use crate::ops::{self, Array, Element};
use crate::substitution::proof::axioms::{AXIOMS, Axiom, TEST_CONV, axioms, read};
use crate::substitution::proof::check::conditions_hold;
use crate::substitution::proof::class::Class;
use crate::substitution::proof::condition::holds;
use crate::substitution::proof::facts::Facts;
use crate::substitution::proof::pattern::{AttrValue, Binding, Pattern, instantiate};
use crate::substitution::proof::read::{parse_pattern, parse_value};
use crate::substitution::proof::shape::Shape;
use crate::substitution::proof::term::{Application, Head, SymVal, TermId, World};

/// What an axiom is tested on.
#[derive(Default)]
struct Domain {
    reals: bool,
    inputs: Vec<(String, Vec<Vec<i64>>)>,
    vars: Vec<(String, Vec<SymVal>)>,
    heads: Vec<(Vec<String>, Vec<String>)>,
}

fn shapes(ranks: &str, least: i64) -> Vec<Vec<i64>> {
    let largest = ranks.split_whitespace().find_map(|w| w.strip_prefix('^')).map_or(2, |n| n.parse().unwrap());
    let largest = i64::max(largest, least);
    let mut all = Vec::new();
    for rank in ranks.split_whitespace().filter_map(|w| w.parse::<u32>().ok()) {
        for index in 0..i64::pow(largest, rank) {
            all.push((0..rank).map(|axis| index / i64::pow(largest, axis) % largest + 1).collect());
        }
    }
    all
}

impl Domain {
    /// Dimensions go up to what the row says, and at least to `least`.
    fn of(tests: &[&str], least: i64) -> Domain {
        let mut domain = Domain::default();
        for test in tests {
            if *test == "CONV_1" {
                domain.vars.extend(Domain::of(TEST_CONV, least).vars);
            } else if *test == "reals" {
                domain.reals = true;
            } else {
                let (name, values) = test.split_once(": ").expect("name: values");
                match name.as_bytes()[0] {
                    b'?' => {
                        let value = |text: &str| match parse_value(text).unwrap() {
                            AttrValue::Literal(value) => value,
                            other => panic!("{other:?} is no value"),
                        };
                        domain.vars.push((name[1..].into(), values.split(" | ").map(value).collect()));
                    }
                    b'$' => {
                        // What tests of several classes share has a name for each.
                        let names = name.split(' ').map(|name| name[1..].to_owned());
                        domain.heads.push((names.collect(), operators(values)));
                    }
                    _ => domain.inputs.push((name.into(), shapes(values, least))),
                }
            }
        }
        domain
    }

    fn count(&self) -> usize {
        let inputs = self.inputs.iter().map(|(_, v)| v.len());
        inputs.chain(self.vars.iter().map(|(_, v)| v.len())).chain(self.heads.iter().map(|(_, v)| v.len())).product()
    }
}

/// An operator that is named alone is applied to as many operands as its class says.
fn operator_on_x(operator: &str, operands: usize) -> Pattern {
    let (op, attrs) = operator.split_at(operator.find('{').unwrap_or(operator.len()));
    let args = if op.contains('(') { String::new() } else { format!("({})", vec!["x"; operands].join(", ")) };
    parse_pattern(&format!("{op}{args}{attrs}")).unwrap()
}

/// Operators between spaces that stand in no bracket.
fn operators(text: &str) -> Vec<String> {
    let (mut depth, mut all) = (0, vec![String::new()]);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ' ' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().unwrap().push(c);
    }
    all
}

/// The value of a term, if it has one. Undefined parts are remembered.
struct Evaluation<'a, E> {
    world: &'a World,
    inputs: &'a BTreeMap<String, Array<E>>,
    values: BTreeMap<TermId, Option<Array<E>>>,
}

impl<E: Element> Evaluation<'_, E> {
    fn value(&mut self, term: TermId) -> Option<Array<E>> {
        if let Some(value) = self.values.get(&term) {
            return value.clone();
        }
        let value = match self.world.head(term) {
            Head::Input(name) => Some(self.inputs[&**name].clone()),
            Head::Apply(application) => {
                let dtype = |arg: &TermId| match self.world.head(*arg) {
                    Head::Apply(a) if a.attr("value_int").is_some() => DType::I64,
                    _ => DType::F32,
                };
                let dtypes: Vec<DType> = self.world.args(term).iter().map(dtype).collect();
                let args: Option<Vec<Array<E>>> =
                    self.world.args(term).to_vec().into_iter().map(|arg| self.value(arg)).collect();
                args.and_then(|args| apply(application, &args, &dtypes))
            }
            other => panic!("axioms have no {other:?}"),
        };
        self.values.insert(term, value.clone());
        value
    }
}

fn apply<E: Element>(application: &Application, args: &[Array<E>], dtypes: &[DType]) -> Option<Array<E>> {
    // On the first pass a computed attribute may not be a number yet.
    let attr = |value: &SymVal| match value {
        SymVal::Num(d) => d.known().map(Attr::Int),
        SymVal::List(list) => Some(Attr::ints(&list.iter().map(Dim::known).collect::<Option<Vec<_>>>()?)),
        SymVal::Fixed(attr) => Some(attr.clone()),
        SymVal::Opaque(_) => None,
    };
    let attrs = application.attrs.iter().map(|(name, value)| Some((*name, attr(value)?)));
    let attrs = attrs.collect::<Option<Vec<_>>>()?;
    let op: Op = ops::build(application.kind, attrs).ok()?;
    let facts: Vec<TypeFacts> = args
        .iter()
        .zip(dtypes)
        .map(|(a, dtype)| {
            TypeFacts::typed(TensorType::known(*dtype, &a.shape.iter().map(|&d| d as i64).collect::<Vec<_>>()))
        })
        .collect();
    let inferred = ops::infer(&op, &facts.iter().map(Some).collect::<Vec<_>>(), application.slots).ok()?;
    let shape: Vec<usize> =
        inferred[application.slot].ty.as_ref()?.shape.iter().map(|d| d.known().expect("a number") as usize).collect();
    // Dimensions are at least 1: a result without elements is as good as none.
    if shape.contains(&0) {
        return None;
    }
    let value = ops::evaluate(&op, &args.iter().map(Some).collect::<Vec<_>>()).ok()?.swap_remove(application.slot);
    assert_eq!(value.shape, shape, "inference and evaluation of {application:?}");
    Some(value)
}

/// Tests one axiom; how often each alternative applied. Panics at the first instance where it is false.
fn test<E: Element>(
    axiom: &Axiom,
    domain: &Domain,
    entry: &dyn Fn(usize) -> E,
    same: &dyn Fn(&E, &E) -> bool,
    most: usize,
) -> Vec<usize> {
    let mut applied = vec![0; axiom.when.len().max(1)];
    let total = domain.count();
    for index in 0..total.min(most) {
        let mut rest = if total <= most { index } else { (splitmix64(11, index as u64) % total as u64) as usize };
        let mut pick = |count: usize| {
            let at = rest % count;
            rest /= count;
            at
        };
        let mut facts = Facts::default();
        let mut inputs: BTreeMap<String, Array<E>> = BTreeMap::new();
        let mut entries = 0;
        for (name, shapes) in &domain.inputs {
            let shape = &shapes[pick(shapes.len())];
            for (axis, &d) in shape.iter().enumerate() {
                facts.equal(&Dim::symbol(&format!("dim({name}, {axis})")), &Dim::Known(d));
            }
            let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
            let count: usize = shape.iter().product();
            inputs.insert(name.clone(), Array { shape, data: (entries..entries + count).map(entry).collect() });
            entries += count;
        }
        let vars: BTreeMap<String, SymVal> =
            domain.vars.iter().map(|(name, values)| (name.clone(), values[pick(values.len())].clone())).collect();
        let mut heads: Vec<(&str, &str)> = Vec::new();
        for (names, values) in &domain.heads {
            let operator = values[pick(values.len())].as_str();
            heads.extend(names.iter().map(|name| (name.as_str(), operator)));
        }
        // A second pass knows the shapes that inference does not derive.
        for pass in 0..2 {
            let mut world = World::new(facts.clone());
            let mut binding = Binding { vars: vars.clone(), ..Binding::default() };
            for (name, value) in &inputs {
                let term = world.input(name, Some(value.shape.len()));
                binding.terms.insert(name.clone(), term);
            }
            for (name, operator) in &heads {
                let operands = Class::of(name).unwrap().operands();
                let first = binding.terms[inputs.keys().next().unwrap()];
                let mut inner = Binding { terms: BTreeMap::from([("x".into(), first)]), ..Binding::default() };
                let term = instantiate(&mut world, &operator_on_x(operator, operands), &mut inner).unwrap();
                binding.heads.insert((*name).into(), world.head(term).clone());
                if let Some(own) = world.args(term).get(operands) {
                    binding.terms.insert(format!("${name}"), *own);
                }
            }
            let left = instantiate(&mut world, &axiom.left, &mut binding);
            let right = instantiate(&mut world, &axiom.right, &mut binding);
            let mut evaluation = Evaluation { world: &world, inputs: &inputs, values: BTreeMap::new() };
            let left_value = left.and_then(|term| evaluation.value(term));
            let right_value = right.and_then(|term| evaluation.value(term));
            let values = evaluation.values;
            for (term, value) in &values {
                let Some(value) = value else { continue };
                world.grant(*term);
                check_shape(&world, *term, &value.shape, &mut facts);
            }
            if pass == 0 {
                continue;
            }
            if conditions_hold(&world, axiom, &binding).is_err() {
                continue;
            }
            let shown = || {
                let side = |term: Option<TermId>| term.map_or("nothing".into(), |term| world.text(term));
                let shapes: Vec<_> = inputs.iter().map(|(name, v)| format!("{name}: {:?}", v.shape)).collect();
                format!("{}: {} and {} on {}", axiom.name, side(left), side(right), shapes.join(", "))
            };
            assert_eq!(left_value.is_some(), right_value.is_some(), "one side has a value: {}", shown());
            let (Some(left), Some(right)) = (left_value, right_value) else { continue };
            assert_eq!(left.shape, right.shape, "{}", shown());
            assert!(left.data.iter().zip(&right.data).all(|(a, b)| same(a, b)), "{}", shown());
            if axiom.when.is_empty() {
                applied[0] += 1;
            }
            for (count, sides) in applied.iter_mut().zip(&axiom.when) {
                *count += usize::from(sides.iter().all(|side| holds(&world, side, &binding)));
            }
        }
    }
    applied
}

/// Shape inference on terms agrees with evaluation; what it leaves open is taken in.
fn check_shape(world: &World, term: TermId, actual: &[usize], facts: &mut Facts) {
    let shape = world.shape(term);
    facts.equal(&shape.rank(), &Dim::Known(actual.len() as i64));
    match shape {
        Shape::Ranked(dims) => {
            assert_eq!(dims.len(), actual.len(), "rank of {}", world.text(term));
            for (d, &n) in dims.iter().zip(actual) {
                assert!(d.known().is_none_or(|d| d == n as i64), "shape {dims:?} of {}: {actual:?}", world.text(term));
                facts.equal(d, &Dim::Known(n as i64));
            }
        }
        Shape::Open(_) => {
            for (axis, &n) in actual.iter().enumerate() {
                if let Some(d) = shape.counted_from_start(axis, &world.facts) {
                    facts.equal(&d, &Dim::Known(n as i64));
                }
                facts.equal(&shape.counted_from_end(actual.len() - axis, &world.facts), &Dim::Known(n as i64));
            }
        }
    }
}

/// Which instances of axioms are tested.
#[derive(Clone, Copy)]
enum Instances {
    /// All that the rows name, with entries of which nothing is known.
    All,
    /// So many of each domain, at random, with dimensions up to 4 and random real entries.
    Beyond(usize),
}

fn test_on(axiom: &Axiom, tests: &[&str], instances: Instances) -> Vec<usize> {
    let (least, most) = match instances {
        Instances::All => (1, usize::MAX),
        Instances::Beyond(most) => (4, most),
    };
    let domain = Domain::of(tests, least);
    if domain.reals || matches!(instances, Instances::Beyond(_)) {
        let entry = |i: usize| (splitmix64(7, i as u64) >> 11) as f64 / (1u64 << 52) as f64 * 2.0 - 2.0;
        // NaN where a function has no value on both sides.
        let same = |a: &f64, b: &f64| (a - b).abs() <= 1e-9 * a.abs().max(1.0) || (a.is_nan() && b.is_nan());
        test(axiom, &domain, &entry, &same, most)
    } else {
        test(axiom, &domain, &|i| Polynomial::entry(i as u32), &|a, b| a == b, most)
    }
}

#[test]
fn axioms_are_few_and_read() {
    for row in AXIOMS {
        read(row).unwrap();
    }
    assert!(AXIOMS.len() <= 80, "{} axioms", AXIOMS.len());
    let names: std::collections::BTreeSet<_> = AXIOMS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), AXIOMS.len());
}

/// Both sides of every axiom agree, with entries of which nothing is known (or with numbers, where the row says `reals`
/// because it speaks of what a function does), on every combination of shapes, attributes and operators that its row
/// names: all shapes of the ranks named with dimensions 1 and 2, or up to N where the row says `^N`, which is where the
/// condition speaks of sizes. Each alternative of a condition applies somewhere.
#[test]
fn axioms_hold() {
    hold(Instances::All);
}

/// The same on random combinations with dimensions up to 4, with numbers for entries.
#[test]
fn axioms_hold_on_larger_shapes() {
    hold(Instances::Beyond(400));
}

fn hold(instances: Instances) {
    use rayon::prelude::*;
    let jobs: Vec<(&Axiom, &[&str])> =
        axioms().iter().flat_map(|a| a.tests.split(|test| *test == "or").map(move |tests| (a, tests))).collect();
    let run = |(axiom, tests): &(&Axiom, &[&str])| {
        std::panic::catch_unwind(|| test_on(axiom, tests, instances)).map_err(|_| ())
    };
    let results: Vec<Result<Vec<usize>, ()>> = jobs.par_iter().map(run).collect();
    let mut failures = Vec::new();
    for axiom in axioms() {
        let own = jobs.iter().zip(&results).filter(|((a, _), _)| a.name == axiom.name).map(|(_, result)| result);
        let mut applied = vec![0; axiom.when.len().max(1)];
        for result in own {
            match result {
                Ok(each) => applied.iter_mut().zip(each).for_each(|(all, n)| *all += n),
                Err(()) => failures.push(format!("{}: false, see above", axiom.name)),
            }
        }
        if matches!(instances, Instances::All) && applied.contains(&0) {
            failures.push(format!("{}: alternatives applied {applied:?} times", axiom.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
