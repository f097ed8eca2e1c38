//! The folder of a run of the loop: settings, numbers, checkpoint, shards of episodes, and two dreamers: the best, for searches, and
//! the last, whose M another run may begin with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::agent::Dreamer;
use super::learner::{LearnState, Learner, Unit};
use super::settings::LearnConfig;
use super::shards::{self, ShardError, ShardHeader};
use crate::rl::checkpoint::{self, CHECKPOINT_FORMAT, CheckpointError, Opened, VERSION, to_json};
use crate::rl::dream::data::Trajectory;
use crate::rl::metrics::Recorder;
use crate::rl::run::{DrawConfig, RunError, RunSettings, checkpoint_path, keep_config, make_folder, read_config_file};

/// Everything that a run was started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DreamRunConfig {
    /// `graphopt-run`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// Version of the program.
    pub program: String,
    /// Digest of the rules.
    pub library: String,
    /// Where the networks run.
    pub device: String,
    /// The graphs; those that were drawn are the last.
    pub models: Vec<String>,
    /// How those came about.
    #[serde(default, skip_serializing_if = "DrawConfig::is_nothing")]
    pub draw: DrawConfig,
    /// File that V's encoder was taken from, if it was.
    pub encoder_from: Option<String>,
    /// Digest of the file of learned latency that corrects the costs, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
    /// Digest of the file that V and M were taken from, if another run's were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_from: Option<String>,
    /// The settings.
    pub learn: LearnConfig,
}

impl RunSettings for DreamRunConfig {
    const COMMAND: &str = "train-world-model";
    const FIELD: &str = "learn";
}

impl DreamRunConfig {
    /// The graphs that were not drawn.
    pub fn named(&self) -> &[String] {
        &self.models[..self.models.len().saturating_sub(self.draw.count)]
    }

    /// Reads the settings of a run from its config.json, to begin another by them.
    ///
    /// # Errors
    /// It cannot be read, or nothing can be learned by it; one that began with another run is not all in its settings.
    pub fn read(path: &Path) -> Result<DreamRunConfig, RunError> {
        let config: DreamRunConfig = read_config_file(path)?;
        let fault = |problem: String| RunError::Config { path: path.to_owned(), problem };
        config.learn.check().map_err(|problem| fault(format!("learn: {problem}")))?;
        if config.model_from.is_some() || config.learn.refit.is_some() {
            return Err(fault("model_from: that run began with the model of another".to_owned()));
        }
        Ok(config)
    }
}

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DreamRunError {
    /// As for any run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Episodes cannot be read or written.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

impl From<CheckpointError> for DreamRunError {
    fn from(error: CheckpointError) -> DreamRunError {
        DreamRunError::Run(error.into())
    }
}

/// A run's folder.
#[derive(Debug)]
pub struct DreamRun {
    folder: PathBuf,
    recorder: Recorder,
    header: ShardHeader,
    models: Vec<String>,
}

impl DreamRun {
    /// Whether there is a run in the folder to go on with.
    pub fn is_there(folder: &Path) -> bool {
        checkpoint_path(folder).exists()
    }

    /// Begins a run in a folder, or goes on with the one that is there: the learner then takes up its checkpoint.
    ///
    /// # Errors
    /// The folder cannot be used, or holds another run.
    pub fn open(folder: &Path, config: &DreamRunConfig, learner: &mut Learner<'_>) -> Result<DreamRun, DreamRunError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        make_folder(folder, &["checkpoint", "data"])?;
        keep_config(folder, config)?;
        if DreamRun::is_there(folder) {
            take_up(folder, learner)?;
        }
        let recorder = Recorder::open(folder, learner.state().units).map_err(io(folder))?;
        let header = ShardHeader::new(config.library.clone(), config.learn.dreamer.terms(), learner.roots());
        Ok(DreamRun { folder: folder.to_owned(), recorder, header, models: config.models.clone() })
    }

    /// Writes down the episodes that the learner begins with, by shard.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep(&self, shards: &[Vec<Trajectory>]) -> Result<(), DreamRunError> {
        for (number, episodes) in shards.iter().enumerate() {
            shards::write(&shard(&self.folder, number), &self.header, episodes)?;
        }
        Ok(())
    }

    /// Writes down what a unit did, and the dreamer if it is the best so far.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn record(&mut self, learner: &mut Learner<'_>, unit: &Unit) -> Result<(), DreamRunError> {
        if let Some(episodes) = &unit.episodes {
            shards::write(&shard(&self.folder, learner.state().shards - 1), &self.header, episodes)?;
        }
        if unit.keeps {
            self.write_best(learner)?;
        }
        let io = |source| RunError::Io { path: self.folder.clone(), source };
        Ok(self.recorder.write(learner.state().units, &unit.metrics).map_err(io)?)
    }

    fn write_best(&self, learner: &mut Learner<'_>) -> Result<(), DreamRunError> {
        let mut dreamer = learner.dreamer();
        if let Some(kept) = &learner.state().kept {
            dreamer.controller.clone_from(&kept.controller);
        }
        self.write_dreamer(dreamer, learner.state(), &best_path(&self.folder))
    }

    fn write_dreamer(&self, mut dreamer: Dreamer, state: &LearnState, path: &Path) -> Result<(), DreamRunError> {
        let note = format!("{} real steps on {}", state.real_steps, self.models.join(", "));
        Ok(dreamer.save(path, &self.header.library, &note)?)
    }

    /// Writes checkpoint and dreamers: each whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, learner: &mut Learner<'_>) -> Result<(), DreamRunError> {
        let metadata = BTreeMap::from([
            ("format".to_owned(), CHECKPOINT_FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("state".to_owned(), to_json(learner.state())),
        ]);
        checkpoint::write(&checkpoint_path(&self.folder), &learner.tensors(), &metadata)?;
        self.write_dreamer(learner.dreamer(), learner.state(), &last_path(&self.folder))?;
        // As long as none was judged it is as good as any.
        if learner.state().kept.is_none() {
            self.write_best(learner)?;
        }
        Ok(())
    }
}

/// The dreamer that was worth most.
pub fn best_path(folder: &Path) -> PathBuf {
    folder.join("agent.safetensors")
}

/// The dreamer as it was when the run was saved last.
pub fn last_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint").join("last.safetensors")
}

/// A shard of a run's folder.
pub fn shard(folder: &Path, number: usize) -> PathBuf {
    folder.join("data").join(format!("shard-{number:04}.json"))
}

fn take_up(folder: &Path, learner: &mut Learner<'_>) -> Result<(), DreamRunError> {
    let path = checkpoint_path(folder);
    let opened = Opened::new(&path, CHECKPOINT_FORMAT)?;
    let state: LearnState = opened.json("state")?;
    let wanted = learner.tensors();
    let mut values = opened.tensors("", &wanted)?;
    let named: Vec<(String, Tensor)> =
        wanted.into_iter().filter_map(|(name, _)| values.remove(&name).map(|value| (name, value))).collect();
    let misfit = |problem: String| RunError::Misfit { path: path.clone(), problem };
    let mut episodes = Vec::new();
    for number in 0..state.shards {
        let (header, played) = shards::read(&shard(folder, number))?;
        if header.roots != learner.roots() {
            return Err(misfit(format!("shard {number} is of other graphs")).into());
        }
        episodes.extend(played);
    }
    Ok(learner.take_up(state, &named, episodes).map_err(misfit)?)
}
