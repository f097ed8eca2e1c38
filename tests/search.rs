//! Searches on small models: costs stay true, results repeat, backtracking crosses what greedy cannot, and every built-in
//! architecture is optimised to an equivalent graph.

use std::sync::Arc;

use graphopt::cost::{DeviceProfile, Roofline, graph_cost};
use graphopt::formats::{ImportOptions, Imported, import};
use graphopt::graph::{Graph, Node, OpKind, splitmix64};
use graphopt::rewrite::{CleanUp, Rule, RuleSet, clean_up};
use graphopt::runtime::{CompareOptions, compare};
use graphopt::search::{
    Backtracking, Budget, Greedy, Portfolio, Problem, RandomWalk, Reach, Report, Search, Settings, State, StopReason,
    Watcher, optimise,
};
use graphopt::substitution::{Library, inverse};
use graphopt::zoo;

/// Sizes that make the built-in architectures quick to run; each takes those that it has.
const SMALL: [(&str, u64); 16] = [
    ("image", 32),
    ("classes", 10),
    ("sequence", 8),
    ("layers", 1),
    ("hidden", 64),
    ("heads", 4),
    ("vocabulary", 50),
    ("steps", 3),
    ("frames", 8),
    ("labels", 4),
    ("features", 16),
    ("feed_forward", 64),
    ("joint", 32),
    ("text", 8),
    ("rows", 2),
    ("rank", 4),
];

/// A built-in architecture at the given sizes.
fn small(name: &str, sizes: &[(&str, u64)]) -> Imported {
    import(zoo::build(name, sizes).unwrap(), &ImportOptions::default()).unwrap()
}

/// The small sizes that an architecture has, within what it allows.
fn small_sizes(entry: &zoo::Entry) -> Vec<(&'static str, u64)> {
    let least = |name: &str| entry.sizes.iter().find(|s| s.name == name).map(|s| s.min);
    SMALL.into_iter().filter_map(|(name, size)| Some((name, size.max(least(name)?)))).collect()
}

fn clean(imported: &Imported) -> Graph {
    let mut graph = imported.graph.clone();
    clean_up(&mut graph);
    graph.commit();
    graph
}

fn library() -> Arc<RuleSet> {
    let rules = Library::built_in().unwrap().substitutions.into_iter().map(|s| s.rule);
    Arc::new(RuleSet::compile(rules).unwrap())
}

fn roofline() -> Roofline {
    Roofline::new(DeviceProfile::cpu())
}

fn run(search: &dyn Search, graph: &Graph, pops: usize) -> (Graph, Report) {
    let budget = Budget { pops, ..Budget::default() };
    bounded(search, graph, &budget, &mut |_| true)
}

fn bounded(search: &dyn Search, graph: &Graph, budget: &Budget, watcher: Watcher<'_>) -> (Graph, Report) {
    search.run(&Problem { graph, rules: &library(), model: &roofline(), budget }, watcher)
}

#[test]
fn cost_of_a_state_is_that_of_its_graph_whatever_is_applied_and_undone() {
    let model = roofline();
    for (name, sizes) in [("bert_2_layers", &[("sequence", 8)][..]), ("inception_pair", &[("image", 9)])] {
        let mut state = State::new(clean(&small(name, sizes)), library(), &model);
        let start = state.graph().state_hash();
        let mut saved = Vec::new();
        for turn in 0..25 {
            let candidates: Vec<_> =
                state.candidates().filter(|c| c.patch.is_acyclic(state.graph())).cloned().collect();
            let choice = &candidates[splitmix64(1, turn) as usize % candidates.len()];
            saved.push(state.apply(choice));
            assert_eq!(state.graph().validate(), Ok(()));
            let fresh = graph_cost(&model, state.graph()).time_us;
            assert!((state.total_us() - fresh).abs() < 1e-6 * fresh, "{name}: {} {fresh}", state.total_us());
        }
        saved.into_iter().rev().for_each(|s| state.undo(s));
        assert_eq!(state.graph().state_hash(), start);
    }
}

/// What a search from scratch finds is the oracle of the index: same matches, same patches, same predictions, in the same
/// order, along a random walk of applications and undos with the whole library.
#[test]
fn candidates_are_those_of_a_search_from_scratch_whatever_is_applied_and_undone() {
    let (model, rules) = (roofline(), library());
    for (seed, entry) in zoo::ENTRIES.iter().enumerate() {
        let name = entry.name;
        let mut state = State::new(clean(&small(name, &small_sizes(entry))), rules.clone(), &model);
        let found = |state: &State<'_>| -> Vec<_> { state.candidates().cloned().collect() };
        let start = found(&state);
        let mut draws = (0..).map(|i| splitmix64(seed as u64, i) as usize);
        let mut saved = Vec::new();
        for turn in 0..12 {
            if saved.len() > 3 && draws.next().unwrap() % 4 == 0 {
                state.undo(saved.pop().unwrap());
            } else {
                let candidates: Vec<_> =
                    state.candidates().filter(|c| c.patch.is_acyclic(state.graph())).cloned().collect();
                saved.push(state.apply(&candidates[draws.next().unwrap() % candidates.len()]));
            }
            let scratch = State::new(state.graph().clone(), rules.clone(), &model);
            assert_eq!(found(&state), found(&scratch), "{name}, turn {turn}");
            let mut cleaned = state.graph().clone();
            assert_eq!(clean_up(&mut cleaned), CleanUp::default(), "{name}, turn {turn}: an edit ends clean");
        }
        saved.into_iter().rev().for_each(|s| state.undo(s));
        assert_eq!(found(&state), start, "{name}");
    }
}

#[test]
fn the_same_search_gives_the_same_result() {
    let graph = clean(&small("inception_pair", &[("image", 9)]));
    for method in [&Backtracking::default() as &dyn Search, &Portfolio::default()] {
        let (first, report) = run(method, &graph, 60);
        let (second, again) = run(method, &graph, 60);
        assert_eq!(first.state_hash(), second.state_hash());
        assert_eq!(report, Report { seconds: report.seconds, ..again });
    }
}

#[test]
fn the_default_search_is_never_worse_than_greedy_and_reports_its_own_cost() {
    // With a budget that ends before backtracking alone has come as far as greedy.
    for (name, sizes) in [
        ("squeezenet1_1", &[("image", 64)][..]),
        ("attention_heads", &[("sequence", 8)]),
        ("repvgg_a0", &[("image", 32)]),
    ] {
        let graph = clean(&small(name, sizes));
        let (_, greedy) = run(&Greedy, &graph, 1000);
        let (best, report) = run(&Portfolio::default(), &graph, 20);
        assert!(report.best_us <= greedy.best_us, "{name}: {} {}", report.best_us, greedy.best_us);
        let fresh = graph_cost(&roofline(), &best).time_us;
        assert!((report.best_us - fresh).abs() < 1e-6 * fresh, "{name}");
        if report.best_us == greedy.best_us {
            assert_eq!((report.found_by, &report.applied), ("greedy", &greedy.applied), "{name}");
        }
    }
}

#[test]
fn a_gain_behind_a_loss_is_found_and_its_finder_named() {
    let graph = clean(&small("inception_pair", &[("image", 17)]));
    let (_, greedy) = run(&Greedy, &graph, 1000);
    let (_, report) = run(&Portfolio::default(), &graph, 300);
    assert!(report.best_us < greedy.best_us, "{} {}", report.best_us, greedy.best_us);
    assert!(["normalising", "look-ahead", "backtracking"].contains(&report.found_by), "{}", report.found_by);
}

#[test]
fn what_is_counted_adds_up() {
    let graph = clean(&small("squeezenet1_1", &[("image", 64)]));
    let (_, report) = run(&Backtracking::default(), &graph, 200);
    let counts = report.counts;
    assert_eq!((counts.pops, report.stop_reason), (200, StopReason::Budget));
    // Every pop is a new graph, one met before, or refused; the start is explored and was never popped.
    assert!(counts.duplicates > 0 && counts.explored - 1 + counts.duplicates <= counts.pops, "{counts:?}");
    assert!(counts.expanded <= counts.explored, "{counts:?}");
    let (_, greedy) = run(&Greedy, &graph, 1000);
    assert_eq!(greedy.counts.pops, greedy.applied.len());
    assert_eq!(greedy.counts.duplicates, 0);
}

#[test]
fn a_short_queue_still_finds_what_greedy_finds() {
    let graph = clean(&small("resnet18", &[("image", 32)]));
    let (_, greedy) = run(&Greedy, &graph, 1000);
    let (_, report) = run(&Backtracking { max_queue: 40, ..Backtracking::default() }, &graph, 1000);
    assert!(report.best_us <= greedy.best_us * 1.001, "{} {}", report.best_us, greedy.best_us);
}

#[test]
fn rules_applied_backwards_are_undone() {
    let substitutions = Library::built_in().unwrap().substitutions;
    let hostile: Vec<Rule> = substitutions.iter().filter_map(|s| inverse(&s.rule)).collect();
    let neutral: Vec<Rule> = substitutions.into_iter().map(|s| s.rule).collect();
    for (name, sizes) in
        [("squeezenet1_1", &[("image", 64)][..]), ("lora_mlp", &[]), ("resnet18", &[("image", 64)]), ("nasrnn_4", &[])]
    {
        let graph = clean(&small(name, sizes));
        let original = graph_cost(&roofline(), &graph).time_us;
        for seed in 0..2 {
            let walk = RandomWalk { hostile: &hostile, neutral: &neutral, rewrites: 30, seed };
            let (perturbed, applied) = walk.run(&graph, &roofline()).unwrap();
            assert_eq!(applied.len(), 30, "{name} {seed}");
            assert!(graph_cost(&roofline(), &perturbed).time_us > original, "{name} {seed}");
            let options = CompareOptions { trials: 1, ..CompareOptions::default() };
            let same = compare(&graph, &perturbed, &options).unwrap();
            assert!(same.passed, "{name} {seed}: {:?}; {applied:?}", same.differences);
            let (best, report) = run(&Portfolio::default(), &perturbed, 1000);
            assert!(report.best_us <= original, "{name} {seed}: {} {original}; {applied:#?}", report.best_us);
            let same = compare(&graph, &best, &options).unwrap();
            assert!(same.passed, "{name} {seed}: {:?}; {applied:?}", same.differences);
        }
    }
}

#[test]
fn budgets_and_interrupts_keep_the_best_so_far() {
    let graph = clean(&small("repvgg_a0", &[("image", 32)]));
    let (_, all) = run(&Greedy, &graph, 1000);
    assert_eq!(all.stop_reason, StopReason::Exhausted);
    let two = Budget { max_rewrites: Some(2), ..Budget::default() };
    let (_, report) = bounded(&Greedy, &graph, &two, &mut |_| true);
    assert_eq!((report.stop_reason, report.applied.len()), (StopReason::StopAfter, 2));
    assert_eq!(report.applied[..], all.applied[..2], "a prefix of the whole search");
    let (_, all) = run(&Portfolio::default(), &graph, 50);
    let two = Budget { pops: 50, max_rewrites: Some(2), ..Budget::default() };
    let (_, report) = bounded(&Portfolio::default(), &graph, &two, &mut |_| true);
    assert_eq!((report.stop_reason, &report.applied[..]), (StopReason::StopAfter, &all.applied[..2]));
    let mut calls = 0;
    let (_, report) = bounded(&Backtracking::default(), &graph, &Budget::default(), &mut |_| {
        calls += 1;
        calls < 10
    });
    assert_eq!(report.stop_reason, StopReason::Interrupted);
    assert!(report.best_us < graph_cost(&roofline(), &graph).time_us);
}

#[test]
fn steps_that_reach_all_equivalent_places_get_as_far_and_are_fewer() {
    let options = CompareOptions::default();
    for (name, sizes) in [("bert_2_layers", &[("sequence", 8)][..]), ("repvgg_a0", &[("image", 32)])] {
        let graph = clean(&small(name, sizes));
        let wide = Budget { reach: Reach::All, ..Budget::default() };
        let (_, one) = run(&Greedy, &graph, Budget::default().pops);
        let (_, all) = bounded(&Greedy, &graph, &wide, &mut |_| true);
        assert!((all.best_us - one.best_us).abs() < 1e-6 * one.best_us, "{name}: {} {}", all.best_us, one.best_us);
        assert!(all.counts.pops < one.counts.pops, "{name}: {} {}", all.counts.pops, one.counts.pops);
        assert!(all.applied.len() > all.counts.pops, "{name}: every rewrite is told");
        for search in [&Backtracking::default() as &dyn Search, &Portfolio::default()] {
            let wide = Budget { pops: 50, ..wide.clone() };
            let (best, report) = bounded(search, &graph, &wide, &mut |_| true);
            assert!(report.best_us <= one.best_us + 1e-6, "{name} by {}: {}", search.name(), report.best_us);
            assert_eq!(best.validate(), Ok(()));
            let same = compare(&graph, &best, &options).unwrap();
            assert!(same.passed, "{name} by {}: {:?}", search.name(), same.differences);
        }
    }
}

/// Greedy search merges in three of four steps what it would better leave until the gates of all four are merged.
#[test]
fn the_default_search_also_goes_down_in_all_equivalent_places_at_once() {
    let graph = clean(&small("nasrnn_4", &[]));
    let wide = Budget { reach: Reach::All, ..Budget::default() };
    let (_, one) = run(&Greedy, &graph, Budget::default().pops);
    let (_, all) = bounded(&Greedy, &graph, &wide, &mut |_| true);
    assert!(all.best_us < 0.99 * one.best_us, "{} {}", all.best_us, one.best_us);
    let (best, found) = run(&Portfolio::default(), &graph, 10);
    assert!(found.best_us <= all.best_us + 1e-6, "{} {}", found.best_us, all.best_us);
    let same = compare(&graph, &best, &CompareOptions::default()).unwrap();
    assert!(same.passed, "{:?}", same.differences);
}

#[test]
fn branches_of_reparameterisable_networks_become_one_convolution_each() {
    for (name, convolutions) in [("repvgg_a0", 22), ("mobileone_s0", 43)] {
        let graph = clean(&small(name, &[]));
        let (best, _) = run(&Greedy, &graph, 1000);
        let runs = |kind| move |n: &&Node| n.op.kind() == Some(kind) && !n.constant;
        let nodes: Vec<&Node> = best.topological().into_iter().map(|id| best.node(id)).collect();
        let kinds = |kind| nodes.iter().copied().filter(runs(kind)).count();
        assert_eq!(kinds(OpKind::Conv), convolutions, "{name}");
        assert_eq!(kinds(OpKind::BatchNormalization), 0, "{name}");
        assert_eq!(kinds(OpKind::Add), 0, "{name}");
    }
}

#[test]
fn every_architecture_is_optimised_checked_and_never_dearer() {
    let model = roofline();
    let rules = library();
    for entry in zoo::ENTRIES {
        let imported = small(entry.name, &small_sizes(entry));
        let settings = Settings {
            search: &Portfolio::default(),
            budget: Budget { pops: 60, ..Budget::default() },
            model: &model,
            device: tch::Device::Cpu,
            measure: false,
            seed: 0,
            check_inputs: 1,
        };
        let outcome = optimise(&imported, &rules, &settings, &mut |_| true)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        assert!(outcome.check.passed && outcome.check.unchecked.is_empty(), "{}", entry.name);
        assert_eq!(outcome.opaque_nodes, 0, "{}", entry.name);
        assert!(outcome.after.cost.time_us <= outcome.before.cost.time_us, "{}", entry.name);
        // What is written is read again as the same function: the exported model has the original's interface.
        let again = import(outcome.model.clone(), &ImportOptions::default()).unwrap();
        let names = |g: &Graph| g.outputs().iter().map(|o| o.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&again.graph), names(&imported.graph), "{}", entry.name);
    }
}
