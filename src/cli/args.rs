//! What several commands take, and how it is turned into models, rules and devices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::terminal;
use crate::formats::{self, ImportOptions, ImportWarning, Imported};
use crate::graph::Graph;
use crate::rewrite::{Rule, RuleSet};
use crate::rl::valley;
use crate::runtime::DeviceChoice;
use crate::search::Reach;
use crate::substitution::Library;
use crate::zoo;

/// A set of settings of training.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Preset {
    /// Ends within seconds.
    Debug,
    /// For a few cores.
    Cpu,
    /// For a large GPU.
    H200,
}

/// The device flag.
#[derive(Args, Debug)]
pub struct DeviceArgs {
    /// Where to run: auto (CUDA if there is any), cpu, cuda, or cuda:N.
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// How many processor cores to use (default: all).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
}

impl DeviceArgs {
    /// The device, ready to be used.
    pub fn resolve(&self) -> anyhow::Result<tch::Device> {
        let (device, why) = self.device.resolve()?;
        if let Some(why) = why {
            terminal::note(&why);
        }
        if let Some(threads) = self.threads {
            crate::runtime::set_threads(threads as usize);
        }
        Ok(device)
    }

    /// The same for work on many small tensors, as agents do: a second thread within an operator mostly waits, so there is
    /// one unless the flag says otherwise. Environments use all cores anyway.
    pub fn resolve_for_small_tensors(&self) -> anyhow::Result<tch::Device> {
        let device = self.resolve()?;
        if self.threads.is_none() {
            crate::runtime::set_threads(1);
        }
        Ok(device)
    }
}

/// See [`Reach`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ReachArg {
    /// The place that is chosen.
    One,
    /// All places where the same may be done: equal rule, change of cost, operators, attributes and sizes.
    All,
}

impl From<ReachArg> for Reach {
    fn from(reach: ReachArg) -> Reach {
        match reach {
            ReachArg::One => Reach::One,
            ReachArg::All => Reach::All,
        }
    }
}

/// The flags for named dimensions.
#[derive(Args, Debug, Default)]
pub struct DimArgs {
    /// Gives a named dimension a size; repeat it for several. One without a name is called `input[axis]`.
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = named_size)]
    pub dims: Vec<(String, u64)>,
}

impl DimArgs {
    /// The sizes by name.
    pub fn sizes(&self) -> anyhow::Result<BTreeMap<String, i64>> {
        let mut sizes = BTreeMap::new();
        for (name, size) in &self.dims {
            let size = i64::try_from(*size).with_context(|| format!("--dim {name}: {size} is too large"))?;
            if size < 1 {
                bail!("--dim {name}={size}: a size is at least 1");
            }
            if sizes.insert(name.clone(), size).is_some() {
                bail!("--dim {name} is given twice");
            }
        }
        Ok(sizes)
    }
}

/// `name=size`, with spaces around neither.
pub fn named_size(text: &str) -> Result<(String, u64), String> {
    let (name, size) = text.split_once('=').ok_or("expected NAME=SIZE, for example batch=8")?;
    if name.is_empty() {
        return Err("the name before `=` is empty".to_owned());
    }
    let size = size.parse().map_err(|_| format!("`{size}` is no natural number"))?;
    Ok((name.to_owned(), size))
}

/// A number of seconds above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}

/// A number from 0 to a million.
pub fn weight(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=1e6).contains(n));
    number.ok_or_else(|| "expected a number from 0 to 1000000".to_owned())
}

/// The flags for libraries of rules.
#[derive(Args, Debug, Default)]
pub struct LibraryArgs {
    /// Reads more rules from a substitution library; one whose name is already taken replaces that rule. Repeatable.
    #[arg(long = "rules", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also uses rules that pass their tests and for which no proof was found.
    #[arg(long)]
    pub unproved: bool,
}

impl LibraryArgs {
    /// The built-in library with the rules of files added, or put in place of those of the same name.
    pub fn library(&self) -> anyhow::Result<Library> {
        let mut library = built_in_rules(self.unproved)?;
        for file in &self.files {
            library.adopt(loaded(file, self.unproved)?);
        }
        Ok(library)
    }
}

/// The rules that the program has.
pub fn built_in_rules(unproved: bool) -> anyhow::Result<Library> {
    let mut library = Library::built_in().context("the built-in substitutions")?;
    if unproved {
        let more = Library::unproved().context("the built-in substitutions without a proof")?;
        terminal::warning(&format!("{} built-in rules have no proof", more.substitutions.len()));
        library.adopt(more);
    }
    Ok(library)
}

/// The rules of a file; those without a proof are left out unless they are asked for.
pub fn loaded(file: &Path, unproved: bool) -> anyhow::Result<Library> {
    let library = Library::load(file)?;
    let (proved, without) = library.clone().proved_only();
    if without == 0 {
        return Ok(proved);
    }
    let rules = if without == 1 { "1 rule has no proof".to_owned() } else { format!("{without} rules have no proof") };
    let what = if unproved { "" } else { " and are left out (--unproved uses them)" };
    terminal::warning(&format!("{}: {rules}{what}", file.display()));
    Ok(if unproved { library } else { proved })
}

/// The flags for rules.
#[derive(Args, Debug, Default)]
pub struct RuleArgs {
    /// Where rules come from.
    #[command(flatten)]
    pub libraries: LibraryArgs,
    /// Leaves this rule out. Repeatable.
    #[arg(long, value_name = "RULE", conflicts_with = "only_rule")]
    pub skip_rule: Vec<String>,
    /// Uses this rule and no other. Repeatable.
    #[arg(long, value_name = "RULE")]
    pub only_rule: Vec<String>,
}

impl RuleArgs {
    /// The rules that are left, compiled.
    pub fn compile(&self) -> anyhow::Result<RuleSet> {
        let library = self.libraries.library()?;
        let named = |names: &[String]| -> anyhow::Result<BTreeSet<String>> {
            names.iter().map(|name| Ok(find_rule(&library, name)?.rule.name.clone())).collect()
        };
        let (skipped, only) = (named(&self.skip_rule)?, named(&self.only_rule)?);
        let rules: Vec<Rule> = if only.is_empty() {
            library.rules().filter(|rule| !skipped.contains(&rule.name)).cloned().collect()
        } else {
            library.substitutions.iter().map(|s| &s.rule).filter(|rule| only.contains(&rule.name)).cloned().collect()
        };
        RuleSet::compile(rules).map_err(|(rule, why)| anyhow::anyhow!("rule {rule:?}: {why}"))
    }
}

/// The substitution of this name or id.
pub fn find_rule<'a>(library: &'a Library, name: &str) -> anyhow::Result<&'a crate::substitution::Substitution> {
    let by_id = || library.substitutions.iter().find(|s| s.id == name);
    library.find(name).or_else(by_id).with_context(|| {
        if Library::unproved().is_ok_and(|more| more.find(name).is_some()) {
            return format!("rule {name:?} has no proof: --unproved loads it");
        }
        let known = library.substitutions.iter().map(|s| s.rule.name.as_str());
        let hint = nearest(name, known).map_or(String::new(), |n| format!("; did you mean {n:?}?"));
        format!("there is no rule {name:?}{hint} (`graphopt explain` lists them)")
    })
}

/// The known word that differs least, if it differs little.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, best) = known.map(|k| (edit_distance(word, k), k)).min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= word.len()).then_some(best)
}

/// Insertions, deletions and replacements of letters between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            let least = replaced.min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], least);
        }
    }
    row[b.len()]
}

/// The built-in architecture of this name.
pub fn built_in(name: &str) -> anyhow::Result<&'static zoo::Entry> {
    zoo::entry(name).ok().with_context(|| {
        let hint = nearest(name, zoo::ENTRIES.iter().map(|entry| entry.name));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean {near}?"));
        format!("there is no built-in model {name:?}{hint} (`graphopt models` lists them)")
    })
}

/// Reads a model: a file, or a built-in architecture if there is no file of this name.
pub fn read_model(path: &Path) -> anyhow::Result<formats::model::Model> {
    let name = path.to_str().filter(|name| !name.contains(['.', '/', '\\']));
    if let Some(name) = name
        && !path.exists()
    {
        let entry = built_in(name).with_context(|| format!("{name}: no file of this name"))?;
        return Ok(entry.build(&entry.sizes(&[])?)?);
    }
    let loaded = formats::load(path)?;
    for text in &loaded.warnings {
        terminal::warning(&format!("{}: {text}", path.display()));
    }
    Ok(loaded.model)
}

/// Reads a model and brings it to the normal form.
pub fn open(path: &Path, dims: &DimArgs) -> anyhow::Result<Imported> {
    let options = ImportOptions { dims: dims.sizes()? };
    let model = read_model(path)?;
    let imported = formats::import(model, &options).with_context(|| path.display().to_string())?;
    for warning in &imported.warnings {
        if matches!(warning, ImportWarning::Shape { .. }) {
            terminal::warning(&format!("{}: {warning}", path.display()));
        }
    }
    Ok(imported)
}

/// The graph of a model, or a valley of this name.
pub fn graph(path: &Path, dims: &DimArgs) -> anyhow::Result<Graph> {
    let named = path.to_str().filter(|_| !path.exists()).and_then(valley::named);
    match named {
        Some(valley) => Ok(valley.map_err(anyhow::Error::msg)?.graph),
        None => Ok(open(path, dims)?.graph),
    }
}

/// Digest of a file, in hexadecimal.
pub fn digest(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// That there is memory to run a model of a file.
pub fn check_memory(path: &Path, graph: &Graph) -> anyhow::Result<()> {
    crate::runtime::check_runnable(graph).with_context(|| path.display().to_string())
}

/// Why nodes are opaque: each reason with the nodes, in order of appearance.
pub fn opaque(imported: &Imported) -> Vec<(&str, &str)> {
    fn opaque(warning: &ImportWarning) -> Option<(&str, &str)> {
        match warning {
            ImportWarning::Opaque { node, reason } => Some((node, reason)),
            ImportWarning::Shape { .. } => None,
        }
    }
    imported.warnings.iter().filter_map(opaque).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_strictly() {
        assert_eq!(named_size("batch=8"), Ok(("batch".to_owned(), 8)));
        assert_eq!(named_size("x[0]=1"), Ok(("x[0]".to_owned(), 1)));
        for wrong in ["batch", "=8", "batch=", "batch=-1", "batch=1.5", "batch=99999999999999999999"] {
            assert!(named_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["merge-convs", "fold-batch-norm"];
        assert_eq!(nearest("fold-batchnorm", known.into_iter()), Some("fold-batch-norm"));
        assert_eq!(nearest("transpose", known.into_iter()), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
