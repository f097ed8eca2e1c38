//! `graphopt gen-substitutions`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::json;

use super::{Answer, interrupt, outputs, terminal};
use crate::substitution::generator::arithmetic::Arithmetic;
use crate::substitution::generator::{
    BYTES_PER_SOURCE, Count, Counter, Counts, Field, Generated, Matches, Preset, Settings, Space, Stage, State, Watch,
    Wrapping, count_sources, find, write,
};
use crate::substitution::{self, Library, ProverLimits};

/// Finds substitutions by machine: enumerates graphs, pairs equal ones, prunes, tests, proves.
///
/// Graphs of at most N operators are evaluated on small tensors over a prime field. Pairs of equal
/// fingerprints are compared on fresh data, written as rules on all shapes, tested in f64 on random
/// instances, and proved. Rules without a proof go to a file of their own, each with the reason.
/// Both files are the same whatever the number of threads.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  graphopt gen-substitutions --preset taso --max-ops 3 -o taso.json"
)]
pub struct GenSubstitutions {
    /// What graphs are made of.
    #[arg(long, value_name = "NAME", default_value = "taso")]
    preset: PresetName,
    /// Operators of a graph, at most.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    max_ops: u8,
    /// Seed of the data that graphs are evaluated on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How many processor cores to use (default: all).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Memory for graphs, in megabytes (default: no limit): where they need more, the work is done in several passes.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    /// Goes on where an interrupted run with the same output left off.
    #[arg(long)]
    resume: bool,
    /// Does part I of N (from 0), and writes its state instead of a library.
    #[arg(long, value_name = "I/N", value_parser = shard, conflicts_with = "merge")]
    shard: Option<(usize, usize)>,
    /// Makes the library of the states that shards wrote.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "resume")]
    merge: Vec<PathBuf>,
    /// Leaves out rules that follow from smaller ones.
    #[arg(long)]
    no_derived: bool,
    /// Keeps only rules that a search has a use for.
    #[arg(long)]
    useful: bool,
    /// Looks for no proofs: all rules go to the file of those without one.
    #[arg(long)]
    no_proofs: bool,
    /// Also counts graphs in the way of TASO's public generator, in its arithmetic and in ours.
    #[arg(long)]
    count: bool,
    /// Writes the pairs that are no rule, with the reason, one a line.
    #[arg(long, value_name = "FILE")]
    left_out: Option<PathBuf>,
    /// Where to write the library; rules without a proof go to a file beside it whose name ends in `.unproved.json`.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Prints one JSON document on stdout instead.
    #[arg(long)]
    json: bool,
}

/// The presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PresetName {
    /// TASO's public generator: 20 inputs, 26 operator instances.
    Taso,
    /// What real models need: channels, strides, batches, Softmax, activations.
    Default,
}

impl GenSubstitutions {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let threads = self.threads.map_or(0, |n| n as usize);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("threads cannot be started")?;
        pool.install(|| self.generate())
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let preset = match self.preset {
            PresetName::Taso => Preset::taso(),
            PresetName::Default => Preset::standard(),
        };
        // A rule has one name, in whatever library it is.
        let known = [Library::built_in()?, Library::unproved()?];
        let named = known.into_iter().flat_map(|library| library.substitutions);
        Ok(Settings {
            preset,
            max_ops: usize::from(self.max_ops),
            seed: self.seed,
            passes: 1,
            derived: !self.no_derived,
            prover: (!self.no_proofs).then(ProverLimits::default),
            useful: self.useful,
            names: named.map(|s| (s.id, s.rule.name)).collect(),
        })
    }

    /// Where an interrupted run leaves its state.
    fn state_file(&self) -> PathBuf {
        let mut name = self.output.clone().into_os_string();
        name.push(".state");
        name.into()
    }

    /// Where rules without a proof go.
    fn unproved_file(&self) -> PathBuf {
        self.output.with_extension("unproved.json")
    }

    /// That the outputs can be written, and that nothing else is lost by it.
    fn check_outputs(&self) -> anyhow::Result<()> {
        let (unproved, state) = (self.unproved_file(), self.state_file());
        let libraries = [self.output.as_path(), &unproved];
        let mut others: Vec<&Path> = self.merge.iter().map(PathBuf::as_path).collect();
        for file in libraries.into_iter().chain([state.as_path()]).chain(self.left_out.as_deref()) {
            outputs::check(file, &others)?;
            others.push(file);
        }
        if self.shard.is_some() {
            return replaces_state(&self.output);
        }
        if self.state_file().exists() && !self.resume {
            replaces_state(&state)?;
        }
        libraries.into_iter().try_for_each(|file| outputs::check_replaces(file, substitution::FORMAT))
    }

    /// The state to begin with.
    fn known(&self, settings: &mut Settings, watch: &Watch) -> anyhow::Result<State> {
        let mut states = Vec::new();
        let interrupted = self.state_file();
        if self.resume && interrupted.exists() {
            states.push(read_state(&interrupted)?);
        }
        for file in &self.merge {
            states.push(read_state(file)?);
        }
        if let Some(first) = states.first() {
            settings.passes = first.passes;
        } else if let Some(memory) = self.memory {
            let space = Space { preset: &settings.preset, max_ops: settings.max_ops, seed: settings.seed };
            settings.passes = (count_sources(&space, watch) * BYTES_PER_SOURCE).div_ceil(memory << 20).max(1);
        }
        let mut known = State::of(settings);
        for state in states {
            known.join(state)?;
        }
        Ok(known)
    }

    fn generate(&self) -> anyhow::Result<Answer> {
        self.check_outputs()?;
        let mut settings = self.settings()?;
        let watch = Watch::default();
        interrupt::install_saying("stopping: --resume will go on from here (Ctrl-C again ends at once)");
        let known = self.known(&mut settings, &watch)?;
        let counted = self.count.then(|| counted(&settings));
        let started = Instant::now();
        let bar = terminal::bar(0);
        let progress = |stage: Stage, at: u64, of: u64| {
            let graphs = watch.graphs.load(Ordering::Relaxed);
            let seconds = started.elapsed().as_secs_f64();
            let left = match at {
                0 => String::new(),
                at => format!(", {:.0} s left", seconds * of.saturating_sub(at) as f64 / at as f64),
            };
            let message = match stage {
                Stage::Sources => "graphs with canonical names".to_owned(),
                Stage::Targets => format!("{graphs} graphs, {:.0} a second{left}", graphs as f64 / seconds),
                Stage::Pairs => "pairs checked".to_owned(),
                Stage::Rules => "rules tested and proved".to_owned(),
            };
            bar.set_length(of);
            bar.set_position(at);
            bar.set_message(message);
        };
        let state = Mutex::new((known.clone(), Instant::now()));
        let save = |pass: u64, beginning: usize, matches: &Matches| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0.results.insert((pass, beginning), matches.clone());
            if state.1.elapsed() > BETWEEN_SAVES {
                // What cannot be saved now is tried again; the end of the run tells.
                let _ = self.save(&state.0);
                state.1 = Instant::now();
            }
        };
        let mine = |beginning: usize| self.merge.is_empty() && self.shard.is_none_or(|(i, n)| beginning % n == i);
        let finished = AtomicBool::new(false);
        let (enumerated, generated) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !finished.load(Ordering::Relaxed) {
                    if interrupt::asked() {
                        watch.stop.store(true, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let found = find(&settings, &known.results, &mine, &save, &watch, &progress);
            let enumerated = started.elapsed();
            let complete = found.filter(|_| self.shard.is_none());
            let generated = complete.and_then(|found| write(&settings, &found, &watch, &progress));
            finished.store(true, Ordering::Relaxed);
            (enumerated, generated)
        });
        let (state, _) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        bar.finish_and_clear();
        if watch.stopped() {
            self.save(&state)?;
            let file = self.state_file();
            terminal::warning(&format!("stopped: what was found is in {}; --resume goes on", file.display()));
            return Ok(Answer::No);
        }
        if self.shard.is_some() {
            write_file(&self.output, &state.to_bytes())?;
            self.forget();
            let graphs: u64 = state.results.iter().filter(|(k, _)| k.0 == 0).flat_map(|(_, m)| &m.graphs).sum();
            terminal::note(&format!("{graphs} graphs; state written to {}", self.output.display()));
            return Ok(Answer::Done);
        }
        let Some(generated) = generated else {
            bail!("the states do not cover all graphs: a shard is missing");
        };
        let seconds = Seconds { enumerate: enumerated.as_secs_f64(), all: started.elapsed().as_secs_f64() };
        write_file(&self.output, generated.library.to_text().as_bytes())?;
        let unproved = self.unproved_file();
        if generated.unproved.substitutions.is_empty() {
            // What an earlier run left there would pass for what this run found.
            let _ = std::fs::remove_file(&unproved);
        } else {
            write_file(&unproved, generated.unproved.to_text().as_bytes())?;
        }
        self.forget();
        if let Some(file) = &self.left_out {
            write_file(file, (generated.left_out.join("\n") + "\n").as_bytes())?;
        }
        if self.json {
            terminal::print_json(&document(&settings, counted.as_ref(), &generated, &seconds))?;
        } else {
            let mut lines = text(counted.as_ref(), &generated);
            lines.push(format!(
                "{} rules written to {}, {} of which follow from others; {:.1} s, of which {:.1} s enumeration",
                generated.counts.proved,
                self.output.display(),
                derived(&generated.library),
                seconds.all,
                seconds.enumerate
            ));
            if generated.counts.unproved > 0 {
                lines.push(format!(
                    "{} rules without a proof written to {}",
                    generated.counts.unproved,
                    unproved.display()
                ));
            }
            terminal::print(&lines.join("\n"))?;
        }
        Ok(Answer::Done)
    }

    fn save(&self, state: &State) -> anyhow::Result<()> {
        write_file(&self.state_file(), &state.to_bytes())
    }

    /// Removes the state of an interrupted run, which is of no use any more.
    fn forget(&self) {
        // It may never have been there.
        let _ = std::fs::remove_file(self.state_file());
    }
}

/// Time between two saves of the state.
const BETWEEN_SAVES: Duration = Duration::from_secs(30);

/// `I/N` with I below N.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parts.filter(|(i, n): &(usize, usize)| i < n).ok_or_else(|| "expected I/N with I from 0 to N - 1".to_owned())
}

fn read_state(file: &Path) -> anyhow::Result<State> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    State::from_bytes(&bytes).with_context(|| file.display().to_string())
}

/// That nothing but the state of a run is lost when one is written.
fn replaces_state(file: &Path) -> anyhow::Result<()> {
    if file.exists() && read_state(file).is_err() {
        bail!("{}: this file is there and is no state of a run: it is not written over", file.display());
    }
    Ok(())
}

fn write_file(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    crate::formats::write_atomically(file, |out| out.write_all(bytes)).with_context(|| file.display().to_string())
}

/// Graphs as TASO counts them: in its arithmetic, over the field, and the seconds that the first took.
fn counted(settings: &Settings) -> (Count, Count, f64) {
    let started = Instant::now();
    let taso = count::<Wrapping>(settings);
    let seconds = started.elapsed().as_secs_f64();
    (taso, count::<Field>(settings), seconds)
}

fn count<A: Arithmetic>(settings: &Settings) -> Count {
    let counter = || Counter::<A>::new(&settings.preset, settings.max_ops, settings.seed);
    let counts: Vec<Count> = (0..counter().beginnings())
        .into_par_iter()
        .with_max_len(1)
        .map_init(counter, |counter, beginning| counter.count_from(beginning))
        .collect();
    let mut sum = Count { by_ops: vec![0; settings.max_ops + 1] };
    sum.by_ops[0] = 1;
    counts.iter().for_each(|c| sum.add(c));
    sum
}

/// Seconds that a run took.
struct Seconds {
    enumerate: f64,
    all: f64,
}

fn derived(library: &Library) -> usize {
    library.substitutions.len() - library.rules().count()
}

/// Milliseconds that attempts at proofs took: all together, and of those that succeeded the median and the one that 99 of
/// 100 stay below.
fn proving(generated: &Generated) -> [f64; 3] {
    let ms = |took: &Duration| took.as_secs_f64() * 1e3;
    let good: Vec<f64> = generated.proving.iter().filter(|(_, proved)| *proved).map(|(took, _)| ms(took)).collect();
    let part = |percent: usize| good.get(good.len() * percent / 100).copied().unwrap_or(0.0);
    [generated.proving.iter().map(|(took, _)| ms(took)).sum(), part(50), part(99)]
}

fn document(
    settings: &Settings,
    counted: Option<&(Count, Count, f64)>,
    generated: &Generated,
    seconds: &Seconds,
) -> serde_json::Value {
    let c = &generated.counts;
    let [all, median, most] = proving(generated);
    json!({
        "preset": settings.preset.name, "max_ops": settings.max_ops, "seed": settings.seed,
        "graphs_as_taso": counted.map(|c| c.0.total()), "graphs_as_taso_over_field": counted.map(|c| c.1.total()),
        "graphs": c.graphs, "canonical": c.canonical, "candidates": c.candidates, "collisions": c.collisions,
        "renaming": c.renaming, "common_subgraph": c.common_subgraph, "common_supergraph": c.common_supergraph,
        "derived": c.derived, "pairs": c.pairs, "identities": c.identities, "inexpressible": c.inexpressible,
        "refuted": c.refuted, "same_rule": c.same_rule, "trivial": c.trivial,
        "useless": c.useless, "proved": c.proved, "proved_derived": derived(&generated.library),
        "unproved": c.unproved, "unproved_derived": derived(&generated.unproved),
        "proving_ms": {"all": all, "median": median, "percentile_99": most},
        "seconds": {"enumerate": seconds.enumerate, "all": seconds.all},
    })
}

fn text(counted: Option<&(Count, Count, f64)>, generated: &Generated) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((taso, field, seconds)) = counted {
        lines.push(format!(
            "{} graphs as TASO's public generator counts them ({} over the field, where Relu(Relu(x)) = Relu(x)), in {seconds:.1} s",
            taso.total(),
            field.total()
        ));
    }
    lines.extend(counts_text(&generated.counts));
    if !generated.proving.is_empty() {
        let [all, median, most] = proving(generated);
        lines.push(format!(
            "{} attempts at proofs took {:.1} s in all; a proof took {median:.2} ms (median), 99 of 100 less than {most:.1} ms",
            generated.proving.len(),
            all / 1e3
        ));
    }
    lines
}

fn counts_text(counts: &Counts) -> Vec<String> {
    let c = counts;
    let mut lines = vec![
        format!("{} connected graphs, {} up to names of inputs", c.graphs.iter().sum::<u64>(), c.canonical),
        format!(
            "{} pairs of equal fingerprints: {} differ on fresh data, {} are others under new names",
            c.candidates, c.collisions, c.renaming
        ),
        format!(
            "{} pairs left: {} share a beginning, {} share an end, {} follow from others, {} stand for themselves",
            c.pairs + c.derived + c.common_subgraph + c.common_supergraph,
            c.common_subgraph,
            c.common_supergraph,
            c.derived,
            c.pairs
        ),
        format!("{} graphs are nothing but inputs", c.identities),
    ];
    for (reason, count) in &c.inexpressible {
        lines.push(format!("{count} directions are no rule: {reason}"));
    }
    lines.push(format!(
        "{} directions are refuted in all forms, {} say what others say, {} say nothing",
        c.refuted, c.same_rule, c.trivial
    ));
    if c.useless > 0 {
        lines.push(format!("{} directions are of no use to a search", c.useless));
    }
    lines.push(format!("{} rules are proved, {} pass every test and have no proof", c.proved, c.unproved));
    lines
}
