//! Agents and the state of a training on disk: safetensors files whose metadata says what they are.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Tensor};

use super::agent::{Agent, AgentConfig};
use super::observation::FEATURE_VERSION;
use crate::formats::safetensors::{TensorFile, write_tensors};
use crate::formats::{FormatError, Problem};
use crate::graph::{self, DType};
use crate::runtime::{from_torch, to_torch};

/// The `format` of agents' files.
pub const AGENT_FORMAT: &str = "graphopt-agent";
/// The `format` of checkpoints.
pub const CHECKPOINT_FORMAT: &str = "graphopt-checkpoint";
/// The `version` of both.
pub const VERSION: &str = "1";

/// Why an agent or a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FormatError),
    /// Its metadata is not what it must be.
    #[error("{}: metadata {field}: {problem}", path.display())]
    Metadata {
        /// File.
        path: PathBuf,
        /// Field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The features that it was trained on are not those of this program.
    #[error(
        "{}: this agent reads features of version {found}, and this program makes those of version {FEATURE_VERSION}; \
         it must be trained anew",
        path.display()
    )]
    Features {
        /// File.
        path: PathBuf,
        /// What the file says.
        found: String,
    },
    /// A parameter is missing, or has another shape, or is not finite.
    #[error("{}: parameter {name}: {problem}", path.display())]
    Parameter {
        /// File.
        path: PathBuf,
        /// Name of the parameter.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// What an agent's file says of it beside its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentFile {
    /// What it is made of.
    pub config: AgentConfig,
    /// Digest of the rules that it was trained with.
    pub library: String,
    /// How it was trained, in words.
    pub note: String,
}

/// Writes named tensors with metadata, whole or not at all.
pub fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), CheckpointError> {
    let to_ours = |(name, tensor): &(String, Tensor)| {
        let tensor = from_torch(&tensor.to_device(Device::Cpu), DType::F32);
        let problem = |e: crate::runtime::kernels::RunError| invalid(path, Problem::new(e));
        Ok((name.clone(), tensor.map_err(problem)?))
    };
    let tensors: Vec<(String, graph::Tensor)> = tensors.iter().map(to_ours).collect::<Result<_, CheckpointError>>()?;
    let views: Vec<(String, &graph::Tensor)> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    Ok(write_tensors(path, &views, metadata)?)
}

fn invalid(path: &Path, problem: Problem) -> CheckpointError {
    CheckpointError::File(FormatError::invalid(path, problem))
}

/// A file that was opened and said to be of the right format and version.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    file: TensorFile,
    metadata: BTreeMap<String, String>,
}

impl Opened {
    /// Opens a file of this format.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn new(path: &Path, format: &str) -> Result<Opened, CheckpointError> {
        Opened::of(path, TensorFile::open(path)?, format)
    }

    fn of(path: &Path, file: TensorFile, format: &str) -> Result<Opened, CheckpointError> {
        let opened = Opened { path: path.to_owned(), metadata: file.metadata(), file };
        for (field, expected) in [("format", format), ("version", VERSION)] {
            let found = opened.text(field)?;
            if found != expected {
                return Err(opened.wrong(field, format!("expected {expected:?}, found {found:?}")));
            }
        }
        Ok(opened)
    }

    /// A field of the metadata.
    pub fn text(&self, field: &'static str) -> Result<&str, CheckpointError> {
        let value = self.metadata.get(field).map(String::as_str);
        value.ok_or_else(|| self.wrong(field, "it is missing".to_owned()))
    }

    /// A field of the metadata that holds JSON.
    pub fn json<T: DeserializeOwned>(&self, field: &'static str) -> Result<T, CheckpointError> {
        serde_json::from_str(self.text(field)?).map_err(|e| self.wrong(field, e.to_string()))
    }

    fn wrong(&self, field: &'static str, problem: String) -> CheckpointError {
        CheckpointError::Metadata { path: self.path.clone(), field, problem }
    }

    /// The tensors that `wanted` names, each of the same shape and finite. Others in the file are an error when they
    /// begin with `prefix`.
    pub fn tensors(
        &self,
        prefix: &str,
        wanted: &[(String, Tensor)],
    ) -> Result<HashMap<String, Tensor>, CheckpointError> {
        let fault = |name: &str, problem: String| CheckpointError::Parameter {
            path: self.path.clone(),
            name: name.to_owned(),
            problem,
        };
        let mut values = HashMap::new();
        for (name, like) in wanted {
            let stored = self.file.tensor(&format!("{prefix}{name}")).map_err(|p| fault(name, p.what))?;
            let shape: Vec<i64> = stored.shape().iter().map(|&n| n as i64).collect();
            if stored.dtype() != DType::F32 || shape != like.size() {
                let found = format!("{}{shape:?}", stored.dtype());
                return Err(fault(name, format!("expected f32{:?}, found {found}", like.size())));
            }
            let value = to_torch(&stored).map_err(|e| fault(name, e.to_string()))?;
            let value = value.ok_or_else(|| fault(name, "it cannot be read".to_owned()))?;
            if value.isfinite().all().int64_value(&[]) == 0 {
                return Err(fault(name, "it has values that are not finite".to_owned()));
            }
            values.insert(name.clone(), value);
        }
        let known = |name: &&String| name.strip_prefix(prefix).is_none_or(|rest| values.contains_key(rest));
        if let Some(other) = self.file.names().iter().find(|name| !known(name)) {
            return Err(fault(other, "this agent has no such parameter".to_owned()));
        }
        Ok(values)
    }
}

/// JSON text of something that serialises.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("settings are plain data")
}

impl Agent {
    /// Writes the agent for use in searches.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path, library: &str, note: &str) -> Result<(), CheckpointError> {
        let metadata = BTreeMap::from([
            ("format".to_owned(), AGENT_FORMAT.to_owned()),
            ("version".to_owned(), VERSION.to_owned()),
            ("features".to_owned(), FEATURE_VERSION.to_string()),
            ("config".to_owned(), to_json(&self.config)),
            ("library".to_owned(), library.to_owned()),
            ("note".to_owned(), note.to_owned()),
        ]);
        write(path, &self.parameters.all(), &metadata)
    }

    /// Reads an agent that [`Agent::save`] wrote.
    ///
    /// # Errors
    /// The file cannot be read, is no agent, or does not fit this program; the message says which and where.
    pub fn load(path: &Path, device: Device) -> Result<(Agent, AgentFile), CheckpointError> {
        Agent::from_file(&Opened::new(path, AGENT_FORMAT)?, device)
    }

    /// The agent that the program has: trained on pieces of all built-in models (`models/agents`).
    ///
    /// # Errors
    /// As those of [`Agent::load`]; a test loads it.
    pub fn built_in(device: Device) -> Result<(Agent, AgentFile), CheckpointError> {
        const BYTES: &[u8] = include_bytes!("../../models/agents/generalist.safetensors");
        let path = Path::new("models/agents/generalist.safetensors");
        let file = TensorFile::parse(BYTES.into()).map_err(|problem| invalid(path, problem))?;
        Agent::from_file(&Opened::of(path, file, AGENT_FORMAT)?, device)
    }

    fn from_file(opened: &Opened, device: Device) -> Result<(Agent, AgentFile), CheckpointError> {
        let found = opened.text("features")?;
        if found != FEATURE_VERSION.to_string() {
            return Err(CheckpointError::Features { path: opened.path.clone(), found: found.to_owned() });
        }
        let config: AgentConfig = opened.json("config")?;
        config.check().map_err(|problem| opened.wrong("config", problem))?;
        let file =
            AgentFile { config, library: opened.text("library")?.to_owned(), note: opened.text("note")?.to_owned() };
        let agent = Agent::new(config, device, 0);
        let values = opened.tensors("", &agent.parameters.all())?;
        agent.parameters.copy_from(|name| values.get(name).map(Tensor::shallow_clone));
        Ok((agent, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::net::encoder::EncoderConfig;

    fn small() -> AgentConfig {
        AgentConfig {
            encoder: EncoderConfig { width: 8, rounds: 1, ..EncoderConfig::default() },
            ..AgentConfig::default()
        }
    }

    #[test]
    fn an_agent_is_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.safetensors");
        let agent = Agent::new(small(), Device::Cpu, 5);
        agent.save(&path, "abc", "a test").unwrap();
        let (again, file) = Agent::load(&path, Device::Cpu).unwrap();
        assert_eq!(file, AgentFile { config: small(), library: "abc".into(), note: "a test".into() });
        for ((name, a), (_, b)) in agent.parameters.all().iter().zip(again.parameters.all()) {
            assert!(a.equal(&b), "{name}");
        }
    }

    #[test]
    fn the_built_in_agent_fits_this_program() {
        let (agent, file) = Agent::built_in(Device::Cpu).unwrap();
        assert_eq!(agent.config, file.config);
        assert!(file.note.contains("steps of PPO"));
    }

    #[test]
    fn bad_files_are_refused_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.safetensors");
        let agent = Agent::new(small(), Device::Cpu, 5);
        agent.save(&path, "abc", "").unwrap();
        let metadata = TensorFile::open(&path).unwrap().metadata();
        let message = |metadata: &BTreeMap<String, String>, tensors: &[(String, Tensor)]| {
            write(&path, tensors, metadata).unwrap();
            Agent::load(&path, Device::Cpu).unwrap_err().to_string()
        };
        let with = |field: &str, value: &str| {
            let mut metadata = metadata.clone();
            metadata.insert(field.to_owned(), value.to_owned());
            metadata
        };
        let all = agent.parameters.all();
        assert!(message(&with("format", "x"), &all).contains("expected \"graphopt-agent\""));
        assert!(message(&with("features", "0"), &all).contains("features of version 0"));
        assert!(message(&with("config", "{}"), &all).contains("config: missing field"));
        let huge = to_json(&small()).replace("\"width\":8", "\"width\":9000000");
        assert!(message(&with("config", &huge), &all).contains("width"));
        assert!(message(&metadata, &all[1..]).contains("there is no tensor"));
        let mut other = agent.parameters.all();
        other[0].1 = &other[0].1 * f64::NAN;
        assert!(message(&metadata, &other).contains("not finite"));
        other[0].1 = Tensor::zeros([1], (tch::Kind::Float, Device::Cpu));
        assert!(message(&metadata, &other).contains("found f32[1]"));
        other[0] = agent.parameters.all().remove(0);
        other.push(("more".to_owned(), Tensor::zeros([1], (tch::Kind::Float, Device::Cpu))));
        assert!(message(&metadata, &other).contains("more"));
        std::fs::write(&path, b"nothing").unwrap();
        assert!(Agent::load(&path, Device::Cpu).is_err());
    }
}
