//! What `optimise --search dream` takes: V, M and C in one file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::play::Terms;
use crate::rl::checkpoint::{self, CheckpointError, Opened, VERSION, to_json};
use crate::rl::dream::config::ModelConfig;
use crate::rl::dream::controller::ControllerShape;
use crate::rl::dream::model::WorldModel;
use crate::rl::dream::view::View;
use crate::rl::env::Quantity;
use crate::rl::net::encoder::EncoderConfig;
use crate::rl::observation::FEATURE_VERSION;

/// `format` of the file.
pub const FORMAT: &str = "graphopt-dreamer";

/// What a dreamer is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DreamerConfig {
    /// V's encoder.
    pub encoder: EncoderConfig,
    /// M.
    pub model: ModelConfig,
    /// Rank of C.
    pub rank: usize,
    /// Actions of an episode at most.
    pub horizon: usize,
    /// Rewards are multiplied by it.
    pub reward_scale: f64,
    /// What is to become less.
    #[serde(default, skip_serializing_if = "Quantity::is_time")]
    pub objective: Quantity,
}

impl DreamerConfig {
    /// On what terms it plays.
    pub fn terms(&self) -> Terms {
        Terms { horizon: self.horizon, reward_scale: self.reward_scale, objective: self.objective }
    }

    /// The shape of C.
    pub fn controller(&self) -> ControllerShape {
        ControllerShape { rank: self.rank, hidden: self.model.hidden }
    }

    /// That a dreamer can be made of it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let agent = crate::rl::agent::AgentConfig {
            encoder: self.encoder,
            horizon: self.horizon,
            reward_scale: self.reward_scale,
            ..crate::rl::agent::AgentConfig::default()
        };
        agent.check()?;
        self.model.check()?;
        self.controller().check()?;
        match self.encoder.global {
            crate::rl::net::encoder::Global::Late => Ok(()),
            crate::rl::net::encoder::Global::Full => {
                Err("the encoder of a world model has no global updates (global late)".to_owned())
            }
        }
    }
}

/// V, M and C.
#[derive(Debug)]
pub struct Dreamer {
    /// What it is made of.
    pub config: DreamerConfig,
    /// V.
    pub view: View,
    /// M.
    pub model: WorldModel,
    /// C's parameters.
    pub controller: Vec<f64>,
}

impl Dreamer {
    /// One that knows nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(config: DreamerConfig, device: Device, seed: u64) -> Result<Dreamer, String> {
        config.check()?;
        let view = View::new(config.encoder, device, seed).expect("the settings were checked");
        let model = WorldModel::new(config.model, device, seed);
        Ok(Dreamer { view, model, controller: config.controller().first(true), config })
    }

    /// V's and M's tensors by the names that files give them.
    pub fn tensors(&mut self) -> Vec<(String, Tensor)> {
        tensors(&self.view, &mut self.model)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self, path: &Path, library: &str, note: &str) -> Result<(), CheckpointError> {
        let metadata = BTreeMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("features".to_owned(), FEATURE_VERSION.to_string()),
            ("config".to_owned(), to_json(&self.config)),
            ("library".to_owned(), library.to_owned()),
            ("note".to_owned(), note.to_owned()),
        ]);
        let mut tensors = self.tensors();
        let parameters: Vec<f32> = self.controller.iter().map(|p| *p as f32).collect();
        tensors.push(("controller".to_owned(), Tensor::from_slice(&parameters)));
        checkpoint::write(path, &tensors, &metadata)
    }

    /// Reads what [`Dreamer::save`] wrote, with the digest of the rules it was trained with.
    ///
    /// # Errors
    /// The file cannot be read, is something else, or does not fit this program.
    pub fn load(path: &Path, device: Device) -> Result<(Dreamer, String), CheckpointError> {
        let opened = Opened::new(path, FORMAT)?;
        let found = opened.text("features")?;
        if found != FEATURE_VERSION.to_string() {
            return Err(CheckpointError::Features { path: path.to_owned(), found: found.to_owned() });
        }
        let config: DreamerConfig = opened.json("config")?;
        let wrong = |problem| CheckpointError::Metadata { path: path.to_owned(), field: "config", problem };
        let mut dreamer = Dreamer::new(config, device, 0).map_err(wrong)?;
        let mut wanted = dreamer.tensors();
        let size = [dreamer.controller.len() as i64];
        wanted.push(("controller".to_owned(), Tensor::zeros(size, (tch::Kind::Float, Device::Cpu))));
        let mut values = opened.tensors("", &wanted)?;
        let controller = values.remove("controller").expect("it was asked for");
        dreamer.controller = crate::rl::agent::to_vec(&controller).into_iter().map(f64::from).collect();
        let values: Vec<(String, Tensor)> = values.into_iter().collect();
        take_up(&mut dreamer.view, &mut dreamer.model, &values);
        Ok((dreamer, opened.text("library")?.to_owned()))
    }
}

/// V's and M's tensors by the names that files give them.
pub(super) fn tensors(view: &View, model: &mut WorldModel) -> Vec<(String, Tensor)> {
    let mut all: Vec<(String, Tensor)> =
        view.parameters.all().into_iter().map(|(name, t)| (format!("view.{name}"), t)).collect();
    all.extend(model.parameters.all().into_iter().map(|(name, t)| (format!("model.{name}"), t)));
    all.extend(model.scales.tensors().into_iter().map(|(name, t)| (format!("scales.{name}"), t.shallow_clone())));
    all
}

/// Takes up what [`tensors`] gave.
pub(super) fn take_up(view: &mut View, model: &mut WorldModel, values: &[(String, Tensor)]) {
    let part = |prefix: &str| -> Vec<(String, Tensor)> {
        let own =
            values.iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.shallow_clone())));
        own.collect()
    };
    view.adopt(&part("view."));
    let own = part("model.");
    let find =
        |all: &[(String, Tensor)], name: &str| all.iter().find(|(n, _)| n == name).map(|(_, t)| t.shallow_clone());
    model.parameters.copy_from(|name| find(&own, name));
    let (scales, device) = (part("scales."), model.device());
    for (name, tensor) in model.scales.tensors() {
        if let Some(value) = find(&scales, name) {
            *tensor = value.to_device(device);
        }
    }
}
