//! What another run learned, for another objective: its V and M, and its episodes judged anew. How graphs change does not
//! depend on what is rewarded; only the heads of M that say so do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tch::{Device, Tensor};

use super::agent::{Dreamer, DreamerConfig, take_up};
use super::run::{DreamRunConfig, DreamRunError, last_path, shard};
use super::shards;
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::model::is_of_rewards;
use crate::rl::env::{Quantity, Task};
use crate::rl::run::{RunError, read_config};

/// Another run.
#[derive(Debug)]
pub struct Source {
    folder: PathBuf,
    /// What it was started with.
    pub config: DreamRunConfig,
    dreamer: Dreamer,
}

impl Source {
    /// Reads the settings, V and M of the run in a folder.
    ///
    /// # Errors
    /// There is none, or a file cannot be read.
    pub fn open(folder: &Path, device: Device) -> Result<Source, DreamRunError> {
        let config: DreamRunConfig = read_config(folder)?;
        let (dreamer, _) = Dreamer::load(&Source::file(folder), device)?;
        Ok(Source { folder: folder.to_owned(), config, dreamer })
    }

    /// The file that V and M are taken from: of the last dreamer, whose M has seen all that was played.
    pub fn file(folder: &Path) -> PathBuf {
        last_path(folder)
    }

    /// What a dreamer of this run is made of, for an objective.
    pub fn settings(&self, objective: Quantity) -> DreamerConfig {
        self.dreamer.config.rewarded(objective, self.dreamer.config.reward_scale)
    }

    /// Its V and M with new heads of what is rewarded.
    ///
    /// # Errors
    /// The settings are of another dreamer.
    pub fn dreamer(&mut self, config: DreamerConfig, seed: u64) -> Result<Dreamer, String> {
        let mut dreamer = Dreamer::new(config, self.dreamer.model.device(), seed)?;
        let is_kept = |name: &str| name.strip_prefix("model.").is_none_or(|own| !is_of_rewards(own));
        let kept: Vec<(String, Tensor)> =
            self.dreamer.tensors().into_iter().filter(|(name, _)| is_kept(name)).collect();
        take_up(&mut dreamer.view, &mut dreamer.model, &kept);
        Ok(dreamer)
    }

    /// Its episodes judged by an objective, by shard; the tasks are those that it played, in their order.
    ///
    /// # Errors
    /// A file cannot be read, or is of other graphs; or nothing was played.
    pub fn episodes(
        &self,
        tasks: &[Arc<Task<'_>>],
        objective: Quantity,
    ) -> Result<Vec<Vec<Trajectory>>, DreamRunError> {
        let paths = (0..).map(|number| shard(&self.folder, number)).take_while(|path| path.exists());
        let all: Vec<Vec<Trajectory>> =
            paths.map(|path| shards::judged(&path, tasks, objective)).collect::<Result<_, _>>()?;
        // Each graph's first state is where its dreams begin.
        match (0..tasks.len()).find(|root| !all.iter().flatten().any(|t| t.root == *root)) {
            None => Ok(all),
            Some(root) => {
                let problem = format!("no episode on {} was played", self.config.models[root]);
                Err(RunError::Misfit { path: self.folder.clone(), problem }.into())
            }
        }
    }
}
