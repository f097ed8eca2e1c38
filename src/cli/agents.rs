//! Agents, as several commands take them.

use std::path::Path;

use super::terminal;
use crate::rl::agent::Agent;
use crate::rl::decode::{Decoding, PolicySearch};

/// What stands for the built-in agent where a file may be named.
const BUILT_IN: &str = "built-in";

/// The agent of a file, or the built-in one. Tells if it was trained with other rules than those of this digest.
pub fn load(path: Option<&Path>, library: &str, device: tch::Device) -> anyhow::Result<Agent> {
    let (agent, file) = match path.filter(|path| *path != Path::new(BUILT_IN)) {
        Some(path) => Agent::load(path, device)?,
        None => Agent::built_in(device)?,
    };
    if file.library != library {
        let name = path.map_or("the built-in agent".to_owned(), |path| path.display().to_string());
        terminal::warning(&format!("{name} was trained with other rules; it reads these, and may know them less well"));
    }
    Ok(agent)
}

/// A search by an agent.
pub fn search(
    path: Option<&Path>,
    library: &str,
    decoding: Decoding,
    seed: u64,
    device: tch::Device,
) -> anyhow::Result<PolicySearch> {
    Ok(PolicySearch::new(load(path, library, device)?, decoding, seed))
}
