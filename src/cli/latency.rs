//! Learned latency of a file, as several commands take it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::{args, outputs, terminal};
use crate::cost::CostModel;
use crate::graph::Graph;
use crate::rewrite::clean_up;
use crate::rl::latency::active::Learned;
use crate::rl::latency::ensemble::{Corrected, Ensemble};
use crate::rl::latency::law::{self, Knows, Law, Source};
use crate::rl::trainer::Subject;
use crate::runtime;

/// The flag of commands that go by estimated costs.
#[derive(Args, Debug, Default)]
pub struct LatencyArgs {
    /// Corrects the estimated costs by what was learned from measurements: a file that `optimise --latency-out` wrote.
    #[arg(long = "latency", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What was learned, ready to be used.
pub struct Lesson {
    path: PathBuf,
    law: Law,
    ensemble: Ensemble,
    /// Digest of the file.
    pub digest: String,
}

impl LatencyArgs {
    /// Reads the file, if one is named; it must correct these costs.
    pub fn load(&self, costs: &dyn CostModel) -> anyhow::Result<Option<Lesson>> {
        let Some(path) = &self.file else { return Ok(None) };
        let law = Law::read(path)?;
        let (theirs, ours) = (&law.source.costs, costs.name());
        if *theirs != ours {
            bail!("{}: costs: it corrects those of {theirs}, and these are of {ours}", path.display());
        }
        let ensemble = law.ensemble();
        Ok(Some(Lesson { path: path.clone(), law, ensemble, digest: args::digest(path)? }))
    }
}

impl Lesson {
    /// Tells if it was learned on another device than that of the result.
    pub fn tell_of_device(&self, device: tch::Device) {
        let Source { device: theirs, threads, .. } = &self.law.source;
        let (ours, own_threads) = (runtime::device_name(device), runtime::threads());
        if (theirs, *threads) != (&ours, own_threads) {
            let with = |count: usize| if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") };
            terminal::warning(&format!(
                "{}: it was measured on {theirs} with {}, and this is {ours} with {}",
                self.path.display(),
                with(*threads),
                with(own_threads)
            ));
        }
    }

    /// That it knows something of a graph; tells if that is another than it was learned on.
    pub fn check(&self, name: &str, costs: &dyn CostModel, graph: &Graph) -> anyhow::Result<()> {
        let mut clean = graph.clone();
        clean_up(&mut clean);
        clean.commit();
        let (path, from) = (self.path.display(), &self.law.source.model);
        match self.law.knows(costs, &clean) {
            Knows::Original => {}
            Knows::Share(share) if share <= 0.0 => {
                bail!("{path}: it was learned on {from}, and says nothing of any operator of {name}")
            }
            Knows::Share(share) => terminal::warning(&format!(
                "{path}: it was learned on {from}, and says something of {:.0} % of the time of {name}",
                100.0 * share
            )),
        }
        Ok(())
    }

    /// The same for all that is trained on, telling at most once, of what it knows least of.
    pub fn check_all(&self, subjects: &[Subject<'_>], costs: &dyn CostModel) -> anyhow::Result<()> {
        let share = |subject: &&Subject<'_>| match self.law.knows(costs, subject.task.graph()) {
            Knows::Original => f64::INFINITY,
            Knows::Share(share) => share,
        };
        match subjects.iter().min_by(|a, b| share(a).total_cmp(&share(b))) {
            Some(least) => self.check(&least.name, costs, least.task.graph()),
            None => Ok(()),
        }
    }

    /// Costs as it corrects them.
    pub fn correct<'a>(&'a self, costs: &'a dyn CostModel) -> Corrected<'a> {
        self.ensemble.correct(costs, 0)
    }
}

/// That what is learned can be written to a file in the end, which is none of these.
pub fn check_output(path: &Path, others: &[&Path]) -> anyhow::Result<()> {
    outputs::check(path, others)?;
    outputs::check_replaces(path, law::FORMAT)
}

/// Writes what was learned.
pub fn write(path: &Path, learned: Option<&Learned>, source: Source) -> anyhow::Result<()> {
    match learned.and_then(|learned| learned.law(source)) {
        Some(law) => {
            law.write(path)?;
            terminal::note(&format!("wrote {}", path.display()));
        }
        None => terminal::warning(&format!("nothing was measured: {} is not written", path.display())),
    }
    Ok(())
}
