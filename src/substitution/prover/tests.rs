//! Tests of the prover, and of the checker against mutated rules and proofs.

use super::*;
use crate::graph::{Attr, splitmix64};
use crate::rewrite::{AttrPattern, RuleNode};
use crate::substitution::expr::condition_text;
use crate::substitution::proof::Step;
use crate::substitution::trial::try_small;
use crate::substitution::{Ids, Library};
use rayon::prelude::*;
use std::collections::BTreeMap;

fn rule(name: &str) -> Rule {
    Library::built_in().unwrap().find(name).unwrap().rule.clone()
}

#[test]
fn rules_of_each_kind_are_proved() {
    for name in [
        "common-factor-out-of-difference",
        "transpose-twice-rank-4",
        "transpose-through-softmax",
        "reshape-twice",
        "two-linear-layers-with-bias",
        "batch-normalization-into-convolution-2d",
        "sum-of-convolutions",
        "product-plus-input",
        "concat-of-relus",
        "products-of-one-input",
        "convolutions-of-parts-as-groups",
        "concat-of-split",
        "projections-of-steps",
    ] {
        let verdict = prove(&rule(name), &ProverLimits::default());
        assert!(matches!(verdict, Verdict::Proved(_)), "{name}: {verdict:?}");
    }
}

#[test]
fn a_false_rule_is_refuted() {
    let mut wrong = rule("sub-constant-after-add-constant");
    wrong.target.nodes[0].inputs.reverse();
    let verdict = prove(&wrong, &ProverLimits { nodes: 300, ..ProverLimits::default() });
    assert!(matches!(verdict, Verdict::Refuted(_)), "{verdict:?}");
}

#[test]
fn what_holds_of_one_member_alone_is_not_proved() {
    let mut wrong = rule("convolutions-of-parts-as-groups");
    for (name, pattern) in wrong.target.nodes.iter_mut().flat_map(|n| &mut n.attrs) {
        if name == "group" {
            *pattern = AttrPattern::Literal(Attr::Int(1));
        }
    }
    let verdict = prove(&wrong, &ProverLimits { trials: 0, ..ProverLimits::default() });
    assert!(matches!(&verdict, Verdict::Unknown(why) if why.contains("for n + 1")), "{verdict:?}");
}

#[test]
fn an_induction_has_both_its_parts_and_goes_forwards() {
    let rule = rule("concat-of-split");
    let Verdict::Proved(proof) = prove(&rule, &ProverLimits::default()) else { panic!("not proved") };
    for missing in 0..proof.parts.len() {
        let mut part = proof.clone();
        part.parts.remove(missing);
        assert!(check_proof(&rule, &part).is_err(), "without part {missing}");
    }
    let mut backwards = proof.clone();
    let steps = backwards.parts.iter_mut().flat_map(|p| &mut p.steps);
    let step = steps.into_iter().find(|s| s.axiom == HYPOTHESIS).expect("the hypothesis is used");
    step.backwards = true;
    assert!(check_proof(&rule, &backwards).is_err());
}

#[test]
fn proofs_survive_being_written() {
    for substitution in Library::built_in().unwrap().substitutions.iter().take(60) {
        let lines = &substitution.verification.proof;
        assert_eq!(Proof::from_lines(lines).unwrap().to_lines(), *lines, "{}", substitution.rule.name);
    }
}

/// Changes one thing about a rule's target or conditions; `None` if there is nothing of the kind chosen.
fn mutant(rule: &Rule, draw: u64) -> Option<Rule> {
    let mut mutant = rule.clone();
    let at = (draw >> 8) as usize;
    match draw % 4 {
        0 => {
            let nodes: Vec<&mut RuleNode> = mutant.target.nodes.iter_mut().filter(|n| n.inputs.len() >= 2).collect();
            let count = nodes.len();
            let node = nodes.into_iter().nth(at.checked_rem(count)?)?;
            node.inputs.swap(0, 1);
        }
        1 => {
            let literals = mutant.target.nodes.iter_mut().flat_map(|n| &mut n.attrs);
            let literals: Vec<&mut AttrPattern> =
                literals.map(|(_, p)| p).filter(|p| matches!(p, AttrPattern::Literal(_))).collect();
            let count = literals.len();
            let literal = literals.into_iter().nth(at.checked_rem(count)?)?;
            if let AttrPattern::Literal(value) = literal {
                *value = match &*value {
                    Attr::Int(v) => Attr::Int(v + 1),
                    Attr::Float(v) => Attr::Float(v + 1.0),
                    Attr::Ints(v) if v.len() >= 2 => Attr::Ints(v.iter().rev().copied().collect()),
                    _ => return None,
                };
            }
        }
        2 => {
            let at = at.checked_rem(mutant.conditions.len())?;
            mutant.conditions.remove(at);
        }
        _ => {
            // Another input of the rule takes the place of an operand.
            let at_node = at.checked_rem(mutant.target.nodes.len())?;
            let inputs: Vec<String> = rule.inputs.iter().map(|i| i.name.clone()).collect();
            let node = &mut mutant.target.nodes[at_node];
            let slot = (at >> 8).checked_rem(node.inputs.len())?;
            let name = &inputs[(at >> 16) % inputs.len()];
            node.inputs[slot] = crate::rewrite::Operand::One(name.clone());
        }
    }
    (mutant != *rule).then_some(mutant)
}

/// Changes that are tried of rules, and of steps of proofs.
const MUTANTS: usize = 10_000;

/// Runs a trial for each number until there are [`MUTANTS`] of them that are of use; what those say that were accepted.
fn accepted<T: Send>(trial: impl Fn(u64) -> Option<Option<T>> + Sync + Send) -> Vec<T> {
    let draws: Vec<Option<Option<T>>> = (0..2 * MUTANTS as u64).into_par_iter().map(trial).collect();
    let tried: Vec<Option<T>> = draws.into_iter().flatten().take(MUTANTS).collect();
    assert_eq!(tried.len(), MUTANTS, "too few mutants");
    tried.into_iter().flatten().collect()
}

/// `GRAPHOPT_MUTANTS=FOLDER` has what was accepted written to a file of this name there.
fn write_down(name: &str, counts: &str, accepted: Vec<String>) {
    if let Some(folder) = std::env::var_os("GRAPHOPT_MUTANTS") {
        let (count, mut lines) = (accepted.len(), accepted);
        lines.sort();
        lines.dedup();
        let text = format!("{MUTANTS} mutants, {count} accepted; {counts}\n{}\n", lines.join("\n"));
        std::fs::write(std::path::Path::new(&folder).join(name), text).unwrap();
    }
}

/// Choices of ranks, attributes and elements that each mutant that is accepted is tried on, and proposals of shapes for each.
const STREAMS: u64 = 16;
const SMALL: usize = 4_096;

/// No proof of a rule is taken for one of a mutated rule that differs from its source on an instance.
#[test]
fn mutated_rules_are_refused_unless_they_are_true() {
    let proved = Library::built_in().unwrap().substitutions;
    assert!(proved.len() >= 400, "{} rules are proved", proved.len());
    let accepted = accepted(|draw| {
        let random = splitmix64(5, draw);
        let substitution = &proved[(random >> 40) as usize % proved.len()];
        let mutant = mutant(&substitution.rule, random)?;
        let proof = Proof::from_lines(&substitution.verification.proof).unwrap();
        if check_proof(&mutant, &proof).is_err() {
            return Some(None);
        }
        let settings = TrialSettings { instances: 8, attempts: 20_000, ..TrialSettings::default() };
        if let Err(TrialError::Differ { instance, .. }) = try_rule(&mutant, &settings) {
            panic!("accepted and false: {mutant:?} on {instance}");
        }
        Some(Some((mutant.clone(), format!("{}: {}", mutant.name, change(&substitution.rule, &mutant)))))
    });
    let each: BTreeMap<String, Rule> = accepted.iter().map(|(mutant, text)| (text.clone(), mutant.clone())).collect();
    let try_one = |(text, mutant): (&String, &Rule)| {
        try_small(mutant, STREAMS, SMALL).unwrap_or_else(|e| panic!("accepted and false: {text}: {e}"))
    };
    let small: Vec<(usize, usize)> = each.par_iter().map(try_one).collect();
    let (instances, whole) = small.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    let all = each.len() * STREAMS as usize;
    let counts = format!(
        "{} different ones, all true on {instances} instances: with all dimensions of 1 and 2, for {whole} of {all} choices of ranks and attributes",
        each.len(),
    );
    assert!(instances > 20 * each.len() && whole * 10 > all * 9, "{counts}");
    write_down("mutated_rules.txt", &counts, accepted.iter().map(|(_, text)| text.clone()).collect());
    assert!(accepted.len() < MUTANTS / 4, "{} of {MUTANTS} mutants accepted", accepted.len());
}

/// What was changed.
fn change(rule: &Rule, mutant: &Rule) -> String {
    if rule.conditions != mutant.conditions {
        let dropped = rule.conditions.iter().find(|c| !mutant.conditions.contains(c));
        return dropped.map_or("a condition given twice".into(), |c| format!("without {}", condition_text(c)));
    }
    let nodes = rule.target.nodes.iter().zip(&mutant.target.nodes).find(|(a, b)| a != b);
    nodes.map_or(String::new(), |(a, b)| {
        if a.inputs == b.inputs {
            format!("{} with {:?} for {:?}", a.op, b.attrs, a.attrs)
        } else {
            let names =
                |node: &RuleNode| node.inputs.iter().map(|o| o.name().unwrap_or("-")).collect::<Vec<_>>().join(", ");
            format!("{}({}) for ({})", a.op, names(b), names(a))
        }
    })
}

/// A proof with a step changed is refused, or is still a proof of the same rule.
#[test]
fn mutated_steps_prove_nothing_else() {
    let proved = Library::built_in().unwrap().substitutions;
    let names: Vec<&str> = crate::substitution::proof::axioms().iter().map(|a| a.name).collect();
    let accepted = accepted(|draw| {
        let random = splitmix64(6, draw);
        let substitution = &proved[(random >> 40) as usize % proved.len()];
        let mut proof = Proof::from_lines(&substitution.verification.proof).unwrap();
        let parts = proof.parts.len();
        let part = &mut proof.parts[(random >> 20) as usize % parts];
        let at = ((random >> 8) as usize % 4096).checked_rem(part.steps.len())?;
        let before = part.steps[at].to_string();
        match random % 4 {
            0 => part.steps[at].backwards ^= true,
            1 => part.steps[at].axiom = names[(random >> 30) as usize % names.len()].to_owned(),
            2 => part.steps[at].position.push((random >> 30) as usize % 3),
            _ => drop(part.steps.remove(at)),
        }
        let after = part.steps.get(at).map_or("nothing".into(), Step::to_string);
        let accepted = check_proof(&substitution.rule, &proof).is_ok();
        Some(accepted.then(|| format!("{}: {after} for {before}", substitution.rule.name)))
    });
    write_down("mutated_steps.txt", "each is another proof of the same rule", accepted.clone());
    // Turning a step of commutation round, or naming the axiom that it already names, changes nothing.
    assert!(accepted.len() * 5 < MUTANTS, "{} of {MUTANTS} changed proofs accepted", accepted.len());
}

/// The axioms that TASO's rules are verified with, written as rules, and what it merges under a condition on shapes. A
/// convolution followed by a rectifier is two operators here, so that one of its axioms says nothing.
fn taso_axioms() -> Vec<Rule> {
    let text = include_str!("../../../tests/data/taso_axioms.json");
    let library = Library::parse("taso_axioms.json", text.as_bytes(), Ids::Computed).unwrap();
    library.substitutions.into_iter().map(|s| s.rule).collect()
}

#[test]
fn the_axioms_of_taso_are_proved() {
    let rules = taso_axioms();
    assert!(rules.len() >= 44, "{}", rules.len());
    for rule in &rules {
        let verdict = prove(rule, &ProverLimits::default());
        assert!(matches!(verdict, Verdict::Proved(_)), "{}: {verdict:?}", rule.name);
    }
}

/// What holds under conditions is not proved if one of them is left out.
#[test]
fn the_conditions_of_the_axioms_of_taso_are_needed() {
    let mut tried = 0;
    for rule in taso_axioms() {
        for left_out in 0..rule.conditions.len() {
            let mut less = rule.clone();
            let condition = less.conditions.remove(left_out);
            tried += 1;
            let limits = ProverLimits { trials: 0, ..ProverLimits::default() };
            let verdict = prove(&less, &limits);
            assert!(!matches!(verdict, Verdict::Proved(_)), "{} is proved without {condition:?}", rule.name);
        }
    }
    assert!(tried >= 30, "{tried} conditions");
}
