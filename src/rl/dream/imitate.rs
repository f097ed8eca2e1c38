//! C imitates an expert that looks ahead: model-predictive control in the dream says what it would do in real states, and C is
//! told to do the same at once.

use tch::{Kind, Tensor};

use super::controller::Controllers;
use super::dream::Dream;
use super::plan::{Plan, worth_of_all};
use super::student::Student;
use crate::rl::random::Random;

/// What a lesson came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson {
    /// Cross entropy before the lesson.
    pub loss: f64,
    /// Share of states in which it would have done the same before the lesson.
    pub agreement: f64,
    /// Steps that the expert dreamt.
    pub steps: u64,
}

/// Steps of Adam on what an expert said once.
const STEPS: usize = 4;
/// Their rate.
const LEARNING_RATE: f64 = 3e-3;
/// Longest gradient.
const MAX_GRAD_NORM: f64 = 0.5;

/// `[]`: mean of what the choices `[B]` cost, given log-probabilities `[B, S + 1]`: their negative logarithms.
pub fn cross_entropy(log_probabilities: &Tensor, choice: &Tensor) -> Tensor {
    -log_probabilities.gather(1, &choice.unsqueeze(1), false).mean(Kind::Float)
}

/// One lesson in the states where `dream` is: the expert plans with the student's present proposals.
pub fn lesson(student: &mut Student, dream: &Dream<'_>, plan: &Plan, random: &mut Random) -> Lesson {
    let as_is = Controllers::new(student.shape(), &[student.controller()], dream.z.device());
    let (worth, steps) = worth_of_all(dream, plan, &as_is, random);
    let choice = worth.argmax(-1, false);
    let (state, slots, present) = (dream.state(), dream.slots(), dream.present());
    let mut before = None;
    for _ in 0..STEPS {
        let log = student.log_probabilities(&state, &slots, &present);
        let loss = cross_entropy(&log, &choice);
        if before.is_none() {
            let same = log.argmax(-1, false).eq_tensor(&choice).to_kind(Kind::Double).mean(Kind::Double);
            before = Some((loss.double_value(&[]), same.double_value(&[])));
        }
        student.step(&loss, LEARNING_RATE, MAX_GRAD_NORM);
    }
    let (loss, agreement) = before.expect("there is a step");
    Lesson { loss, agreement, steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_by_hand() {
        let log = Tensor::from_slice(&[0.5f32.ln(), 0.5f32.ln(), 0.2f32.ln(), 0.8f32.ln()]).reshape([2, 2]);
        let loss = cross_entropy(&log, &Tensor::from_slice(&[1i64, 0])).double_value(&[]);
        // (log 2 + log 5) / 2.
        assert!((loss - 10f64.ln() / 2.0).abs() < 1e-6, "{loss}");
    }
}
