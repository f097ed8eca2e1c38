//! What an SMT solver says of the proofs of a library.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::substitution::{Library, Proof, Status, smt_lib};

/// Solvers that can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Solver {
    /// Z3 (Debian's package `z3`, PyPI's `z3-solver`).
    Z3,
}

/// The problems that the proofs of a library pose.
pub struct CrossCheck {
    /// All of them as SMT-LIB 2, with a reset between.
    pub text: String,
    /// How many there are.
    pub problems: usize,
}

impl CrossCheck {
    /// The problems of all proofs.
    ///
    /// # Errors
    /// A proof that does not hold, which loading refuses.
    pub fn of(library: &Library) -> anyhow::Result<CrossCheck> {
        let mut check = CrossCheck { text: String::new(), problems: 0 };
        for substitution in library.substitutions.iter().filter(|s| s.verification.status == Status::Proved) {
            let proof = Proof::from_lines(&substitution.verification.proof)?;
            for problem in smt_lib(&substitution.rule, &proof)? {
                check.text.push_str(&format!("; {}\n{problem}(reset)\n", substitution.rule.name));
                check.problems += 1;
            }
        }
        Ok(check)
    }

    /// Asks a solver; returns how many problems it finds unsatisfiable, as all must be.
    ///
    /// # Errors
    /// The solver is not there, fails, or does not answer every problem.
    pub fn run(&self, solver: Solver) -> anyhow::Result<usize> {
        let (name, arguments) = match solver {
            Solver::Z3 => ("z3", ["-in", "-smt2"]),
        };
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{name} cannot be started; is it installed?"))?;
        let mut stdin = child.stdin.take().context("the solver takes no input")?;
        let text = self.text.clone();
        // Written beside, or both would wait for the other once the pipes are full.
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        writer.join().map_err(|_| anyhow::anyhow!("what the solver is asked could not be written"))??;
        let said = String::from_utf8_lossy(&output.stdout);
        let answers = said.lines().filter(|line| matches!(*line, "sat" | "unsat" | "unknown")).count();
        if answers != self.problems || !output.status.success() {
            let first = said.lines().find(|line| line.starts_with("(error")).unwrap_or_default();
            bail!("{name} answered {answers} of {} problems ({}) {first}", self.problems, output.status);
        }
        Ok(said.lines().filter(|line| *line == "unsat").count())
    }
}
