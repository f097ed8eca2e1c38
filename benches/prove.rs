//! Proves every rule of the starter library and re-checks every proof: verdicts, times, lengths of proofs, and how often
//! each axiom is used.
//!
//! `cargo bench --bench prove` prints; names or parts of names restrict it to some rules, `FILE.json` to these files of
//! `substitutions/`, and `--why` says of each other rule why it is not proved. `cargo bench --bench prove -- --write`
//! renews the proofs in `substitutions/*.json`, which is how they come about: a rule that is proved gets its proof, and
//! one that is not becomes `tested`, with the reason.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use graphopt::substitution::{
    Ids, Library, Proof, ProverLimits, STARTER, Substitution, UNPROVED, Verdict, Verification, check_proof, prove,
};

/// Checks of one proof, of which the fastest counts.
const CHECKS: usize = 5;

#[derive(Default)]
struct Tally {
    /// (ms, name), of rules proved.
    prove: Vec<(f64, String)>,
    check: Vec<(f64, String)>,
    lengths: BTreeMap<usize, usize>,
    axioms: BTreeMap<String, usize>,
    others: Vec<(String, String)>,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let flag = |name: &str| args.iter().any(|a| a == name);
    let (files, names): (Vec<&String>, Vec<&String>) =
        args.iter().filter(|a| !a.starts_with("--")).partition(|a| a.ends_with(".json"));
    let chosen = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("substitutions");
    let mut all = Tally::default();
    let files: Vec<&str> = match files.is_empty() {
        true => STARTER.iter().chain([&UNPROVED]).map(|(file, _)| *file).collect(),
        false => files.into_iter().map(String::as_str).collect(),
    };
    for file in files {
        let path = folder.join(file);
        let text = unproved(&std::fs::read_to_string(&path).expect("the library's file is there"));
        let mut library = Library::parse(file, text.as_bytes(), Ids::Computed).expect("the library reads");
        let mut tally = Tally::default();
        for substitution in library.substitutions.iter_mut().filter(|s| chosen(&s.rule.name)) {
            tally.one(substitution);
        }
        println!("{file}: {} of {} proved", tally.prove.len(), library.substitutions.len());
        if flag("--why") {
            tally.others.iter().for_each(|(name, why)| println!("  {name}: {why}"));
        }
        if flag("--write") && names.is_empty() {
            std::fs::write(&path, library.to_text()).expect("the library's file can be written");
        }
        all.join(tally);
    }
    all.print();
}

/// The text of a library with every rule as one that is tested, so that proofs that no longer check are in no one's way.
fn unproved(text: &str) -> String {
    text.replace("\"status\": \"proved\"", "\"status\": \"tested\"")
}

impl Tally {
    fn one(&mut self, substitution: &mut Substitution) {
        let name = substitution.rule.name.clone();
        let start = Instant::now();
        let verdict = prove(&substitution.rule, &ProverLimits { trials: 0, ..ProverLimits::default() });
        let time = start.elapsed().as_secs_f64() * 1e3;
        let finite_field = substitution.verification.finite_field;
        let proof = match verdict {
            Verdict::Proved(proof) => proof,
            Verdict::Unknown(why) => {
                self.others.push((name, format!("{time:.0} ms: {why}")));
                substitution.verification = Verification { finite_field, ..Verification::tested(why) };
                return;
            }
            Verdict::Refuted(witness) => panic!("{name} is false: {}", witness.instance),
        };
        substitution.verification = Verification { finite_field, ..Verification::proved(&proof) };
        self.prove.push((time, name.clone()));
        let check = (0..CHECKS).map(|_| {
            let start = Instant::now();
            let read = Proof::from_lines(&substitution.verification.proof).expect("what was written reads");
            check_proof(&substitution.rule, &read).expect("a proof that was found checks");
            start.elapsed().as_secs_f64() * 1e3
        });
        self.check.push((check.fold(f64::INFINITY, f64::min), name));
        *self.lengths.entry(proof.len()).or_default() += 1;
        for step in proof.parts.iter().flat_map(|part| &part.steps) {
            *self.axioms.entry(step.axiom.clone()).or_default() += 1;
        }
    }

    fn join(&mut self, other: Tally) {
        self.prove.extend(other.prove);
        self.check.extend(other.check);
        self.others.extend(other.others);
        other.lengths.into_iter().for_each(|(k, n)| *self.lengths.entry(k).or_default() += n);
        other.axioms.into_iter().for_each(|(k, n)| *self.axioms.entry(k).or_default() += n);
    }

    fn print(&mut self) {
        println!("\n{} rules proved, {} not", self.prove.len(), self.others.len());
        for (what, times) in [("prove", &mut self.prove), ("check", &mut self.check)] {
            times.sort_by(|a, b| a.0.total_cmp(&b.0));
            let Some((slowest, name)) = times.last() else { continue };
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].0;
            println!(
                "{what}, ms: median {:.3}, p90 {:.3}, p99 {:.3}, max {slowest:.3} ({name})",
                at(0.5),
                at(0.9),
                at(0.99)
            );
        }
        println!("\nsteps  proofs");
        self.lengths.iter().for_each(|(length, count)| println!("{length:>5}  {count:>6}"));
        println!("\nuses  axiom");
        let mut uses: Vec<_> = self.axioms.iter().collect();
        uses.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        uses.iter().for_each(|(name, count)| println!("{count:>5} {name}"));
    }
}
