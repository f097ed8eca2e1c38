//! Results of beginnings on their way to a library: what an interrupted run leaves behind, and what shards hand in.
//!
//! A file begins with a line of text and ends with the BLAKE3 hash of all before it; numbers are little-endian.

use std::collections::BTreeMap;

use super::generate::Settings;
use super::graph::Packed;
use super::table::Matches;

/// The first line of a file.
const HEADER: &[u8] = b"graphopt-generator-state 1\n";
/// Bytes of the hash at the end.
const HASH: usize = 32;

/// Results by (pass, beginning), with the settings that they were found with.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct State {
    /// Name of the preset.
    pub preset: String,
    /// Operators of a graph, at most.
    pub max_ops: u64,
    /// Seed of the elements.
    pub seed: u64,
    /// Number of passes.
    pub passes: u64,
    /// The results.
    pub results: BTreeMap<(u64, usize), Matches>,
}

/// A file that is no state, or not of this run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// Another kind of file, or a damaged one.
    #[error("this is no state of the generator, or it is damaged")]
    Damaged,
    /// Found with other settings.
    #[error("the states are of different runs: {0}")]
    Different(String),
}

impl State {
    /// An empty state for settings.
    pub fn of(settings: &Settings) -> State {
        State {
            preset: settings.preset.name.to_owned(),
            max_ops: settings.max_ops as u64,
            seed: settings.seed,
            passes: settings.passes,
            results: BTreeMap::new(),
        }
    }

    /// The content of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        let mut number = |n: u64| out.extend(n.to_le_bytes());
        number(self.preset.len() as u64);
        self.preset.bytes().for_each(|b| number(u64::from(b)));
        [self.max_ops, self.seed, self.passes, self.results.len() as u64].into_iter().for_each(&mut number);
        for ((pass, beginning), matches) in &self.results {
            [*pass, *beginning as u64, matches.hits, matches.graphs.len() as u64].into_iter().for_each(&mut number);
            matches.graphs.iter().copied().for_each(&mut number);
            number(matches.least.len() as u64);
            for (fingerprint, least) in &matches.least {
                number(*fingerprint);
                for graph in least {
                    let bits = graph.map_or(0, |g| g.0);
                    number(bits as u64);
                    number((bits >> 64) as u64);
                }
            }
        }
        let hash = blake3::hash(&out);
        out.extend(hash.as_bytes());
        out
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// It is no state, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<State, StateError> {
        let end = bytes.len().checked_sub(HASH).ok_or(StateError::Damaged)?;
        let (content, hash) = bytes.split_at(end);
        let content = content.strip_prefix(HEADER).ok_or(StateError::Damaged)?;
        if blake3::hash(&bytes[..end]).as_bytes() != hash {
            return Err(StateError::Damaged);
        }
        let mut words = content.chunks_exact(8).map(|c| c.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)));
        let mut number = || words.next().ok_or(StateError::Damaged);
        let mut state = State::default();
        for _ in 0..number()? {
            state.preset.push(char::from(number()? as u8));
        }
        (state.max_ops, state.seed, state.passes) = (number()?, number()?, number()?);
        for _ in 0..number()? {
            let (pass, beginning) = (number()?, number()? as usize);
            let mut matches = Matches { hits: number()?, ..Matches::default() };
            for _ in 0..number()? {
                matches.graphs.push(number()?);
            }
            for _ in 0..number()? {
                let fingerprint = number()?;
                let mut graph = || -> Result<Option<Packed>, StateError> {
                    let bits = u128::from(number()?) | u128::from(number()?) << 64;
                    Ok((bits != 0).then_some(Packed(bits)))
                };
                matches.least.push((fingerprint, [graph()?, graph()?]));
            }
            state.results.insert((pass, beginning), matches);
        }
        Ok(state)
    }

    /// Takes in the results of another run with the same settings.
    ///
    /// # Errors
    /// The settings differ.
    pub fn join(&mut self, other: State) -> Result<(), StateError> {
        let settings = |s: &State| {
            format!("preset {}, at most {} operators, seed {}, {} passes", s.preset, s.max_ops, s.seed, s.passes)
        };
        if settings(self) != settings(&other) {
            return Err(StateError::Different(format!("{}; {}", settings(self), settings(&other))));
        }
        self.results.extend(other.results);
        Ok(())
    }
}
