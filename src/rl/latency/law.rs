//! What was learned of a graph's latency, in a file: all measurements with what they are of, from which the ensemble is fitted
//! again.
//!
//! ```json
//! {"format": "graphopt-latency", "version": 1, "program": "0.1.0", "model": "nasrnn_4", "device": "…", "threads": 2,
//!  "costs": "roofline (cpu)", "seed": 0, "features": ["time Conv", "edge Conv Relu"],
//!  "original": {"time_us": 310.5, "launches": 70.0, "encoding": [[0, 0.9], [1, 0.1]]},
//!  "measurements": [{"run": 1, "ratio": 0.93, "error": 0.007, "encoding": [[0, 0.8]]}]}
//! ```
//!
//! An encoding lists features by their place, ascending, with their values; those that are not listed are 0.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::encoding::{Encoding, Feature, Group, Names, Scale};
use super::ensemble::{Ensemble, Sample};
use crate::cost::CostModel;
use crate::formats::{map_file, write_atomically};
use crate::graph::Graph;

/// `format` of files.
pub const FORMAT: &str = "graphopt-latency";
/// `version` of files.
pub const VERSION: u32 = 1;
/// Measurements of a file at most: fitting takes the third power of their number.
const MOST_MEASUREMENTS: usize = 10_000;
/// No number of a graph that is any use is larger: it is a share of the original's time, launches or edges.
const LARGEST: f64 = 1e4;

/// What was measured, where, and over what costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Name of the model.
    pub model: String,
    /// Name of the device.
    pub device: String,
    /// Threads of the runtime.
    pub threads: usize,
    /// Name of the costs that are corrected.
    pub costs: String,
}

/// What was learned.
#[derive(Clone, PartialEq, Debug)]
pub struct Law {
    /// Where it is from.
    pub source: Source,
    /// Seed of the ensemble's members.
    pub seed: u64,
    /// What numbers relate to.
    pub scale: Scale,
    /// The original's numbers.
    pub original: Encoding,
    /// The measurements.
    pub samples: Vec<Sample>,
    /// Names of all numbers.
    pub names: Names,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LawError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what it must be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// File.
        path: PathBuf,
        /// The field, and what is wrong with it.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    program: String,
    model: String,
    device: String,
    threads: usize,
    costs: String,
    seed: u64,
    features: Vec<String>,
    original: Original,
    measurements: Vec<Measurement>,
}

/// An encoding, by places in `features`.
type Entries = Vec<(usize, f64)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Original {
    time_us: f64,
    launches: f64,
    encoding: Entries,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measurement {
    run: usize,
    ratio: f64,
    error: f64,
    encoding: Entries,
}

/// How a graph stands to a law.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Knows {
    /// It is the law's original.
    Original,
    /// So much of its estimated time, as a share, is of kinds of operators that measurements told something of.
    Share(f64),
}

impl Law {
    /// The ensemble.
    pub fn ensemble(&self) -> Ensemble {
        Ensemble::fit(self.scale, &self.original, &self.samples, self.seed)
    }

    /// What it knows of a graph; `costs` are those that it corrects.
    pub fn knows(&self, costs: &dyn CostModel, graph: &Graph) -> Knows {
        if Encoding::of(costs, graph, self.scale).digest() == self.original.digest() {
            return Knows::Original;
        }
        let differences = self.samples.iter().map(|s| s.encoding.less(&self.original));
        let told: BTreeSet<Feature> = differences.flat_map(|d| d.entries().to_vec()).map(|(f, _)| f).collect();
        let encoding = Encoding::of(costs, graph, Scale::of(costs, graph));
        let times = encoding.entries().iter().filter(|(feature, _)| feature.group() == Group::Time);
        Knows::Share(times.filter(|(feature, _)| told.contains(feature)).map(|(_, share)| share).sum())
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The system refused.
    pub fn write(&self, path: &Path) -> Result<(), LawError> {
        let places: Vec<Feature> = self.names.keys().copied().collect();
        let entries = |encoding: &Encoding| -> Entries {
            let place = |feature: &Feature| places.binary_search(feature).expect("every number has a name");
            encoding.entries().iter().map(|(feature, value)| (place(feature), *value)).collect()
        };
        let measurement = |sample: &Sample| Measurement {
            run: sample.run,
            ratio: sample.ratio,
            error: sample.error,
            encoding: entries(&sample.encoding),
        };
        let Source { model, device, threads, costs } = self.source.clone();
        let file = File {
            format: FORMAT.to_owned(),
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            device,
            threads,
            costs,
            seed: self.seed,
            features: self.names.values().cloned().collect(),
            original: Original {
                time_us: self.scale.time_us,
                launches: self.scale.launches,
                encoding: entries(&self.original),
            },
            measurements: self.samples.iter().map(measurement).collect(),
        };
        let text = serde_json::to_string(&file).expect("numbers and texts");
        write_atomically(path, |out| writeln!(out, "{text}"))
            .map_err(|source| LawError::Io { path: path.to_owned(), source })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not what it must be.
    pub fn read(path: &Path) -> Result<Law, LawError> {
        let bytes = map_file(path).map_err(|source| LawError::Io { path: path.to_owned(), source })?;
        Law::parse(&bytes).map_err(|problem| LawError::Content { path: path.to_owned(), problem })
    }

    /// The content of a file.
    fn parse(text: &[u8]) -> Result<Law, String> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Head =
            serde_json::from_slice(text).map_err(|e| format!("this is no file of learned latency ({e})"))?;
        if (head.format.as_str(), head.version) != (FORMAT, VERSION) {
            let found = format!("{} of version {}", head.format, head.version);
            return Err(format!("format: expected {FORMAT} of version {VERSION}, found {found}"));
        }
        let file: File = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let positive = |field: &str, value: f64| match value > 0.0 && value <= 1e15 {
            true => Ok(value),
            false => Err(format!("{field}: {value} is not above 0")),
        };
        let scale = Scale {
            time_us: positive("original.time_us", file.original.time_us)?,
            launches: positive("original.launches", file.original.launches)?,
        };
        let mut names = Names::new();
        let mut features = Vec::with_capacity(file.features.len());
        for (at, name) in file.features.iter().enumerate() {
            let feature = Feature::named(name).ok_or_else(|| format!("features[{at}]: {name:?} names no number"))?;
            if names.insert(feature, name.clone()).is_some() {
                return Err(format!("features[{at}]: {name:?} is listed twice"));
            }
            features.push(feature);
        }
        let encoding = |field: &str, entries: &Entries| -> Result<Encoding, String> {
            let of = |(at, (place, value)): (usize, &(usize, f64))| {
                let feature =
                    features.get(*place).ok_or_else(|| format!("{field}[{at}]: there is no feature {place}"))?;
                if at > 0 && entries[at - 1].0 >= *place {
                    return Err(format!("{field}[{at}]: features are not in ascending order"));
                }
                match value.abs() <= LARGEST {
                    true => Ok((*feature, *value)),
                    false => Err(format!("{field}[{at}]: {value} is no share of the original")),
                }
            };
            Ok(Encoding::sum(entries.iter().enumerate().map(of).collect::<Result<_, String>>()?))
        };
        let original = encoding("original.encoding", &file.original.encoding)?;
        if !(1..=MOST_MEASUREMENTS).contains(&file.measurements.len()) {
            let found = file.measurements.len();
            return Err(format!("measurements: expected 1 to {MOST_MEASUREMENTS}, found {found}"));
        }
        let sample = |(at, m): (usize, &Measurement)| {
            let field = |name: &str| format!("measurements[{at}].{name}");
            if !(m.ratio > 0.0 && m.ratio <= LARGEST) {
                return Err(format!("{}: {} is no share of the original's time", field("ratio"), m.ratio));
            }
            if !(0.0..=LARGEST).contains(&m.error) {
                return Err(format!("{}: {} is no standard error", field("error"), m.error));
            }
            let encoding = encoding(&field("encoding"), &m.encoding)?;
            Ok(Sample { encoding, ratio: m.ratio, error: m.error, run: m.run })
        };
        let samples = file.measurements.iter().enumerate().map(sample).collect::<Result<Vec<_>, String>>()?;
        let File { model, device, threads, costs, seed, .. } = file;
        Ok(Law { source: Source { model, device, threads, costs }, seed, scale, original, samples, names })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cost::{DeviceProfile, Roofline, graph_cost};
    use crate::rl::env::tests::{model, rules};
    use crate::rl::latency::active::{Choosing, Learned, Plan, learn};
    use crate::rl::latency::turns::Reading;
    use crate::search::{Budget, Greedy, Problem};

    fn source() -> Source {
        let (model, device) = ("nasrnn_4".to_owned(), "a device".to_owned());
        Source { model, device, threads: 2, costs: "roofline (cpu)".to_owned() }
    }

    fn learned(graph: &Graph, measurements: usize) -> Learned {
        let (costs, rules) = (Roofline::new(DeviceProfile::cpu()), rules());
        let budget = Budget { pops: 30, ..Budget::default() };
        let problem = Problem { graph, rules: &rules, model: &costs, budget: &budget };
        let mut clock = |graphs: &[&Graph]| {
            let read = |at: usize| (at != 1).then_some(Reading { ratio: 0.9 - 0.03 * at as f64, error: 0.01 });
            (0..graphs.len()).map(read).collect()
        };
        let plan = Plan { measurements, choosing: Choosing::Disagreement, seed: 5 };
        learn(&Greedy, &problem, &plan, &mut clock, &mut |_| true)
    }

    fn law() -> Law {
        learned(&model("nasrnn_4", &[]), 8).law(source()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_and_says_the_same() {
        let graph = model("nasrnn_4", &[]);
        let learned = learned(&graph, 8);
        let law = learned.law(source()).unwrap();
        // Of every four the second does not run.
        assert_eq!(law.samples.len(), 6);
        assert_eq!(law.samples.iter().map(|s| s.run).collect::<Vec<_>>(), [1, 1, 1, 2, 2, 2]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("law.json");
        law.write(&path).unwrap();
        let again = Law::read(&path).unwrap();
        assert_eq!(again, law);
        let (ours, theirs) = (law.ensemble(), again.ensemble());
        let costs = Roofline::new(DeviceProfile::cpu());
        for m in &learned.measured {
            assert_eq!(ours.all(&m.encoding), theirs.all(&m.encoding));
            let total = |ensemble: &Ensemble| graph_cost(&ensemble.correct(&costs, 0), &m.found.graph).time_us;
            assert_eq!(total(&ours), total(&theirs));
            assert!((total(&ours) / graph_cost(&costs, &m.found.graph).time_us - 1.0).abs() > 1e-4, "it is corrected");
        }
    }

    #[test]
    fn it_knows_its_original_and_how_much_of_other_graphs() {
        let (costs, law) = (Roofline::new(DeviceProfile::cpu()), law());
        assert_eq!(law.knows(&costs, &model("nasrnn_4", &[])), Knows::Original);
        let share = |name: &str| match law.knows(&costs, &model(name, &[])) {
            Knows::Share(share) => share,
            Knows::Original => panic!("{name} is another graph"),
        };
        let (near, far) = (share("nasrnn"), share("squeezenet1_1"));
        assert!(near > 0.9 && near <= 1.0 + 1e-9 && far < 0.1, "{near} {far}");
        let learned_nothing = Law { samples: Vec::new(), ..law };
        assert_eq!(learned_nothing.knows(&costs, &model("nasrnn", &[])), Knows::Share(0.0));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("law.json");
        law().write(&path).unwrap();
        let text: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let with = |pointer: &str, value: serde_json::Value| {
            let mut text = text.clone();
            *text.pointer_mut(pointer).unwrap() = value;
            Law::parse(text.to_string().as_bytes()).unwrap_err()
        };
        for (pointer, value, told) in [
            ("/format", "graphopt-run".into(), "found graphopt-run of version 1"),
            ("/version", 2.into(), "expected graphopt-latency of version 1, found graphopt-latency of version 2"),
            ("/threads", (-1).into(), "invalid value: integer `-1`"),
            ("/original/time_us", 0.into(), "original.time_us: 0 is not above 0"),
            ("/original/launches", (-3.5).into(), "original.launches: -3.5 is not above 0"),
            ("/original/encoding/1/0", 0.into(), "original.encoding[1]: features are not in ascending order"),
            ("/original/encoding/1/0", 10_000.into(), "original.encoding[1]: there is no feature 10000"),
            ("/features/0", "colour Conv".into(), "features[0]: \"colour Conv\" names no number"),
            ("/features/1", text["features"][0].clone(), "features[1]: "),
            ("/measurements", serde_json::json!([]), "measurements: expected 1 to 10000, found 0"),
            ("/measurements/0/ratio", 0.into(), "measurements[0].ratio: 0 is no share"),
            ("/measurements/2/error", (-0.1).into(), "measurements[2].error: -0.1 is no standard error"),
            ("/measurements/0/encoding/0/1", 1e9.into(), "measurements[0].encoding[0]: 1000000000 is no share"),
            ("/measurements/0/ratio", "fast".into(), "invalid type: string \"fast\""),
        ] {
            let problem = with(pointer, value);
            assert!(problem.contains(told), "{pointer}: {problem}");
        }
        let error = Law::read(&folder.path().join("no.json")).unwrap_err().to_string();
        assert!(error.contains("no.json: "), "{error}");
        assert!(Law::read(folder.path()).is_err());
    }

    #[test]
    fn no_input_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("law.json");
        law().write(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        let (costs, graph) = (Roofline::new(DeviceProfile::cpu()), model("nasrnn_4", &[]));
        // What is read can also be used: no cost of it is anything but a number.
        let use_it = |text: &[u8]| {
            let Ok(law) = Law::parse(text) else { return };
            let ensemble = law.ensemble();
            let time_us = graph_cost(&ensemble.correct(&costs, 0), &graph).time_us;
            assert!(time_us.is_finite() && time_us >= 0.0, "{time_us}");
            let _ = law.knows(&costs, &graph);
        };
        use_it(&good);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
        let edit = (0..good.len(), 0..12usize, prop::collection::vec(any::<u8>(), 0..8));
        let digits = (0..good.len(), prop::sample::select(vec!['0', '9', 'e', '-', '.', ',', ']', '"']));
        runner
            .run(&(edit, digits, any::<bool>()), |((at, cut, with), (place, sign), both)| {
                let mut text = good.clone();
                text[place] = sign as u8;
                if both {
                    text.splice(at..(at + cut).min(good.len()), with);
                }
                use_it(&text);
                use_it(&text[..at]);
                Ok(())
            })
            .unwrap();
    }
}
