//! The command line: one file per command, and what they share. Data goes to stdout, everything else to stderr.
//!
//! Exit codes: 0 done; 1 a valid run with a negative answer; 2 the user's input is at fault; 101 a fault of ours.

mod agents;
mod args;
mod compare;
mod convert;
mod cross_check;
mod draw;
mod evaluate;
mod explain;
mod fault;
mod generate;
mod inspect;
mod interrupt;
mod latency;
mod models;
mod opaque;
mod optimise;
mod outputs;
mod page;
mod picture;
mod profile;
mod report;
mod terminal;
mod train_agent;
mod train_world_model;
mod units;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes a neural network's computation graph cheaper, and shows that it still computes the
/// same function.
///
/// A model is a .onnx file, a graphopt .json file, or the name of a built-in architecture
/// (`graphopt models` lists them).
#[derive(Parser, Debug)]
#[command(
    verbatim_doc_comment,
    name = "graphopt",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "\
Example:
  graphopt optimise model.onnx -o faster.onnx

Exit codes: 0 done; 1 the answer is no (not equivalent, a rule refuted); 2 something is wrong with the input;
101 a fault of graphopt.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[command(visible_alias = "optimize")]
    Optimise(optimise::Optimise),
    Inspect(inspect::Inspect),
    Compare(compare::Compare),
    Profile(profile::Profile),
    Convert(convert::Convert),
    Models(models::Models),
    Explain(explain::Explain),
    VerifySubstitutions(verify::VerifySubstitutions),
    GenSubstitutions(generate::GenSubstitutions),
    TrainAgent(train_agent::TrainAgent),
    TrainWorldModel(train_world_model::TrainWorldModel),
    Evaluate(evaluate::Evaluate),
}

/// How a run that went well ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// Done.
    Done,
    /// The question was answered with no.
    No,
}

/// Runs the program on its arguments.
pub fn main() -> ExitCode {
    crate::runtime::keep_freed_memory();
    fault::install_hook();
    ExitCode::from(fault::guard(run))
}

/// The exit code of the command that the arguments ask for.
fn run() -> u8 {
    let cli = Cli::parse();
    let answer = match &cli.command {
        Command::Optimise(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Profile(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Models(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::VerifySubstitutions(command) => command.run(),
        Command::GenSubstitutions(command) => command.run(),
        Command::TrainAgent(command) => command.run(),
        Command::TrainWorldModel(command) => command.run(),
        Command::Evaluate(command) => command.run(),
    };
    match answer {
        Ok(Answer::Done) => 0,
        Ok(Answer::No) => 1,
        Err(error) if fault::is_closed_pipe(&error) => 0,
        Err(error) => {
            terminal::error(&fault::message(&error));
            2
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
