//! What a run came to: a table, or one JSON document.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{terminal, units};
use crate::rl::dream::waking::learner::Learner;
use crate::rl::dream::waking::run::best_path;
use crate::rl::dream::waking::worth::Worth;
use crate::rl::env::Quantity;

/// Prints what the controller that is kept is worth on each graph, if one was judged yet.
pub fn show(learner: &Learner<'_>, out: &Path, as_json: bool) -> anyhow::Result<()> {
    let kept = learner.state().kept.as_ref();
    let worth = kept.map_or(&[][..], |kept| &kept.worth);
    if as_json {
        return terminal::print_json(&document(learner, worth, out));
    }
    let objective = learner.config().dreamer.objective;
    let scale = learner.config().dreamer.reward_scale;
    let text = |amount: f64| match objective {
        Quantity::Time => units::time(amount),
        Quantity::Memory => units::bytes(amount),
        Quantity::Launches => format!("{amount:.0}"),
    };
    let rows = learner.subjects().iter().enumerate().map(|(at, subject)| {
        let start = learner.start(at);
        let of = |gain: &dyn Fn(&Worth) -> f64| {
            worth.get(at).map_or("-".to_owned(), |w| text(start * (-gain(w) / scale).exp()))
        };
        vec![
            subject.name.clone(),
            text(start),
            text(subject.known_us),
            text(learner.state().best_us[at]),
            of(&|w| w.slots),
            of(&|w| w.candidates),
            of(&|w| w.dreamt),
        ]
    });
    let known = if objective.is_time() { ">search" } else { ">greedy" };
    let header = ["model", ">start", known, ">best met", ">controller", ">without slots", ">in its dream"];
    terminal::print(&terminal::table(&header, rows))?;
    let whose = match kept.map(|kept| kept.round) {
        None => ", whose controller was not judged yet".to_owned(),
        Some(0) => ", whose controller has not dreamt: none that has is worth as much".to_owned(),
        Some(round) if round < learner.state().round => {
            format!(", whose controller is that of round {round}: no later one is worth as much")
        }
        Some(_) => String::new(),
    };
    terminal::note(&format!("wrote {}{whose}", best_path(out).display()));
    Ok(())
}

fn document(learner: &Learner<'_>, worth: &[Worth], out: &Path) -> Value {
    let (state, dreamer) = (learner.state(), learner.config().dreamer);
    let of = |w: &Worth| {
        let [candidates, slots, dreamt] = [w.candidates, w.slots, w.dreamt].map(|gain| gain / dreamer.reward_scale);
        json!({"true_candidates": candidates, "true_slots": slots, "predicted_slots": dreamt})
    };
    let rows = learner.subjects().iter().enumerate().map(|(at, subject)| {
        let (name, start, known, best) = (&subject.name, learner.start(at), subject.known_us, state.best_us[at]);
        let worth = worth.get(at).map(of);
        if dreamer.objective.is_time() {
            json!({"model": name, "start_us": start, "search_us": known, "best_us": best, "return": worth})
        } else {
            json!({"model": name, "start": start, "greedy": known, "best": best, "return": worth})
        }
    });
    json!({
        "out": out,
        "objective": dreamer.objective,
        "units": state.units,
        "rounds": state.round,
        "kept_round": state.kept.as_ref().map(|kept| kept.round),
        "real_steps": state.real_steps,
        "judging_steps": state.judging_steps,
        "dream_steps": state.dream_steps,
        "model_parameters": learner.model().parameters.count(),
        "controller_parameters": state.controller.len(),
        "models": rows.collect::<Vec<_>>(),
    })
}
