//! The folder of a training: `config.json`, `metrics.jsonl` with TensorBoard's events, `checkpoint/`, `agent.safetensors`
//! and the curves.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::checkpoint::{self, CHECKPOINT_FORMAT, CheckpointError, Opened, VERSION, to_json};
use super::curves;
use super::metrics::{self, Metrics, Recorder};
use super::task::Family;
use super::trainer::{TrainConfig, TrainState, Trainer};
use crate::formats::{check_writable, write_atomically};

/// Everything that a training was started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// `graphopt-run`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// Version of the program.
    pub program: String,
    /// Digest of the rules.
    pub library: String,
    /// Where the network runs.
    pub device: String,
    /// The graphs that are trained on.
    pub models: Vec<String>,
    /// The graphs drawn at random among them.
    pub draw: DrawConfig,
    /// Digest of the file of the agent that training begins with, if it does not begin with nothing.
    pub init: Option<String>,
    /// Digest of the file of learned latency that corrects the costs, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
    /// The settings.
    pub train: TrainConfig,
}

/// Graphs drawn at random; see [`Distribution`](super::task::Distribution).
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawConfig {
    /// How many.
    pub count: usize,
    /// None is made from a model of these families.
    pub held_out: Vec<Family>,
    /// Nodes of a graph at most.
    pub most_nodes: usize,
}

impl DrawConfig {
    /// Whether nothing is drawn.
    pub fn is_nothing(&self) -> bool {
        self.count == 0
    }
}

/// `format` of `config.json`.
pub const FORMAT: &str = "graphopt-run";

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `config.json` cannot be read.
    #[error("{}: {problem}", path.display())]
    Config {
        /// File.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// What a run writes is in the folder already, and no run.
    #[error("{}: this is there, but no config.json of the run that it is of; choose another folder", path.display())]
    Stray {
        /// File or folder.
        path: PathBuf,
    },
    /// The folder holds another training.
    #[error(
        "{}: a training with other settings is in this folder ({field}); choose another folder, or give the same \
         settings to go on with it", path.display()
    )]
    Other {
        /// Folder.
        path: PathBuf,
        /// The first setting that differs, with both values.
        field: String,
    },
    /// The checkpoint cannot be read, or does not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not fit this training.
    #[error("{}: the checkpoint cannot be gone on with: {problem}", path.display())]
    Misfit {
        /// File.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// What a run is of: the command, and the field of `config.json` that no other command's runs have.
pub(super) trait RunSettings: Serialize + DeserializeOwned {
    /// The command.
    const COMMAND: &str;
    /// The field of its settings.
    const FIELD: &str;
}

impl RunSettings for RunConfig {
    const COMMAND: &str = "train-agent";
    const FIELD: &str = "train";
}

/// A training's folder.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    recorder: Recorder,
}

impl Run {
    /// Begins a run in a folder, or goes on with the one that is there: the trainer then takes up its checkpoint.
    /// Returns whether it goes on.
    ///
    /// # Errors
    /// The folder cannot be used, or holds another training.
    pub fn open(folder: &Path, config: &RunConfig, trainer: &mut Trainer<'_>) -> Result<(Run, bool), RunError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        make_folder(folder, &["checkpoint"])?;
        keep_config(folder, config)?;
        let checkpoint = checkpoint_path(folder);
        let goes_on = checkpoint.exists();
        if goes_on {
            take_up(&checkpoint, trainer)?;
        }
        let recorder = Recorder::open(folder, trainer.steps()).map_err(io(folder))?;
        Ok((Run { folder: folder.to_owned(), recorder }, goes_on))
    }

    /// Notes what an update did.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn record(&mut self, steps: u64, metrics: &Metrics) -> Result<(), RunError> {
        self.recorder.write(steps, metrics).map_err(|source| RunError::Io { path: self.folder.clone(), source })
    }

    /// Writes checkpoint, agent and curves: each whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, trainer: &Trainer<'_>, config: &RunConfig) -> Result<(), RunError> {
        let metadata = BTreeMap::from([
            ("format".to_owned(), CHECKPOINT_FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("state".to_owned(), to_json(&trainer.state())),
        ]);
        checkpoint::write(&checkpoint_path(&self.folder), &trainer.tensors(), &metadata)?;
        let note = format!("{} steps of PPO on {}", trainer.steps(), config.subjects());
        trainer.agent().save(&self.folder.join("agent.safetensors"), &config.library, &note)?;
        let path = self.folder.join("curves.svg");
        let io = |source| RunError::Io { path: path.clone(), source };
        let picture = curves::draw(&metrics::read(&self.folder).map_err(io)?);
        write_atomically(&path, |out| out.write_all(picture.as_bytes())).map_err(io)
    }
}

impl RunConfig {
    /// What is trained on, in words.
    fn subjects(&self) -> String {
        let named = &self.models[..self.models.len().saturating_sub(self.draw.count)];
        let mut parts = named.to_vec();
        if self.draw.count > 0 {
            let held_out: Vec<String> = self.draw.held_out.iter().map(|f| format!("{f:?}").to_lowercase()).collect();
            let but = if held_out.is_empty() { String::new() } else { format!(", none of {}", held_out.join(", ")) };
            parts.push(format!("{} graphs drawn from built-in models{but}", self.draw.count));
        }
        parts.join(", ")
    }
}

/// Where a run's checkpoint is.
pub(super) fn checkpoint_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint").join("training.safetensors")
}

/// What runs write, beside their settings.
const WRITTEN: [&str; 5] = ["agent.safetensors", "metrics.jsonl", "curves.svg", "checkpoint", "data"];

/// That a run can begin or go on in a folder, as far as can be told before it does: to be asked before long work.
///
/// # Errors
/// It is no folder, cannot be made or written, or holds what a run writes without its settings.
pub fn check_folder(folder: &Path) -> Result<(), RunError> {
    let io = |source| RunError::Io { path: folder.to_owned(), source };
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new(""));
    check_writable(&there.join("config.json")).map_err(io)?;
    if folder.join("config.json").exists() {
        return Ok(());
    }
    let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    match WRITTEN.iter().map(|name| folder.join(name)).find(|path| path.exists() && !is_empty(path)) {
        Some(path) => Err(RunError::Stray { path }),
        None => Ok(()),
    }
}

/// Makes a run's folder and these in it, unless they are there.
pub(super) fn make_folder(folder: &Path, parts: &[&str]) -> Result<(), RunError> {
    check_folder(folder)?;
    for path in parts.iter().map(|part| folder.join(part)) {
        fs::create_dir_all(&path).map_err(|source| RunError::Io { path, source })?;
    }
    Ok(())
}

/// Writes the settings of a run that begins, or compares them with those of the run that is there. The version of the program
/// may differ.
pub(super) fn keep_config<C: RunSettings>(folder: &Path, config: &C) -> Result<(), RunError> {
    let path = folder.join("config.json");
    let io = |source| RunError::Io { path: path.clone(), source };
    if !path.exists() {
        let text = serde_json::to_string_pretty(config).expect("settings are plain data");
        return write_atomically(&path, |out| writeln!(out, "{text}")).map_err(io);
    }
    let there: C = read_config(folder)?;
    let value = |config: &C| {
        let mut value = serde_json::to_value(config).expect("settings are plain data");
        value.as_object_mut().map(|settings| settings.shift_remove("program"));
        value
    };
    match first_difference("", &value(&there), &value(config)) {
        Some(field) => Err(RunError::Other { path: folder.to_owned(), field }),
        None => Ok(()),
    }
}

/// The settings of the run in a folder.
pub(super) fn read_config<C: RunSettings>(folder: &Path) -> Result<C, RunError> {
    read_config_file(&folder.join("config.json"))
}

/// The settings of a run from their file.
pub(super) fn read_config_file<C: RunSettings>(path: &Path) -> Result<C, RunError> {
    let text = fs::read_to_string(path).map_err(|source| RunError::Io { path: path.to_owned(), source })?;
    let fault = |problem: String| RunError::Config { path: path.to_owned(), problem };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| fault(e.to_string()))?;
    match (value.get("format").and_then(|f| f.as_str()), value.get("version").and_then(serde_json::Value::as_u64)) {
        (Some(FORMAT), Some(1)) => {}
        (Some(FORMAT), _) => {
            let version = value.get("version").unwrap_or(&serde_json::Value::Null);
            return Err(fault(format!("version is {version}, and this program reads version 1")));
        }
        _ => return Err(fault(format!("format is not {FORMAT:?}: these are no settings of a run"))),
    }
    if value.get(C::FIELD).is_none() {
        return Err(fault(format!("{} is missing: this is no run of {}", C::FIELD, C::COMMAND)));
    }
    // Once more from the text, so that faults have a line.
    serde_json::from_str(&text).map_err(|e| fault(e.to_string()))
}

/// The first setting in which two runs differ, as text.
fn first_difference(path: &str, there: &serde_json::Value, here: &serde_json::Value) -> Option<String> {
    match (there, here) {
        (serde_json::Value::Object(a), serde_json::Value::Object(b)) => a.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            first_difference(&path, value, b.get(key).unwrap_or(&serde_json::Value::Null))
        }),
        _ => (there != here).then(|| format!("{path}: there {there}, here {here}")),
    }
}

fn take_up(path: &Path, trainer: &mut Trainer<'_>) -> Result<(), RunError> {
    let opened = Opened::new(path, CHECKPOINT_FORMAT)?;
    let state: TrainState = opened.json("state")?;
    let wanted = trainer.tensors();
    let mut values = opened.tensors("", &wanted)?;
    let named = wanted.into_iter().filter_map(|(name, _)| values.remove(&name).map(|value| (name, value)));
    let named: Vec<_> = named.collect();
    trainer.take_up(state, &named).map_err(|problem| RunError::Misfit { path: path.to_owned(), problem })
}
