//! Proofs of rules: terms with symbolic dimensions, the table of axioms, and the checker that replays a proof.

mod axes;
mod axioms;
pub(crate) mod check;
pub(crate) mod class;
mod condition;
mod demands;
mod effects;
mod eval;
mod facts;
mod functions;
mod group;
mod learn;
mod narrate;
pub(crate) mod pattern;
mod read;
mod shape;
mod shape_of;
mod sides;
mod smt;
pub(crate) mod statement;
pub(crate) mod term;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::fmt;

pub(crate) use axioms::{Axiom, axioms};
pub use check::check_proof;
pub use narrate::{Narrated, narrate};
pub use smt::smt_lib;
pub use statement::Case;

/// A proof of a rule: a part for each choice of optional inputs left out, and each output. A rule over lists is proved
/// by induction: for one member, and for n + 1, where [`HYPOTHESIS`] may be used for the first n.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Proof {
    /// The parts, by choice of inputs left out, then by output.
    pub parts: Vec<Part>,
}

/// What a step is called that takes the rule for the first n members as given.
pub const HYPOTHESIS: &str = "hypothesis";

/// The proof that one output of the target is that of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Optional inputs that are left out, in order of name.
    pub absent: Vec<String>,
    /// Which output, from 0.
    pub output: usize,
    /// Of which members of lists.
    pub case: Case,
    /// Axioms, one after another.
    pub steps: Vec<Step>,
}

/// One application of an axiom.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name of the axiom.
    pub axiom: String,
    /// Whether its right side is replaced by its left.
    pub backwards: bool,
    /// Where: indices of operands from the output's term down.
    pub position: Vec<usize>,
    /// What variables of the axiom stand for that do not occur on the side that is replaced; `?a` are attributes.
    pub with: BTreeMap<String, String>,
}

/// Why a proof does not prove a rule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// Nothing can be proved of the rule.
    #[error("{0}")]
    Unstated(String),
    /// The number of parts is wrong.
    #[error("{found} parts; {expected} expected")]
    Parts {
        /// Parts that there must be.
        expected: usize,
        /// Parts that there are.
        found: usize,
    },
    /// A part is missing or out of place.
    #[error("the part for output {output} is missing or out of place")]
    Missing {
        /// Output.
        output: usize,
    },
    /// A step does not follow.
    #[error("output {output}, step {number} ({step}): {why}")]
    Step {
        /// Output.
        output: usize,
        /// Position of the step.
        number: usize,
        /// The step.
        step: String,
        /// Why not.
        why: String,
    },
    /// The steps end elsewhere.
    #[error("output {output}: the steps end at {reached} instead of {wanted}")]
    Elsewhere {
        /// Output.
        output: usize,
        /// The term reached.
        reached: String,
        /// The target's term.
        wanted: String,
    },
    /// A line is no step.
    #[error("{line:?} is no line of a proof: {problem}")]
    Line {
        /// The line.
        line: String,
        /// What is wrong.
        problem: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.backwards { "<-" } else { "->" };
        write!(f, "{} {arrow}", self.axiom)?;
        if !self.position.is_empty() {
            let position: Vec<String> = self.position.iter().map(usize::to_string).collect();
            write!(f, " at {}", position.join("."))?;
        }
        if !self.with.is_empty() {
            let with: Vec<String> = self.with.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            write!(f, " with {}", with.join("; "))?;
        }
        Ok(())
    }
}

impl Proof {
    /// The proof as lines: `output 0 without b`, followed by its steps, such as `add-commutes -> at 0.1`. Of rules over
    /// lists, `output 0 for 1`, `output 0 for n + 1`, `output 0 for the last of n + 1`.
    pub fn to_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for part in &self.parts {
            let without =
                if part.absent.is_empty() { String::new() } else { format!(" without {}", part.absent.join(", ")) };
            lines.push(format!("output {}{}{without}", part.output, part.case));
            lines.extend(part.steps.iter().map(Step::to_string));
        }
        lines
    }

    /// Reads the lines that [`Proof::to_lines`] writes.
    ///
    /// # Errors
    /// A line that is neither the head of a part nor a step.
    pub fn from_lines<S: AsRef<str>>(lines: &[S]) -> Result<Proof, ProofError> {
        let mut proof = Proof::default();
        for line in lines {
            let line = line.as_ref();
            let fail = |problem: &str| ProofError::Line { line: line.to_owned(), problem: problem.to_owned() };
            if let Some(head) = line.strip_prefix("output ") {
                let (head, absent) = head.split_once(" without ").unwrap_or((head, ""));
                let at = head.find(' ').unwrap_or(head.len());
                let (output, case) = head.split_at(at);
                let case = Case::ALL.into_iter().find(|c| c.to_string() == case);
                let case = case.ok_or_else(|| fail("expected `for 1`, `for n + 1` or `for the last of n + 1`"))?;
                let output = output.parse().map_err(|_| fail("expected the number of an output"))?;
                let absent = absent.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
                proof.parts.push(Part { absent, output, case, steps: Vec::new() });
            } else {
                let step = read_step(line).ok_or_else(|| fail("expected `axiom -> at 0.1 with x = …`"))?;
                proof.parts.last_mut().ok_or_else(|| fail("expected `output 0`"))?.steps.push(step);
            }
        }
        Ok(proof)
    }

    /// How many steps it has, in all its parts.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.steps.len()).sum()
    }

    /// Whether it has no step.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn read_step(line: &str) -> Option<Step> {
    let (body, with) = line.split_once(" with ").unwrap_or((line, ""));
    let (body, position) = body.split_once(" at ").unwrap_or((body, ""));
    let (axiom, arrow) = body.split_once(' ')?;
    let backwards = match arrow {
        "->" => false,
        "<-" => true,
        _ => return None,
    };
    let position = position.split('.').filter(|p| !p.is_empty()).map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let mut bindings = BTreeMap::new();
    for part in with.split("; ").filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once(" = ")?;
        bindings.insert(name.to_owned(), value.to_owned());
    }
    Some(Step { axiom: axiom.to_owned(), backwards, position, with: bindings })
}
