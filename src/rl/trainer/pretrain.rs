//! Training the encoder before the policy.

use std::sync::Arc;

use super::Trainer;
use crate::rl::agent::ENCODER;
use crate::rl::env::{Action, Env, EnvSettings, Task};
use crate::rl::neighbourhood::Neighbourhoods;
use crate::rl::net::adam::Adam;
use crate::rl::net::autoencoder::{AutoEncoder, Reconstruction};
use crate::rl::net::parameters::Parameters;
use crate::rl::ppo;
use crate::rl::random::Random;

/// Makes the random numbers of pre-training others than those of training.
const PRETRAINING: u64 = 0x7072_6574_7261_696e;

impl<'a> Trainer<'a> {
    /// Trains the encoder to reconstruct graphs along random rewrites, if the settings say so; then freezes it, if they say
    /// so. To be called once, before the first update. `tell` is given each update's number and what came of it.
    pub fn pretrain(&mut self, tell: &mut dyn FnMut(usize, &Reconstruction)) {
        let device = self.agent.device();
        let decoders = Parameters::new(device, self.config.seed);
        let decoder = AutoEncoder::new(&decoders.root().sub("decoder"), self.config.agent.encoder.width);
        let encoder = self.agent.parameters.all().into_iter().filter(|(name, _)| name.starts_with(ENCODER));
        let mut adam = Adam::new(encoder.chain(decoders.all()).collect());
        let settings = EnvSettings { plain: true, ..self.config.env_settings() };
        let mut known = Neighbourhoods::new(self.config.agent.encoder.rounds);
        let mut random = Random::new(self.config.seed ^ PRETRAINING);
        let mut envs: Vec<Env<'a>> = Vec::new();
        for update in 0..self.config.pretrain_updates {
            if update % self.config.agent.horizon == 0 {
                let draw = |_| self.subjects[random.below(self.subjects.len())].task.clone();
                let tasks: Vec<Arc<Task<'a>>> = (0..self.config.ppo.num_envs).map(draw).collect();
                envs = tasks.into_iter().map(|task| Env::new(task, settings.clone())).collect();
            }
            known.clear();
            let observations: Vec<_> = envs.iter_mut().map(|env| env.observe(&mut known)).collect();
            adam.zero_grad();
            let result = decoder.reconstruct(self.agent.encoder(), &known, &observations, &mut random);
            result.loss.backward();
            adam.clip_grad_norm(self.config.ppo.max_grad_norm);
            adam.step(self.config.ppo.learning_rate, ppo::ADAM_EPS);
            tell(update, &result);
            for env in &mut envs {
                let legal = env.candidates();
                if legal > 0 && !env.is_over() {
                    env.step(Action::Apply(random.below(legal)));
                }
            }
        }
        self.agent.refresh();
    }
}
