//! Episodes on disk: a header that names root graphs and actions, from which everything can be made again, and what V made
//! of it as a cache beside it. A model is fitted to caches, and a controller trained from them, with no graph at hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::play::{Eye, Header, Terms, judge, replay};
use crate::formats::write_atomically;
use crate::rl::checkpoint::{self, CheckpointError, Opened, VERSION};
use crate::rl::dream::data::Trajectory;
use crate::rl::dream::frame::{Deed, EMPTY, Frame, SLOT_FEATURES, WHOLE};
use crate::rl::dream::slots::SLOTS;
use crate::rl::env::{Quantity, Task};
use crate::rl::observation::FEATURE_VERSION;

/// `format` of headers.
pub const FORMAT: &str = "graphopt-trajectories";
/// `version` of headers: 2 has what actions take from each other.
pub const SHARD_VERSION: u32 = 2;
/// `format` of caches.
pub const CACHE_FORMAT: &str = "graphopt-trajectories-cache";

/// Why episodes cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A header is not what it must be.
    #[error("{}: {problem}", path.display())]
    Header {
        /// File.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A cache is not what it must be.
    #[error(transparent)]
    Cache(#[from] CheckpointError),
}

/// A graph that episodes begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Name in reports.
    pub name: String,
    /// State hash of the graph, in hexadecimal digits.
    pub hash: String,
}

/// The header of a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardHeader {
    /// [`FORMAT`].
    pub format: String,
    /// [`SHARD_VERSION`].
    pub version: u32,
    /// Version of the features.
    pub features: u32,
    /// Digest of the rules.
    pub library: String,
    /// Actions of an episode at most.
    pub horizon: usize,
    /// Rewards are multiplied by it.
    pub reward_scale: f64,
    /// What is rewarded.
    #[serde(default, skip_serializing_if = "Quantity::is_time")]
    pub objective: Quantity,
    /// The root graphs.
    pub roots: Vec<Root>,
    /// The episodes.
    pub trajectories: Vec<Header>,
}

impl ShardHeader {
    /// A header without episodes.
    pub fn new(library: String, terms: Terms, roots: Vec<Root>) -> ShardHeader {
        let Terms { horizon, reward_scale, objective } = terms;
        let format = FORMAT.to_owned();
        let trajectories = Vec::new();
        ShardHeader {
            format,
            version: SHARD_VERSION,
            features: FEATURE_VERSION,
            library,
            horizon,
            reward_scale,
            objective,
            roots,
            trajectories,
        }
    }

    /// On what terms its episodes were played.
    pub fn terms(&self) -> Terms {
        Terms { horizon: self.horizon, reward_scale: self.reward_scale, objective: self.objective }
    }

    /// That it is of these graphs, which are in the order of the roots.
    ///
    /// # Errors
    /// Which is another.
    fn check_roots(&self, path: &Path, tasks: &[Arc<Task<'_>>]) -> Result<(), ShardError> {
        for (at, root) in self.roots.iter().enumerate() {
            let hash = tasks.get(at).map(|task| hash_of(task));
            if hash.as_ref() != Some(&root.hash) {
                let problem = format!("graph {at}, {}, is another one", root.name);
                return Err(ShardError::Header { path: path.to_owned(), problem });
            }
        }
        Ok(())
    }

    /// Reads a header.
    ///
    /// # Errors
    /// It cannot be read, or is of another format or version.
    pub fn read(path: &Path) -> Result<ShardHeader, ShardError> {
        let wrong = |problem: String| ShardError::Header { path: path.to_owned(), problem };
        let text = fs::read_to_string(path).map_err(|source| ShardError::Io { path: path.to_owned(), source })?;
        let header: ShardHeader = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if (header.format.as_str(), header.version) != (FORMAT, SHARD_VERSION) {
            let found = format!("{} {}", header.format, header.version);
            return Err(wrong(format!("expected {FORMAT} of version {SHARD_VERSION}, found {found}")));
        }
        if header.features != FEATURE_VERSION {
            return Err(wrong(format!("features of version {}, not {FEATURE_VERSION}", header.features)));
        }
        match header.trajectories.iter().find(|t| t.root >= header.roots.len()) {
            Some(t) => Err(wrong(format!("an episode begins with graph {}, which is not listed", t.root))),
            None => Ok(header),
        }
    }
}

/// Writes a shard: the cache, then the header, so that a header never stands alone after a kill.
///
/// # Errors
/// A file cannot be written.
pub fn write(path: &Path, header: &ShardHeader, trajectories: &[Trajectory]) -> Result<(), ShardError> {
    let of = |t: &Trajectory| Header { root: t.root, player: t.player, actions: t.actions.clone() };
    let header = ShardHeader { trajectories: trajectories.iter().map(of).collect(), ..header.clone() };
    let metadata = BTreeMap::from([
        ("format".to_owned(), CACHE_FORMAT.to_owned()),
        ("version".to_owned(), VERSION.to_owned()),
        ("features".to_owned(), FEATURE_VERSION.to_string()),
    ]);
    checkpoint::write(&cache_path(path), &tensors(trajectories), &metadata)?;
    let text = serde_json::to_string(&header).expect("a header is plain data");
    write_atomically(path, |out| writeln!(out, "{text}"))
        .map_err(|source| ShardError::Io { path: path.to_owned(), source })
}

fn cache_path(path: &Path) -> PathBuf {
    path.with_extension("safetensors")
}

/// The cache's tensors: all states, and all actions, one behind the other. Whole numbers are exact as f32 here.
fn tensors(trajectories: &[Trajectory]) -> Vec<(String, Tensor)> {
    let frames = || trajectories.iter().flat_map(|t| &t.frames);
    let deeds = || trajectories.iter().flat_map(|t| &t.deeds);
    let parts = |deed: &Deed| match deed {
        Deed::Stop => (EMPTY, None, vec![0.0; SLOT_FEATURES], vec![0.0; SLOTS]),
        Deed::Apply { slot, rule, features, takes } => (*rule, *slot, features.clone(), takes.clone()),
    };
    let table = |values: Vec<f32>, width: usize| {
        let rows = (values.len() / width) as i64;
        Tensor::from_slice(&values).reshape([rows, width as i64])
    };
    let slot = |slot: Option<usize>| slot.map_or(-1.0, |s| s as f32);
    let named = [
        ("whole", table(frames().flat_map(|f| f.whole.clone()).collect(), WHOLE)),
        ("rules", table(frames().flat_map(|f| f.rules.map(|r| r as f32)).collect(), SLOTS)),
        ("features", table(frames().flat_map(|f| f.features.clone()).collect(), SLOTS * SLOT_FEATURES)),
        ("kept", table(frames().flat_map(|f| f.kept.map(|k| f32::from(u8::from(k)))).collect(), SLOTS)),
        ("takes", table(frames().flat_map(|f| f.takes.clone()).collect(), SLOTS * SLOTS)),
        ("costs", table(trajectories.iter().flat_map(|t| t.costs.clone()).collect(), 1)),
        ("action_rule", table(deeds().map(|d| parts(d).0 as f32).collect(), 1)),
        ("action_slot", table(deeds().map(|d| slot(parts(d).1)).collect(), 1)),
        ("action_features", table(deeds().flat_map(|d| parts(d).2).collect(), SLOT_FEATURES)),
        ("action_takes", table(deeds().flat_map(|d| parts(d).3).collect(), SLOTS)),
        ("rewards", table(trajectories.iter().flat_map(|t| t.rewards.clone()).collect(), 1)),
    ];
    named.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
}

/// Reads a shard by its cache.
///
/// # Errors
/// A file cannot be read, or the two do not fit.
pub fn read(path: &Path) -> Result<(ShardHeader, Vec<Trajectory>), ShardError> {
    let header = ShardHeader::read(path)?;
    let opened = Opened::new(&cache_path(path), CACHE_FORMAT)?;
    let actions: usize = header.trajectories.iter().map(|t| t.actions.len()).sum();
    let states = actions + header.trajectories.len();
    let like = |rows: usize, width: usize| Tensor::zeros([rows as i64, width as i64], (tch::Kind::Float, Device::Cpu));
    let shapes = [
        ("whole", states, WHOLE),
        ("rules", states, SLOTS),
        ("features", states, SLOTS * SLOT_FEATURES),
        ("kept", states, SLOTS),
        ("takes", states, SLOTS * SLOTS),
        ("costs", states, 1),
        ("action_rule", actions, 1),
        ("action_slot", actions, 1),
        ("action_features", actions, SLOT_FEATURES),
        ("action_takes", actions, SLOTS),
        ("rewards", actions, 1),
    ];
    let wanted: Vec<(String, Tensor)> = shapes.map(|(name, rows, width)| (name.to_owned(), like(rows, width))).into();
    let mut values = opened.tensors("", &wanted)?;
    let mut take = |name: &str| {
        let tensor = values.remove(name).expect("it was asked for");
        Vec::<f32>::try_from(tensor.contiguous().flatten(0, -1)).expect("a float tensor")
    };
    let (whole, rules, features, kept) = (take("whole"), take("rules"), take("features"), take("kept"));
    let (takes, action_takes) = (take("takes"), take("action_takes"));
    let (costs, rewards) = (take("costs"), take("rewards"));
    let (action_rule, action_slot, action_features) =
        (take("action_rule"), take("action_slot"), take("action_features"));
    fn row(of: &[f32], width: usize, at: usize) -> &[f32] {
        &of[at * width..(at + 1) * width]
    }
    let frame = |at: usize| Frame {
        whole: row(&whole, WHOLE, at).to_vec(),
        rules: std::array::from_fn(|s| rules[at * SLOTS + s] as i32),
        features: row(&features, SLOTS * SLOT_FEATURES, at).to_vec(),
        kept: std::array::from_fn(|s| kept[at * SLOTS + s] > 0.5),
        takes: row(&takes, SLOTS * SLOTS, at).to_vec(),
        ..Frame::blank()
    };
    let deed = |at: usize| match action_rule[at] as i32 {
        EMPTY => Deed::Stop,
        rule => {
            let slot = (action_slot[at] >= 0.0).then_some(action_slot[at] as usize);
            let features = row(&action_features, SLOT_FEATURES, at).to_vec();
            Deed::Apply { slot, rule, features, takes: row(&action_takes, SLOTS, at).to_vec() }
        }
    };
    let (mut state, mut action) = (0, 0);
    let mut trajectories = Vec::with_capacity(header.trajectories.len());
    for t in &header.trajectories {
        let (n, s, a) = (t.actions.len(), state, action);
        let mut trajectory = Trajectory {
            root: t.root,
            player: t.player,
            actions: t.actions.clone(),
            frames: (s..=s + n).map(frame).collect(),
            deeds: (a..a + n).map(deed).collect(),
            rewards: rewards[a..a + n].to_vec(),
            costs: costs[s..=s + n].to_vec(),
        };
        trajectory.keep_books();
        trajectories.push(trajectory);
        (state, action) = (state + n + 1, action + n);
    }
    Ok((header, trajectories))
}

/// Makes a shard's episodes again from root graphs and actions alone; the tasks are in the order of the roots.
///
/// # Errors
/// A header cannot be read, or its actions do not fit the graphs.
pub fn remake(path: &Path, eye: &mut Eye, tasks: &[Arc<Task<'_>>]) -> Result<Vec<Trajectory>, ShardError> {
    let header = ShardHeader::read(path)?;
    header.check_roots(path, tasks)?;
    let again = |(at, like): (usize, &Header)| {
        replay(eye, &tasks[like.root], like, header.terms()).ok_or_else(|| misfit(path, at))
    };
    header.trajectories.iter().enumerate().map(again).collect()
}

fn misfit(path: &Path, episode: usize) -> ShardError {
    let problem = format!("the actions of episode {episode} do not fit its graph and the rules");
    ShardError::Header { path: path.to_owned(), problem }
}

/// A shard's episodes judged by another objective, from what V saw then and what its actions do to the graphs; the tasks are in
/// the order of the roots.
///
/// # Errors
/// A file cannot be read, or its actions do not fit the graphs.
pub fn judged(path: &Path, tasks: &[Arc<Task<'_>>], objective: Quantity) -> Result<Vec<Trajectory>, ShardError> {
    let (header, played) = read(path)?;
    header.check_roots(path, tasks)?;
    let terms = Terms { objective, ..header.terms() };
    let again = |(at, t): (usize, &Trajectory)| judge(&tasks[t.root], t, terms).ok_or_else(|| misfit(path, at));
    played.iter().enumerate().map(again).collect()
}

/// State hash of a task's graph, in hexadecimal digits.
pub fn hash_of(task: &Task<'_>) -> String {
    format!("{:032x}", task.graph().state_hash())
}
