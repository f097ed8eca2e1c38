//! Terms: an operator with symbolic attributes applied to terms, down to the inputs of a rule. Equal terms are one term.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::facts::Facts;
use super::group;
use super::shape::{self, Shape};
use super::shape_of;
use crate::graph::{Attr, Dim, OpKind};
use crate::ops;

/// A term of a [`World`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct TermId(u32);

/// A value of an attribute, as far as it is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SymVal {
    /// An integer.
    Num(Dim),
    /// A list of integers of known length.
    List(Vec<Dim>),
    /// Another value that is known.
    Fixed(Attr),
    /// An unknown value: equal names are equal values, and nothing else is known of it.
    Opaque(String),
}

impl SymVal {
    /// The value of an attribute that is known.
    pub fn of(attr: &Attr) -> SymVal {
        match attr {
            Attr::Int(v) => SymVal::Num(Dim::Known(*v)),
            Attr::Ints(v) => SymVal::List(v.iter().map(|&d| Dim::Known(d)).collect()),
            other => SymVal::Fixed(other.clone()),
        }
    }

    /// The value with everything that is known of its sizes put in.
    pub fn normal(&self, facts: &Facts) -> SymVal {
        match self {
            SymVal::Num(d) => SymVal::Num(facts.normal(d)),
            SymVal::List(list) => SymVal::List(list.iter().map(|d| facts.normal(d)).collect()),
            SymVal::Fixed(_) | SymVal::Opaque(_) => self.clone(),
        }
    }

    /// The integer, if it is one.
    pub fn num(&self) -> Option<&Dim> {
        match self {
            SymVal::Num(d) => Some(d),
            SymVal::List(_) | SymVal::Fixed(_) | SymVal::Opaque(_) => None,
        }
    }

    /// The list, if its length is known.
    pub fn list(&self) -> Option<&[Dim]> {
        match self {
            SymVal::List(list) => Some(list),
            SymVal::Num(_) | SymVal::Fixed(_) | SymVal::Opaque(_) => None,
        }
    }
}

impl fmt::Display for SymVal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SymVal::Num(d) => write!(f, "{}", dim_text(d)),
            SymVal::List(list) => {
                write!(f, "[{}]", list.iter().map(dim_text).collect::<Vec<_>>().join(", "))
            }
            SymVal::Fixed(Attr::Float(v)) => write!(f, "{v:?}"),
            SymVal::Fixed(Attr::Str(v)) => write!(f, "{v:?}"),
            SymVal::Fixed(other) => write!(f, "{other:?}"),
            SymVal::Opaque(name) => f.write_str(name),
        }
    }
}

/// A size in the syntax of the rule language.
pub(crate) fn dim_text(dim: &Dim) -> String {
    let mut text = dim.to_string();
    // The rule language has negative numbers, but no negative of a name.
    if let Some(rest) = text.strip_prefix('-')
        && !rest.starts_with(|c: char| c.is_ascii_digit())
    {
        text = format!("0 - {rest}");
    }
    // Sizes print quotients as `floor((a)/(b))`, which the rule language writes `div(a, b)`.
    while let Some(start) = text.find("floor((") {
        let body = start + "floor((".len();
        let Some(middle) = closing(&text, body) else { break };
        let Some(end) = closing(&text, middle + ")/(".len()) else { break };
        let (a, b) = (text[body..middle].to_owned(), text[middle + ")/(".len()..end].to_owned());
        text.replace_range(start..end + "))".len(), &format!("div({a}, {b})"));
    }
    text
}

/// Where the parenthesis closes that is open at `from`.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text[from..].char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(from + at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What a term applies.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Head {
    /// An input of the rule.
    Input(Arc<str>),
    /// An operand left out.
    Absent,
    /// An operator.
    Apply(Arc<Application>),
    /// A list of n values that the rule takes. Lists have the shape of their member i, whatever i.
    List(Arc<str>),
    /// An operator on each member of its lists: again a list.
    Each(Arc<Application>),
    /// The list of all n results of an operator; its attribute `split` is the size of member i.
    Parts(Arc<Application>),
    /// An operator on all members of one list.
    All(Arc<Application>),
}

impl Head {
    /// The operator, on single values or lists.
    pub fn application(&self) -> Option<&Arc<Application>> {
        match self {
            Head::Apply(a) | Head::Each(a) | Head::Parts(a) | Head::All(a) => Some(a),
            Head::Input(_) | Head::Absent | Head::List(_) => None,
        }
    }
}

/// An operator with its attributes; a term is one of its results.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Application {
    pub kind: OpKind,
    /// In order of name, defaults filled in.
    pub attrs: Vec<(&'static str, SymVal)>,
    /// Which result this is.
    pub slot: usize,
    /// How many results are taken.
    pub slots: usize,
}

impl Application {
    pub fn attr(&self, name: &str) -> Option<&SymVal> {
        self.attrs.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    pub fn num(&self, name: &str) -> Option<&Dim> {
        self.attr(name)?.num()
    }

    /// A number that is known.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.num(name)?.known()
    }

    pub fn list(&self, name: &str) -> Option<&[Dim]> {
        self.attr(name)?.list()
    }
}

#[derive(Clone, Debug)]
struct Node {
    head: Head,
    args: Vec<TermId>,
    shape: Shape,
}

/// Terms with their shapes, under what is known of sizes.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    nodes: Vec<Node>,
    index: HashMap<(Head, Vec<TermId>), TermId>,
    /// Terms of the rule's own sides, which have values wherever the rule is applied.
    granted: BTreeSet<TermId>,
    /// What is known of sizes.
    pub facts: Facts,
}

impl World {
    /// A world without terms.
    pub fn new(facts: Facts) -> World {
        World { facts, ..World::default() }
    }

    /// An input of the rule.
    pub fn input(&mut self, name: &str, rank: Option<usize>) -> TermId {
        let shape = shape::named(name, rank, &self.facts);
        self.insert(Head::Input(name.into()), Vec::new(), |_| shape)
    }

    /// The first n members of a list that the rule takes.
    pub fn list(&mut self, name: &str, rank: Option<usize>) -> TermId {
        let shape = shape::named(&group::member(name), rank, &self.facts);
        self.insert(Head::List(name.into()), Vec::new(), |_| shape)
    }

    /// Whether a term stands for a list of values.
    pub fn is_list(&self, id: TermId) -> bool {
        matches!(self.head(id), Head::List(_) | Head::Each(_) | Head::Parts(_))
    }

    /// An operand left out.
    pub fn absent(&mut self) -> TermId {
        self.insert(Head::Absent, Vec::new(), |_| Shape::Ranked(Vec::new()))
    }

    /// An application; attributes left out take their defaults. `name` is what its shape is called where it does not
    /// follow from the operands.
    pub fn apply(
        &mut self,
        kind: OpKind,
        given: Vec<(&'static str, SymVal)>,
        (slot, slots): (usize, usize),
        args: Vec<TermId>,
        name: Option<&str>,
    ) -> TermId {
        self.apply_as(Head::Apply, kind, given, (slot, slots), args, name)
    }

    /// An application in one of the ways of [`Head`].
    pub fn apply_as(
        &mut self,
        head: fn(Arc<Application>) -> Head,
        kind: OpKind,
        given: Vec<(&'static str, SymVal)>,
        (slot, slots): (usize, usize),
        args: Vec<TermId>,
        name: Option<&str>,
    ) -> TermId {
        let mut attrs: Vec<(&'static str, SymVal)> = given;
        for spec in ops::schema(kind).attrs {
            if attrs.iter().all(|(n, _)| *n != spec.name)
                && let Some(value) = spec.default.value()
            {
                attrs.push((spec.name, SymVal::of(&value)));
            }
        }
        for (_, value) in &mut attrs {
            *value = value.normal(&self.facts);
        }
        attrs.sort_by_key(|(name, _)| *name);
        let mut args = args;
        let absent = |world: &World, id: &TermId| world.nodes[id.0 as usize].head == Head::Absent;
        while args.last().is_some_and(|id| absent(self, id)) {
            args.pop();
        }
        let mut application = Application { kind, attrs, slot, slots };
        self.fill_window(&mut application, &args);
        self.apply_head(&head(Arc::new(application)), args, name)
    }

    /// A head, as another term has it, on other operands.
    pub fn apply_head(&mut self, head: &Head, args: Vec<TermId>, name: Option<&str>) -> TermId {
        let given = args.clone();
        let mut alias = None;
        let id = self.insert(head.clone(), args, |world| {
            let (shape, own) = shape_of::of(world, head, &given, name);
            alias = own;
            shape
        });
        if let (Some(alias), Some(name)) = (alias, name) {
            self.facts.call_shape(&alias, name);
        }
        id
    }

    /// Lists that are not given in full stand for ones and zeros.
    fn fill_window(&self, application: &mut Application, args: &[TermId]) {
        use OpKind::{AveragePool, Conv, ConvTranspose, MaxPool};
        if !matches!(application.kind, Conv | ConvTranspose | MaxPool | AveragePool) {
            return;
        }
        let Some(rank) = args.first().and_then(|x| self.shape(*x).known_rank()).and_then(|r| r.checked_sub(2)) else {
            return;
        };
        for (name, value) in &mut application.attrs {
            let (count, fill) = match *name {
                "strides" | "dilations" => (rank, 1),
                "pads" => (2 * rank, 0),
                "output_padding" => (rank, 0),
                _ => continue,
            };
            if value.list().is_some_and(<[Dim]>::is_empty) {
                *value = SymVal::List(vec![Dim::Known(fill); count]);
            }
        }
    }

    fn insert(&mut self, head: Head, args: Vec<TermId>, shape: impl FnOnce(&World) -> Shape) -> TermId {
        let key = (head, args);
        if let Some(id) = self.index.get(&key) {
            return *id;
        }
        let shape = shape(self);
        let id = TermId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 terms"));
        self.nodes.push(Node { head: key.0.clone(), args: key.1.clone(), shape });
        self.index.insert(key, id);
        id
    }

    /// Takes in that a term has a value.
    pub fn grant(&mut self, id: TermId) {
        self.granted.insert(id);
    }

    /// Whether a term is known to have a value.
    pub fn is_granted(&self, id: TermId) -> bool {
        self.granted.contains(&id)
    }

    /// What a term applies.
    pub fn head(&self, id: TermId) -> &Head {
        &self.nodes[id.0 as usize].head
    }

    /// The operands of a term.
    pub fn args(&self, id: TermId) -> &[TermId] {
        &self.nodes[id.0 as usize].args
    }

    /// The shape of a term, granted that it has a value at all.
    pub fn shape(&self, id: TermId) -> &Shape {
        &self.nodes[id.0 as usize].shape
    }

    /// The term with another one at a position (indices of operands from the root).
    pub fn replace(&mut self, root: TermId, position: &[usize], by: TermId) -> TermId {
        let Some((first, rest)) = position.split_first() else { return by };
        let mut args = self.args(root).to_vec();
        args[*first] = self.replace(args[*first], rest, by);
        let head = self.head(root).clone();
        self.apply_head(&head, args, None)
    }

    /// The term at a position.
    pub fn at(&self, root: TermId, position: &[usize]) -> Option<TermId> {
        position.iter().try_fold(root, |id, &arg| self.args(id).get(arg).copied())
    }

    /// The term as text, in the syntax that [`super::pattern`] reads; cut where it is long, since a shared part is
    /// written wherever it stands.
    pub fn text(&self, id: TermId) -> String {
        let mut out = String::new();
        self.write(id, &mut out);
        out
    }

    fn write(&self, id: TermId, out: &mut String) {
        if out.len() > MAX_TEXT {
            out.push('…');
            return;
        }
        match self.head(id) {
            Head::Input(name) => out.push_str(name),
            Head::Absent => out.push('_'),
            Head::List(name) => out.push_str(&group::member(name)),
            Head::Apply(a) | Head::Each(a) | Head::Parts(a) | Head::All(a) => {
                out.push_str(match self.head(id) {
                    Head::Each(_) => "each ",
                    Head::Parts(_) => "parts ",
                    Head::All(_) => "all ",
                    Head::Input(_) | Head::Absent | Head::Apply(_) | Head::List(_) => "",
                });
                out.push_str(&head_text(a));
                out.push('(');
                for (i, arg) in self.args(id).iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    self.write(*arg, out);
                    if out.len() > MAX_TEXT {
                        break;
                    }
                }
                out.push(')');
                out.push_str(&attrs_text(a));
            }
        }
    }
}

/// Longer texts of terms are cut.
const MAX_TEXT: usize = 4_000;

/// Operator and which of its results.
pub(crate) fn head_text(a: &Application) -> String {
    if a.slots == 1 { a.kind.name().to_owned() } else { format!("{}#{}/{}", a.kind, a.slot, a.slots) }
}

/// Attributes that are not at their default.
fn attrs_text(a: &Application) -> String {
    let schema = ops::schema(a.kind);
    let default = |name: &str| schema.attr(name).and_then(|spec| spec.default.value()).map(|v| SymVal::of(&v));
    let given = a.attrs.iter().filter(|(name, value)| default(name).as_ref() != Some(value));
    let texts: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
    if texts.is_empty() { String::new() } else { format!("{{{}}}", texts.join(", ")) }
}
