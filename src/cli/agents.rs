//! Agents, as several commands take them.

use std::path::Path;

use anyhow::Context;

use super::terminal;
use crate::graph::Graph;
use crate::rl::agent::Agent;
use crate::rl::checkpoint::Opened;
use crate::rl::dream::waking::agent::{Dreamer, FORMAT as DREAMER_FORMAT};
use crate::runtime;
use crate::search::{Problem, Report, Search, Watcher};

/// What stands for the built-in agent where a file may be named.
const BUILT_IN: &str = "built-in";

/// The agent of a file, or the built-in one. Tells if it was trained with other rules than those of this digest.
pub fn load(path: Option<&Path>, library: &str, device: tch::Device) -> anyhow::Result<Agent> {
    let (agent, file) = match path.filter(|path| *path != Path::new(BUILT_IN)) {
        Some(path) => Agent::load(path, device)?,
        None => Agent::built_in(device)?,
    };
    let name = path.map_or("the built-in agent".to_owned(), |path| path.display().to_string());
    tell_of_other_rules(&name, &file.library, library);
    Ok(agent)
}

/// The world model and controller of a file.
pub fn dreamer(path: Option<&Path>, library: &str, device: tch::Device) -> anyhow::Result<Dreamer> {
    let missing = "this search needs a world model: --agent FILE (`graphopt train-world-model` trains one)";
    let path = path.context(missing)?;
    let (dreamer, trained_with) = Dreamer::load(path, device)?;
    tell_of_other_rules(&path.display().to_string(), &trained_with, library);
    if !dreamer.config.objective.is_time() {
        let what = format!("{:?}", dreamer.config.objective).to_lowercase();
        terminal::warning(&format!("{}: it was trained for less {what}, and searches go by time", path.display()));
    }
    Ok(dreamer)
}

/// Whether a file is a world model and controller, as `train-world-model` writes them.
pub fn is_dreamer(path: &Path) -> bool {
    Opened::new(path, DREAMER_FORMAT).is_ok()
}

fn tell_of_other_rules(name: &str, trained_with: &str, library: &str) {
    if trained_with != library {
        terminal::warning(&format!("{name} was trained with other rules; it reads these, and may know them less well"));
    }
}

/// A search with a network: it works on many small tensors, where a second thread within an operator mostly waits, and on a
/// busy machine for long. The number of threads is as before when it ends.
pub struct OnOneThread(pub Box<dyn Search>);

impl Search for OnOneThread {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, problem: &Problem<'_>, watcher: Watcher<'_>) -> (Graph, Report) {
        let threads = runtime::set_threads(1);
        let result = self.0.run(problem, watcher);
        runtime::set_threads(threads);
        result
    }
}
