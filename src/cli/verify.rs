//! `graphopt verify-substitutions`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::cross_check::{CrossCheck, Solver};
use super::{Answer, args, outputs, terminal, units};
use crate::formats::write_atomically;
use crate::rewrite::RuleSet;
use crate::substitution::{
    FieldOutcome, LibraryError, PRIME, Status, Substitution, TrialError, TrialSettings, Trials, try_over_field,
    try_rule,
};

/// Checks a substitution library: its form, its proofs, and every rule on random instances.
///
/// Proofs are checked again from the axioms. Both sides of a rule are evaluated on random shapes,
/// attributes and elements: in f64, and modulo the prime 2^61 - 1, where what agrees is equal but for
/// the stated chance. A rule that needs laws of the real numbers (an order, exp(x + y)) may differ
/// there; that is told and is no fault. Exit code 1 if a proof does not hold, a rule is refuted, or
/// too few instances are found to test it. A file that is no library, or a rule that breaks the rule
/// language, is refused by rule and field.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt verify-substitutions my-rules.json --instances 100"
)]
pub struct VerifySubstitutions {
    /// The library; the built-in one if none is named.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Also checks rules without a proof: of the file, or the built-in ones.
    #[arg(long)]
    unproved: bool,
    /// How many instances to test each rule on, at least.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    instances: u32,
    /// Seed of the instances.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Has a solver (a program on the PATH) confirm that each proof follows from the instances of axioms that it uses.
    #[arg(long, value_name = "SOLVER")]
    cross_check: Option<Solver>,
    /// Writes what the solver is asked, as SMT-LIB 2: every problem must be unsatisfiable.
    #[arg(long, value_name = "OUT")]
    smt_lib: Option<PathBuf>,
    /// Prints one JSON document on stdout instead.
    #[arg(long)]
    json: bool,
}

/// A rule with what its tests gave.
struct Verdict<'a> {
    substitution: &'a Substitution,
    real: Result<Trials, TrialError>,
    /// Over the field; `None` where the rule failed before.
    field: Option<FieldOutcome>,
}

impl VerifySubstitutions {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        if let Some(path) = &self.smt_lib {
            let library: Vec<&Path> = self.file.as_deref().into_iter().collect();
            outputs::check(path, &library)?;
        }
        let name = self.file.as_ref().map_or("built-in".to_owned(), |file| file.display().to_string());
        let loaded = match &self.file {
            Some(file) => args::loaded(file, self.unproved),
            None => args::built_in_rules(self.unproved),
        };
        let library = match loaded {
            // A proof that does not hold is an answer, not a fault of the file.
            Err(error) if matches!(error.downcast_ref(), Some(LibraryError::Proof { .. })) => {
                if self.json {
                    terminal::print_json(&json!({ "library": name, "refused": error.to_string() }))?;
                } else {
                    terminal::print(&error.to_string())?;
                }
                return Ok(Answer::No);
            }
            loaded => loaded?,
        };
        let rules = library.substitutions.iter().map(|s| s.rule.clone());
        RuleSet::compile(rules).map_err(|(rule, why)| anyhow::anyhow!("{name}: rule {rule:?}: {why}"))?;

        let standard = TrialSettings::default();
        let instances = self.instances as usize;
        let settings = TrialSettings {
            seed: self.seed,
            instances,
            attempts: standard.attempts.max(instances.saturating_mul(standard.attempts / standard.instances)),
            ..standard
        };
        let bar = terminal::bar(library.substitutions.len() as u64);
        let test = |substitution| {
            let verdict = Verdict::of(substitution, &settings);
            bar.inc(1);
            verdict
        };
        let verdicts: Vec<Verdict<'_>> = library.substitutions.par_iter().map(test).collect();
        bar.finish_and_clear();

        let cross_check = CrossCheck::of(&library)?;
        if let Some(path) = &self.smt_lib {
            write_atomically(path, |out| out.write_all(cross_check.text.as_bytes()))
                .with_context(|| path.display().to_string())?;
        }
        let confirmed = self.cross_check.map(|solver| cross_check.run(solver)).transpose()?;
        let agreed = confirmed.is_none_or(|confirmed| confirmed == cross_check.problems);

        if self.json {
            let document: Vec<Value> = verdicts.iter().map(Verdict::document).collect();
            let mut document = json!({ "library": name, "rules": document, "seed": self.seed, "prime": PRIME });
            if let Some(confirmed) = confirmed {
                document["cross_check"] = json!({ "problems": cross_check.problems, "confirmed": confirmed });
            }
            terminal::print_json(&document)?;
        } else {
            terminal::print(&text(&name, &verdicts))?;
            if let Some(confirmed) = confirmed {
                terminal::print(&format!("solver: {confirmed} of {} parts of proofs confirmed", cross_check.problems))?;
            }
        }
        Ok(if agreed && verdicts.iter().all(|verdict| verdict.real.is_ok()) { Answer::Done } else { Answer::No })
    }
}

impl Verdict<'_> {
    fn of<'a>(substitution: &'a Substitution, settings: &TrialSettings) -> Verdict<'a> {
        let real = try_rule(&substitution.rule, settings);
        let field = real.is_ok().then(|| try_over_field(&substitution.rule, settings).ok()).flatten();
        Verdict { substitution, real, field }
    }

    /// What it is called.
    fn word(&self) -> &'static str {
        match self.real {
            Ok(_) => "agrees",
            Err(TrialError::TooFew { .. }) => "not tested",
            Err(TrialError::Target { .. } | TrialError::Differ { .. }) => "refuted",
        }
    }

    fn field_word(&self) -> &'static str {
        match self.field {
            Some(FieldOutcome::Agrees(_)) => "agrees",
            Some(FieldOutcome::Differs { .. }) => "real law",
            Some(FieldOutcome::Undefined(_)) | None => "",
        }
    }

    fn chance(&self) -> Option<f64> {
        match &self.field {
            Some(FieldOutcome::Agrees(trials)) => Some(trials.chance()),
            Some(FieldOutcome::Differs { .. } | FieldOutcome::Undefined(_)) | None => None,
        }
    }

    fn row(&self) -> Vec<String> {
        let Substitution { rule, verification, .. } = self.substitution;
        let steps = verification.proof.iter().filter(|line| !line.starts_with("output ")).count();
        let proof = if verification.status == Status::Proved { format!("{steps} steps") } else { String::new() };
        let error = self.real.as_ref().map_or(String::new(), |trials| format!("{:.0e}", trials.error));
        let chance = self.chance().map_or(String::new(), |chance| format!("{chance:.0e}"));
        vec![rule.name.clone(), proof, self.word().into(), error, self.field_word().into(), chance]
    }

    fn document(&self) -> Value {
        let Substitution { id, rule, verification, .. } = self.substitution;
        let mut document = json!({
            "name": rule.name, "id": id, "proved": verification.status == Status::Proved, "verdict": self.word(),
        });
        match &self.real {
            Ok(trials) => {
                document["instances"] = trials.instances.into();
                document["max_rel_error"] = units::json_number(trials.error);
            }
            Err(error) => document["reason"] = error.to_string().into(),
        }
        document["field"] = match &self.field {
            Some(FieldOutcome::Agrees(trials)) => json!({
                "verdict": "agrees", "instances": trials.instances, "shapes": trials.shapes, "undefined": trials.undefined,
                "degree": trials.degree, "chance": trials.chance(),
            }),
            Some(FieldOutcome::Differs { output, instance }) => {
                json!({ "verdict": "real law", "output": output, "instance": instance })
            }
            Some(FieldOutcome::Undefined(trials)) => json!({ "verdict": "undefined", "undefined": trials.undefined }),
            None => Value::Null,
        };
        document
    }
}

fn text(name: &str, verdicts: &[Verdict<'_>]) -> String {
    let count = |test: &dyn Fn(&Verdict<'_>) -> bool| verdicts.iter().filter(|v| test(v)).count();
    let worst = verdicts.iter().filter_map(|v| v.real.as_ref().ok()).map(|t| t.error).fold(0.0, f64::max);
    let instances: usize = verdicts.iter().filter_map(|v| v.real.as_ref().ok()).map(|t| t.instances).sum();
    let chance = verdicts.iter().filter_map(Verdict::chance).fold(0.0, f64::max);
    let mut lines = vec![
        terminal::table(&["rule", "proof", "in f64", "error", "modulo p", "chance"], verdicts.iter().map(Verdict::row)),
        String::new(),
        format!(
            "{name}: {} rules, {} with a proof that holds",
            verdicts.len(),
            count(&|v| v.substitution.verification.status == Status::Proved)
        ),
        format!(
            "in f64: {} agree on {instances} instances (largest relative error {worst:.1e}), {} refuted, {} not tested",
            count(&|v| v.word() == "agrees"),
            count(&|v| v.word() == "refuted"),
            count(&|v| v.word() == "not tested")
        ),
        format!(
            "modulo p = 2^61 - 1: {} agree (each by chance with at most {chance:.1e} an instance), {} need laws of the reals, {} have no value there",
            count(&|v| v.field_word() == "agrees"),
            count(&|v| v.field_word() == "real law"),
            count(&|v| v.field_word().is_empty() && v.real.is_ok()),
        ),
    ];
    for verdict in verdicts {
        if let Err(error) = &verdict.real {
            lines.push(format!("{} {}: {error}", verdict.word(), verdict.substitution.rule.name));
        }
    }
    lines.join("\n")
}
