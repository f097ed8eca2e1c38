//! Settings of the loop.

use serde::{Deserialize, Serialize};

use super::agent::DreamerConfig;
use crate::rl::dream::config::{
    Beginners, EnsembleConfig, FitConfig, Planning, PracticeConfig, Refit, Teacher, VisionConfig,
};

/// Settings of the loop. By default those of `--preset cpu`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnConfig {
    /// Everything random is drawn from it.
    pub seed: u64,
    /// V, M and C.
    pub dreamer: DreamerConfig,
    /// Updates that V's encoder is pre-trained by; 0 leaves it random.
    pub pretrain_updates: usize,
    /// Times round the loop.
    pub rounds: usize,
    /// Episodes of each player on each graph in a round.
    pub episodes: usize,
    /// Who plays first.
    pub beginners: Beginners,
    /// Whether later rounds add what the controller plays; else they go on with the episodes of the first.
    pub aggregate: bool,
    /// How V's encoder is trained.
    #[serde(default)]
    pub vision: VisionConfig,
    /// How M is fitted.
    pub fit: FitConfig,
    /// How C is trained.
    pub practice: PracticeConfig,
    /// How many Ms, and what for.
    pub ensemble: EnsembleConfig,
    /// What of M is fitted anew, where it is that of another run (see [`super::transfer`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refit: Option<Refit>,
}

impl Default for LearnConfig {
    fn default() -> LearnConfig {
        LearnConfig {
            seed: 0,
            dreamer: DreamerConfig::default(),
            pretrain_updates: 200,
            rounds: 4,
            episodes: 64,
            beginners: Beginners::All,
            aggregate: true,
            vision: VisionConfig::default(),
            fit: FitConfig::default(),
            practice: PracticeConfig::default(),
            ensemble: EnsembleConfig::default(),
            refit: None,
        }
    }
}

impl LearnConfig {
    /// That a loop can be made of it: it may come from a file.
    ///
    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.dreamer.check().map_err(|problem| format!("dreamer: {problem}"))?;
        self.ensemble.check().map_err(|problem| format!("ensemble.{problem}"))?;
        let LearnConfig { fit, practice, ensemble, vision, .. } = self;
        let [rollouts, depth] = practice.rollouts.map_or([1, 1], |shape| [shape.rollouts, shape.depth]);
        for (name, value, least, most) in [
            ("pretrain_updates", self.pretrain_updates, 0, 1_000_000),
            ("rounds", self.rounds, 1, 1000),
            ("episodes", self.episodes, 2, 100_000),
            ("vision.updates", vision.updates, 0, 1_000_000),
            ("fit.epochs", fit.epochs, 1, 10_000),
            ("fit.batch", fit.batch, 1, 10_000),
            ("practice.rollouts.rollouts", rollouts, 1, 10_000),
            ("practice.rollouts.depth", depth, 1, 10_000),
            ("practice.population", practice.population, 2, 10_000),
            ("practice.dreams", practice.dreams, 1, 10_000),
            ("practice.generations", practice.generations, 0, 100_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} is {value}, and must be from {least} to {most}"));
            }
        }
        for (name, value, least, most) in [
            ("fit.learning_rate", fit.learning_rate, 0.0, 1.0),
            ("fit.max_grad_norm", fit.max_grad_norm, 0.0, 1e6),
            ("fit.shift", fit.shift, 0.0, 1e3),
            ("fit.blur", fit.blur, 0.0, 1e3),
            ("practice.sigma", practice.sigma, 1e-6, 1e3),
            ("practice.temperature", practice.temperature, 0.0, 100.0),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} is {value}, and must be from {least} to {most}"));
            }
        }
        let by_ppo = practice.teacher == Teacher::Ppo;
        if !by_ppo && (practice.planning != Planning::Dream || practice.from_real) {
            return Err("practice.planning and practice.from_real go with the teacher ppo".to_owned());
        }
        if practice.teacher == Teacher::Gradient && ensemble.penalty > 0.0 {
            return Err(
                "ensemble.penalty: the gradient goes through one world model; it goes with other teachers".to_owned()
            );
        }
        if practice.generations == 0 && !practice.from_real {
            return Err(
                "practice.generations is 0, which leaves nothing to learn from but practice.from_real".to_owned()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_use_is_told_by_its_name() {
        let good = LearnConfig::default();
        assert_eq!(good.check(), Ok(()));
        let fit = |change: fn(&mut LearnConfig)| {
            let mut bad = good;
            change(&mut bad);
            bad.check().unwrap_err()
        };
        for (problem, name) in [
            (fit(|c| c.episodes = 1), "episodes is 1"),
            (fit(|c| c.fit.batch = 0), "fit.batch is 0"),
            (fit(|c| c.fit.learning_rate = f64::NAN), "fit.learning_rate is NaN"),
            (fit(|c| c.practice.population = 1), "practice.population is 1"),
            (fit(|c| c.practice.sigma = 0.0), "practice.sigma is 0"),
            (fit(|c| c.practice.planning = Planning::Replay), "teacher ppo"),
            (fit(|c| c.practice.generations = 0), "practice.from_real"),
            (fit(|c| c.ensemble.members = 33), "ensemble.members is 33"),
            (fit(|c| c.dreamer.horizon = 1 << 50), "dreamer: horizon is"),
            (fit(|c| c.dreamer.reward_scale = 1e300), "dreamer: reward_scale is"),
            (fit(|c| c.dreamer.model.hidden = 0), "dreamer: hidden is 0"),
        ] {
            assert!(problem.contains(name), "{problem}");
        }
    }
}
