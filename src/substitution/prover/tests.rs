//! Tests of the prover.

use super::*;
use crate::substitution::Library;

fn rule(name: &str) -> Rule {
    Library::starter().unwrap().find(name).unwrap().rule.clone()
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
    ] {
        let verdict = prove(&rule(name), &ProverLimits::default());
        assert!(matches!(verdict, Verdict::Proved(_)), "{name}: {verdict:?}");
    }
}

#[test]
fn a_false_rule_is_refuted_and_an_unstated_one_unknown() {
    let mut wrong = rule("sub-constant-after-add-constant");
    wrong.target.nodes[0].inputs.reverse();
    let verdict = prove(&wrong, &ProverLimits { nodes: 300, ..ProverLimits::default() });
    assert!(matches!(verdict, Verdict::Refuted(_)), "{verdict:?}");
    let verdict = prove(&rule("concat-of-relus"), &ProverLimits { trials: 0, ..ProverLimits::default() });
    assert_eq!(verdict, Verdict::Unknown("the rule speaks of lists".into()));
}

#[test]
fn proofs_survive_being_written_and_a_changed_step_does_not_check() {
    let rule = rule("common-factor-out-of-difference");
    let Verdict::Proved(proof) = prove(&rule, &ProverLimits::default()) else { panic!("it is proved") };
    assert_eq!(Proof::from_lines(&proof.to_lines()).as_ref(), Ok(&proof));
    for at in 0..proof.parts[0].steps.len() {
        let mut shorter = proof.clone();
        shorter.parts[0].steps.remove(at);
        assert!(check_proof(&rule, &shorter).is_err(), "without step {at}");
    }
}
