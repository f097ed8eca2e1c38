//! What `optimise --search dream` takes: V, M and C in one file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::play::Terms;
use crate::rl::checkpoint::{self, CheckpointError, Opened, VERSION, to_json};
use crate::rl::dream::config::{EnsembleConfig, ModelConfig, Sees};
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
    /// What C reads of a state.
    #[serde(default)]
    pub controller_sees: Sees,
    /// Width of C's hidden layer; 0 for none.
    #[serde(default)]
    pub controller_hidden: usize,
    /// Actions of an episode at most.
    pub horizon: usize,
    /// Rewards are multiplied by it.
    pub reward_scale: f64,
    /// What is to become less.
    #[serde(default, skip_serializing_if = "Quantity::is_time")]
    pub objective: Quantity,
}

impl Default for DreamerConfig {
    /// C is linear with 699 parameters.
    fn default() -> DreamerConfig {
        DreamerConfig {
            encoder: EncoderConfig::default(),
            model: ModelConfig::default(),
            rank: 2,
            controller_sees: Sees::default(),
            controller_hidden: 0,
            horizon: 32,
            reward_scale: 10.0,
            objective: Quantity::Time,
        }
    }
}

impl DreamerConfig {
    /// On what terms it plays.
    pub fn terms(&self) -> Terms {
        Terms { horizon: self.horizon, reward_scale: self.reward_scale, objective: self.objective }
    }

    /// The same for another objective and scale of rewards. Books, if there are any, are of that scale; actions state what they do to
    /// estimated time alone, so that there are none of anything else.
    pub fn rewarded(self, objective: Quantity, reward_scale: f64) -> DreamerConfig {
        let books = self.model.books.filter(|_| objective.is_time()).map(|_| reward_scale);
        DreamerConfig { objective, reward_scale, model: ModelConfig { books, ..self.model }, ..self }
    }

    /// The shape of C.
    pub fn controller(&self) -> ControllerShape {
        ControllerShape {
            rank: self.rank,
            memory: self.model.hidden,
            sees: self.controller_sees,
            hidden: self.controller_hidden,
        }
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
        if self.model.books.is_some_and(|scale| scale != self.reward_scale || !self.objective.is_time()) {
            return Err(format!(
                "model.books must be reward_scale, {}, or left out, as it must be where the objective is not time",
                self.reward_scale
            ));
        }
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
    /// The other Ms of an ensemble.
    pub others: Vec<WorldModel>,
    /// What they are for.
    pub ensemble: EnsembleConfig,
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
        let controller = config.controller().first(true);
        Ok(Dreamer { view, model, controller, config, others: Vec::new(), ensemble: EnsembleConfig::default() })
    }

    /// Makes it one of several Ms, on the scales of the first.
    pub fn set_ensemble(&mut self, ensemble: EnsembleConfig) {
        let other = |_| {
            let mut model = WorldModel::new(self.config.model, self.model.device(), 0);
            model.scales = self.model.scales.share();
            model
        };
        self.others = (1..ensemble.members.max(1)).map(other).collect();
        self.ensemble = ensemble;
    }

    fn tensors_of_others(&self) -> Vec<(String, Tensor)> {
        let named = |(at, other): (usize, &WorldModel)| {
            let own = other.parameters.all().into_iter();
            own.map(move |(name, t)| (format!("{}{name}", other_prefix(at)), t)).collect::<Vec<_>>()
        };
        self.others.iter().enumerate().flat_map(named).collect()
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
        let mut metadata = BTreeMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("features".to_owned(), FEATURE_VERSION.to_string()),
            ("config".to_owned(), to_json(&self.config)),
            ("library".to_owned(), library.to_owned()),
            ("note".to_owned(), note.to_owned()),
        ]);
        let mut tensors = self.tensors();
        if !self.others.is_empty() {
            metadata.insert("ensemble".to_owned(), to_json(&self.ensemble));
            tensors.extend(self.tensors_of_others());
        }
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
        // Files of one M say nothing of an ensemble.
        if opened.text("ensemble").is_ok() {
            let ensemble: EnsembleConfig = opened.json("ensemble")?;
            ensemble.check().map_err(|problem| CheckpointError::Metadata {
                path: path.to_owned(),
                field: "ensemble",
                problem,
            })?;
            dreamer.set_ensemble(ensemble);
        }
        let mut wanted = dreamer.tensors();
        wanted.extend(dreamer.tensors_of_others());
        let size = [dreamer.controller.len() as i64];
        wanted.push(("controller".to_owned(), Tensor::zeros(size, (tch::Kind::Float, Device::Cpu))));
        let mut values = opened.tensors("", &wanted)?;
        let controller = values.remove("controller").expect("it was asked for");
        dreamer.controller = crate::rl::agent::to_vec(&controller).into_iter().map(f64::from).collect();
        let values: Vec<(String, Tensor)> = values.into_iter().collect();
        take_up(&mut dreamer.view, &mut dreamer.model, &values);
        for (at, other) in dreamer.others.iter_mut().enumerate() {
            other.parameters.copy_from(|name| find(&values, &format!("{}{name}", other_prefix(at))));
            other.scales = dreamer.model.scales.share();
        }
        Ok((dreamer, opened.text("library")?.to_owned()))
    }
}

/// A tensor by its name.
pub(super) fn find(all: &[(String, Tensor)], name: &str) -> Option<Tensor> {
    all.iter().find(|(n, _)| n == name).map(|(_, t)| t.shallow_clone())
}

fn other_prefix(at: usize) -> String {
    format!("other{}.", at + 1)
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
    model.parameters.copy_from(|name| find(&own, name));
    let (scales, device) = (part("scales."), model.device());
    for (name, tensor) in model.scales.tensors() {
        if let Some(value) = find(&scales, name) {
            *tensor = value.to_device(device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::dream::tests::numbers;

    fn small() -> DreamerConfig {
        DreamerConfig {
            encoder: EncoderConfig { width: 8, rounds: 1, ..EncoderConfig::default() },
            model: ModelConfig { hidden: 8, components: 2, slot_width: 8, births: 2, ..ModelConfig::default() },
            rank: 2,
            controller_sees: Sees::State,
            controller_hidden: 5,
            horizon: 8,
            reward_scale: 10.0,
            objective: Quantity::Time,
        }
    }

    #[test]
    fn a_dreamer_is_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.safetensors");
        let mut dreamer = Dreamer::new(small(), Device::Cpu, 5).unwrap();
        dreamer.controller[3] = 0.5;
        dreamer.set_ensemble(EnsembleConfig { members: 3, penalty: 0.25, explores: false });
        dreamer.others[1].parameters.copy_from(|name| (name == "trunk.bias").then(|| Tensor::from_slice(&[7.0f32; 8])));
        dreamer.save(&path, "abc", "a test").unwrap();
        let (mut again, library) = Dreamer::load(&path, Device::Cpu).unwrap();
        assert_eq!((library.as_str(), again.config, &again.controller), ("abc", small(), &dreamer.controller));
        assert_eq!(again.ensemble, dreamer.ensemble);
        let all = |dreamer: &mut Dreamer| {
            let own = dreamer.tensors();
            own.into_iter().chain(dreamer.tensors_of_others()).collect::<Vec<_>>()
        };
        for ((name, a), (_, b)) in all(&mut dreamer).iter().zip(all(&mut again)) {
            assert!(numbers(a) == numbers(&b), "{name}");
        }
    }

    #[test]
    fn files_from_before_controllers_had_shapes_are_of_linear_ones() {
        let linear = DreamerConfig { controller_sees: Sees::StateAndMemory, controller_hidden: 0, ..small() };
        let mut old = serde_json::to_value(linear).unwrap();
        for field in ["controller_sees", "controller_hidden"] {
            assert!(old.as_object_mut().unwrap().remove(field).is_some());
        }
        assert_eq!(serde_json::from_value::<DreamerConfig>(old).unwrap(), linear);
        let much = DreamerConfig { controller_hidden: 40, ..small() };
        assert!(Dreamer::new(much, Device::Cpu, 0).unwrap_err().contains("hidden layer of 40"));
    }
}
