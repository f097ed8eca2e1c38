//! `graphopt convert`.

use std::path::PathBuf;

use clap::Args;

use super::{Answer, args, terminal};
use crate::formats;

/// Converts a model between .onnx and .json.
///
/// The endings of the files name the formats. A JSON graph is a readable ONNX graph: nothing is
/// lost in either direction.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt convert model.onnx model.json"
)]
pub struct Convert {
    /// The model to read.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write; one that exists is replaced.
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

impl Convert {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let model = args::read_model(&self.input)?;
        formats::save(&model, &self.output)?;
        terminal::note(&format!("{}: {} nodes", self.output.display(), model.nodes.len()));
        Ok(Answer::Done)
    }
}
