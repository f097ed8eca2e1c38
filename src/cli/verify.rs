//! `graphopt verify-substitutions`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Answer, terminal};
use crate::rewrite::RuleSet;
use crate::substitution::{Library, Status};

/// Checks a substitution library: its form, the ids, and that every rule can be compiled.
///
/// A file that is no library, or a rule that breaks the rule language, is refused by rule and field (exit code 2).
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  graphopt verify-substitutions my-rules.json")]
pub struct VerifySubstitutions {
    /// The library; the built-in one if none is named.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Prints one JSON document on stdout instead.
    #[arg(long)]
    json: bool,
}

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
        let count = |status| library.substitutions.iter().filter(|s| s.verification.status == status).count();
        let (proved, tested) = (count(Status::Proved), count(Status::Tested));
        if self.json {
            let total = library.substitutions.len();
            terminal::print_json(&json!({ "library": name, "rules": total, "proved": proved, "tested": tested }))?;
        } else {
            terminal::print(&format!("{name}: {} rules, {proved} proved, {tested} tested", proved + tested))?;
        }
        Ok(Answer::Done)
    }
}
