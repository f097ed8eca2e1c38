//! Proofs for readers: the terms between the steps.

use super::check::{Taken, replay};
use super::{Case, Proof, ProofError};
use crate::rewrite::Rule;

/// One part of a proof, written out.
#[derive(Clone, Debug, PartialEq)]
pub struct Narrated {
    /// Optional inputs that are left out.
    pub absent: Vec<String>,
    /// Which output, from 0.
    pub output: usize,
    /// Of which members of lists.
    pub case: Case,
    /// The term of the source.
    pub from: String,
    /// What is applied, and the whole term after it.
    pub steps: Vec<(String, String)>,
}

/// A proof with the terms between its steps. Parts without a step, whose sides are the same term, are left out.
///
/// # Errors
/// The proof does not prove the rule.
pub fn narrate(rule: &Rule, proof: &Proof) -> Result<Vec<Narrated>, ProofError> {
    let mut parts: Vec<Narrated> = Vec::new();
    replay(rule, proof, &mut |taken: &Taken<'_>| {
        let world = &taken.statement.world;
        if taken.number == 0 {
            parts.push(Narrated {
                absent: taken.part.absent.clone(),
                output: taken.part.output,
                case: taken.part.case,
                from: world.text(taken.goal.source),
                steps: Vec::new(),
            });
        }
        let arrow = if taken.step.backwards { "backwards" } else { "forwards" };
        let applied = format!("{} {arrow}", taken.step.axiom);
        parts.last_mut().expect("a part was begun").steps.push((applied, world.text(taken.whole)));
    })?;
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substitution::Library;

    #[test]
    fn a_proof_reads_from_the_source_to_the_target() {
        let library = Library::built_in().unwrap();
        let substitution = library.find("minus-negated").unwrap();
        let proof = Proof::from_lines(&substitution.verification.proof).unwrap();
        let [part] = &narrate(&substitution.rule, &proof).unwrap()[..] else { panic!("one output, one part") };
        assert_eq!(part.from, "Sub(x, Neg(y))");
        assert_eq!(part.steps.last().unwrap().1, "Add(x, y)");
        assert!(part.steps.windows(2).all(|pair| pair[0].1 != pair[1].1));
    }
}
