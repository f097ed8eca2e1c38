//! `graphopt verify-substitutions`.

use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Answer, terminal, units};
use crate::rewrite::RuleSet;
use crate::substitution::{Library, Substitution, TrialError, TrialSettings, Trials, try_rule};

/// Checks a substitution library: its form, and every rule on random instances of its source.
///
/// Both sides of a rule are evaluated in f64 on random shapes, attributes and elements. Exit
/// code 1 if a rule is refuted, or if too few instances are found to test it. A file that is no
/// library, or a rule that breaks the rule language, is refused by rule and field.
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
    /// How many instances to test each rule on, at least.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    instances: u32,
    /// Seed of the instances.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Prints one JSON document on stdout instead.
    #[arg(long)]
    json: bool,
}

/// A rule with what its test gave.
type Verdict<'a> = (&'a Substitution, Result<Trials, TrialError>);

impl VerifySubstitutions {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let library = match &self.file {
            Some(file) => Library::load(file)?,
            None => Library::starter()?,
        };
        let name = self.file.as_ref().map_or("built-in".to_owned(), |file| file.display().to_string());
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
        let test = |substitution: &Substitution| {
            let verdict = try_rule(&substitution.rule, &settings);
            bar.inc(1);
            verdict
        };
        let verdicts: Vec<Verdict<'_>> = library.substitutions.par_iter().map(|s| (s, test(s))).collect();
        bar.finish_and_clear();

        if self.json {
            let document: Vec<Value> = verdicts.iter().map(document).collect();
            terminal::print_json(&json!({ "library": name, "rules": document, "seed": self.seed }))?;
        } else {
            terminal::print(&text(&name, &verdicts))?;
        }
        Ok(if verdicts.iter().all(|(_, verdict)| verdict.is_ok()) { Answer::Done } else { Answer::No })
    }
}

/// What a verdict is called.
fn word(verdict: &Result<Trials, TrialError>) -> &'static str {
    match verdict {
        Ok(_) => "agrees",
        Err(TrialError::TooFew { .. }) => "not tested",
        Err(TrialError::Target { .. } | TrialError::Differ { .. }) => "refuted",
    }
}

fn text(name: &str, verdicts: &[Verdict<'_>]) -> String {
    let count = |what: &str| verdicts.iter().filter(|(_, verdict)| word(verdict) == what).count();
    let worst = verdicts.iter().filter_map(|(_, v)| v.as_ref().ok()).map(|t| t.error).fold(0.0, f64::max);
    let instances: usize = verdicts.iter().filter_map(|(_, v)| v.as_ref().ok()).map(|t| t.instances).sum();
    let mut lines = vec![format!(
        "{name}: {} rules; {} agree on {instances} instances (largest relative error {worst:.1e}), {} refuted, {} not tested",
        verdicts.len(),
        count("agrees"),
        count("refuted"),
        count("not tested")
    )];
    for (substitution, verdict) in verdicts {
        if let Err(error) = verdict {
            lines.push(format!("{} {}: {error}", word(verdict), substitution.rule.name));
        }
    }
    lines.join("\n")
}

fn document((substitution, verdict): &Verdict<'_>) -> Value {
    let mut document = json!({ "name": substitution.rule.name, "id": substitution.id, "verdict": word(verdict) });
    match verdict {
        Ok(trials) => {
            document["instances"] = trials.instances.into();
            document["max_rel_error"] = units::json_number(trials.error);
        }
        Err(error) => document["reason"] = error.to_string().into(),
    }
    document
}
