//! Proofs as SMT-LIB 2: the instances of axioms that a proof uses, as equations between terms of operators that no solver
//! knows anything of, and the denial of what they are said to prove. A solver that finds this unsatisfiable agrees that the
//! conclusion follows, whatever our replay of positions says. (That each instance is one of an axiom, under its
//! conditions, is what the checker checks.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::check::{Taken, replay};
use super::term::{TermId, World};
use super::{Proof, ProofError};
use crate::rewrite::Rule;

/// A problem for each part of a proof that has steps, which must be unsatisfiable.
///
/// # Errors
/// The proof does not prove the rule.
pub fn smt_lib(rule: &Rule, proof: &Proof) -> Result<Vec<String>, ProofError> {
    Ok(problems(rule, proof)?.iter().map(Problem::text).collect())
}

fn problems(rule: &Rule, proof: &Proof) -> Result<Vec<Problem>, ProofError> {
    let mut problems: Vec<Problem> = Vec::new();
    replay(rule, proof, &mut |taken: &Taken<'_>| {
        let world = &taken.statement.world;
        if taken.number == 0 {
            let mut problem = Problem::default();
            problem.goal = [problem.term(world, taken.goal.source), problem.term(world, taken.goal.target)];
            problems.push(problem);
        }
        let problem = problems.last_mut().expect("a part was begun");
        let sides = [problem.term(world, taken.before), problem.term(world, taken.after)];
        problem.axioms.push((taken.step.axiom.clone(), sides));
    })?;
    Ok(problems)
}

/// Terms by number; equal terms have one number.
#[derive(Default)]
struct Problem {
    /// Operators with their attributes, and how many operands they have here.
    functions: BTreeMap<(String, usize), usize>,
    terms: BTreeMap<TermId, usize>,
    /// Operator and operands of each term.
    definitions: Vec<(usize, Vec<usize>)>,
    axioms: Vec<(String, [usize; 2])>,
    goal: [usize; 2],
}

impl Problem {
    fn term(&mut self, world: &World, id: TermId) -> usize {
        if let Some(number) = self.terms.get(&id) {
            return *number;
        }
        let args: Vec<usize> = world.args(id).to_vec().into_iter().map(|arg| self.term(world, arg)).collect();
        let next = self.functions.len();
        // Everything that a head says, so that different attributes are different functions.
        let function = *self.functions.entry((format!("{:?}", world.head(id)), args.len())).or_insert(next);
        self.definitions.push((function, args));
        self.terms.insert(id, self.definitions.len() - 1);
        self.definitions.len() - 1
    }

    fn text(&self) -> String {
        let mut text = String::from("(set-logic QF_UF)\n(declare-sort Tensor 0)\n");
        let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes it");
        for ((name, operands), number) in &self.functions {
            let operands = vec!["Tensor"; *operands].join(" ");
            line(format_args!("(declare-fun f{number} ({operands}) Tensor) ; {}", name.replace('\n', " ")));
        }
        for (number, (function, args)) in self.definitions.iter().enumerate() {
            line(format_args!("(declare-const t{number} Tensor)"));
            let args: String = args.iter().map(|arg| format!(" t{arg}")).collect();
            let applied = if args.is_empty() { format!("f{function}") } else { format!("(f{function}{args})") };
            line(format_args!("(assert (= t{number} {applied}))"));
        }
        let mut said = BTreeSet::new();
        for (axiom, [left, right]) in &self.axioms {
            if said.insert((left, right)) {
                line(format_args!("(assert (= t{left} t{right})) ; {axiom}"));
            }
        }
        line(format_args!("(assert (not (= t{} t{})))", self.goal[0], self.goal[1]));
        line(format_args!("(check-sat)"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::substitution::{Library, Status};

    /// Whether the goal follows by congruence from the first `axioms` equations.
    fn follows(problem: &Problem, axioms: usize) -> bool {
        let mut class: Vec<usize> = (0..problem.definitions.len()).collect();
        let join = |class: &mut Vec<usize>, a: usize, b: usize| {
            let (a, b) = (class[a], class[b]);
            class.iter_mut().filter(|c| **c == a).for_each(|c| *c = b);
            a != b
        };
        for (_, [a, b]) in &problem.axioms[..axioms] {
            join(&mut class, *a, *b);
        }
        loop {
            let mut changed = false;
            let mut seen: BTreeMap<(usize, Vec<usize>), usize> = BTreeMap::new();
            for (term, (function, args)) in problem.definitions.iter().enumerate() {
                let key = (*function, args.iter().map(|arg| class[*arg]).collect());
                let first = *seen.entry(key).or_insert(term);
                changed |= join(&mut class, term, first);
            }
            if !changed {
                return class[problem.goal[0]] == class[problem.goal[1]];
            }
        }
    }

    #[test]
    fn goals_follow_from_the_equations_and_from_no_fewer() {
        let library = Library::built_in().unwrap();
        let mut problems = Vec::new();
        for substitution in library.substitutions.iter().filter(|s| s.verification.status == Status::Proved) {
            let proof = Proof::from_lines(&substitution.verification.proof).unwrap();
            problems.extend(super::problems(&substitution.rule, &proof).unwrap());
        }
        assert!(problems.len() > 200);
        for problem in &problems {
            assert!(follows(problem, problem.axioms.len()), "{}", problem.text());
            assert!(!follows(problem, 0), "{}", problem.text());
        }
    }
}
