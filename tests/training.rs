//! Trainings as users meet them: agents and world models that are learned, gone on with and used. Each process loads libtorch,
//! which takes a while: few processes, several assertions each.

mod program;

use std::fs;

use program::{graphopt, write_small_model};

#[test]
fn an_agent_is_trained_gone_on_with_used_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let model = write_small_model(folder);
    let train = |more: &[&str]| {
        let args = ["train-agent", model, "--out", "run", "--preset", "debug", "--device", "cpu", "--json"];
        graphopt(folder, &[&args, more].concat())
    };
    let steps = ["--total-timesteps", "256"];
    let report = train(&steps).ok().json();
    assert_eq!(report["steps"], 256);
    assert_eq!(report["models"][0]["model"], model);
    for file in ["config.json", "metrics.jsonl", "curves.svg", "checkpoint/training.safetensors", "agent.safetensors"] {
        assert!(folder.join("run").join(file).exists(), "{file}");
    }
    let lines = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    train(&["--total-timesteps", "256", "--seed", "1"]).refused("train.seed: there 0, here 1");
    let again = train(&steps).ok();
    assert!(again.stderr.contains("going on") && again.json()["steps"] == 256, "{}", again.stderr);

    let agent = ["--agent", "run/agent.safetensors"];
    for search in ["ppo", "ppo-greedy", "ppo-beam", "guided"] {
        let args = ["optimise", model, "--dry-run", "--json", "--no-measure", "--budget", "40", "--search", search];
        let report = graphopt(folder, &[&args[..], &agent].concat()).ok().json();
        assert_eq!(report["search"]["method"], search);
        assert_eq!(report["check"]["passed"], true);
        let (before, after) = (&report["cost_before"]["time_us"], &report["chosen"]["method_time_us"]);
        assert!(after.as_f64().unwrap() <= before.as_f64().unwrap() + 1e-6, "{search}: {after} of {before}");
        let legs: Vec<&str> =
            report["search"]["legs"].as_array().unwrap().iter().map(|leg| leg["method"].as_str().unwrap()).collect();
        let relay = ["ppo", "portfolio", "portfolio"];
        assert_eq!(legs, if search == "ppo-portfolio" { &relay[..] } else { &[] }, "the policy's own result is told");
    }
    let args = ["evaluate", model, "--json", "--budget", "40", "--seeds", "2"];
    let report = graphopt(folder, &[&args[..], &agent].concat()).ok().json();
    let methods: Vec<&str> = report["runs"].as_array().unwrap().iter().map(|r| r["method"].as_str().unwrap()).collect();
    let searches = ["greedy", "backtracking", "portfolio", "random", "random"];
    let by_agent = ["ppo-greedy", "ppo", "ppo", "ppo-portfolio", "ppo-portfolio", "ppo-beam", "guided"];
    assert_eq!(methods, [&searches[..], &by_agent].concat());

    let refused = |args: &[&str], text: &str| graphopt(folder, &[args, &["--device", "cpu"]].concat()).refused(text);
    fs::write(folder.join("bad.safetensors"), "nothing").unwrap();
    refused(&["optimise", model, "--search", "ppo", "--agent", "bad.safetensors"], "bad.safetensors");
    refused(&["evaluate", model, "--agent", model], "not a safetensors file");
    refused(&["evaluate", model, "--methods", "greedy,dream"], "--methods dream: there are greedy, backtracking");
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/config.json"), "{}").unwrap();
    refused(&["train-agent", model, "--out", "other", "--preset", "debug"], "other/config.json");
}

#[test]
fn agents_learn_valleys_and_drawn_graphs_and_begin_with_others() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let model = write_small_model(folder);
    let train = |out: &str, more: &[&str]| {
        let args = ["train-agent", "--out", out, "--preset", "debug", "--device", "cpu", "--json"];
        graphopt(folder, &[&args[..], &["--total-timesteps", "256"], more].concat())
    };
    let names = |report: &serde_json::Value| -> Vec<String> {
        report["models"].as_array().unwrap().iter().map(|m| m["model"].as_str().unwrap().to_owned()).collect()
    };
    let drawn = ["valley_1_1", "--draw", "2", "--hold-out", "recurrent", "--hold-out", "adapter", "--most-nodes", "60"];
    let report = train("drawn", &drawn).ok().json();
    let subjects = names(&report);
    assert_eq!((subjects.len(), subjects[0].as_str()), (3, "valley_1_1"));
    assert!(subjects[1..].iter().all(|name| name.contains("(draw ")), "{subjects:?}");
    assert!(report["measurements"].is_null());

    // The second begins where the first ended: an untrained agent is another one.
    let init = ["valley_1_1", "--init", "drawn/agent.safetensors"];
    train("again", &init).ok();
    train("again", &["valley_1_1"]).refused("init: there");
    train("wider", &["valley_1_1", "--init", "drawn/agent.safetensors", "--width", "64"]).ok();
    train("none", &["valley_1_1", "--init", "nothing.safetensors"]).refused("nothing.safetensors");
    train("none", &["valley_9_9"]).refused("a depth of 1 to 4");

    let report = train("measured", &[model, "--objective", "measured", "--measure-every", "2"]).ok().json();
    assert!(report["measurements"].as_u64().unwrap() > 1, "{report}");

    let optimise = ["optimise", model, "--dry-run", "--json", "--no-measure", "--budget", "20", "--device", "cpu"];
    let report = graphopt(folder, &[&optimise[..], &["--search", "ppo-greedy"]].concat()).ok().json();
    assert_eq!(report["check"]["passed"], true, "the built-in agent");
    let evaluate =
        ["evaluate", "valley_1_1", "--budget", "30", "--seeds", "1", "--agent", "built-in", "--device", "cpu"];
    assert!(graphopt(folder, &evaluate).ok().stdout.contains("ppo-beam"));
}

#[test]
fn a_world_model_is_learned_on_drawn_graphs() {
    let dir = tempfile::tempdir().unwrap();
    let train = |out: &str, more: &[&str]| {
        let args = ["train-world-model", "--out", out, "--preset", "debug", "--device", "cpu", "--json"];
        graphopt(dir.path(), &[&args[..], more].concat())
    };
    let drawn = ["valley_1_1", "--draw", "2", "--hold-out", "recurrent", "--most-nodes", "60", "--rounds", "1"];
    let report = train("run", &drawn).ok().json();
    let names: Vec<&str> = report["models"].as_array().unwrap().iter().map(|m| m["model"].as_str().unwrap()).collect();
    assert!(names.len() == 3 && names[0] == "valley_1_1", "{names:?}");
    assert!(names[1..].iter().all(|name| name.contains("(draw ")), "{names:?}");
    let again = train("run", &drawn).ok();
    assert!(again.stderr.contains("going on") && again.json()["units"] == report["units"], "{}", again.stderr);
    train("run", &["valley_1_1", "--rounds", "1"]).refused("models: there");
    // Another run begins with what was drawn, too: by its settings, and with its model.
    let like = ["train-world-model", "--config", "run/config.json", "--out", "like", "--device", "cpu", "--json"];
    assert_eq!(graphopt(dir.path(), &like).ok().json()["models"][2]["model"], names[2]);
    let config = dir.path().join("like/config.json");
    let text = fs::read_to_string(&config).unwrap();
    for (changed, told) in [
        (text.replacen("\"version\": 1", "\"version\": 9", 1), "version is 9"),
        (text.replacen("graphopt-run", "graphopt-walk", 1), "format"),
        (text.replacen("\"learn\"", "\"train\"", 1), "no run of train-world-model"),
    ] {
        assert_ne!(changed, text);
        fs::write(&config, changed).unwrap();
        let new = ["train-world-model", "--config", "like/config.json", "--out", "new", "--device", "cpu"];
        graphopt(dir.path(), &new).refused(told);
    }
    let report = train("less", &["--model-from", "run", "--objective", "launches"]).ok().json();
    assert_eq!((&report["models"][1]["model"], &report["real_steps"]), (&names[1].into(), &0.into()));
}

#[test]
fn a_world_model_is_learned_gone_on_with_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let model = write_small_model(folder);
    let train = |more: &[&str]| {
        let args = ["train-world-model", model, "--out", "run", "--preset", "debug", "--device", "cpu", "--json"];
        graphopt(folder, &[&args, more].concat())
    };
    let report = train(&[]).ok().json();
    assert_eq!((&report["rounds"], &report["models"][0]["model"]), (&2.into(), &model.into()));
    assert!(report["controller_parameters"].as_u64().unwrap() < 1000);
    assert!(report["dream_steps"].as_u64().unwrap() > 0);
    for which in ["true_candidates", "true_slots", "predicted_slots"] {
        assert!(report["models"][0]["return"][which].is_number(), "{report:#}");
    }
    assert!(report["kept_round"].as_u64() <= report["rounds"].as_u64() && report["judging_steps"].as_u64() > Some(0));
    let files = ["config.json", "metrics.jsonl", "data/shard-0003.json", "data/shard-0003.safetensors"];
    for file in
        files.into_iter().chain(["checkpoint/training.safetensors", "checkpoint/last.safetensors", "agent.safetensors"])
    {
        assert!(folder.join("run").join(file).exists(), "{file}");
    }
    let lines = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as u64, report["units"].as_u64().unwrap());
    assert!(lines.contains("quality/state_skill_1") && lines.contains("return/predicted_slots"), "{lines}");
    train(&["--seed", "1"]).refused("learn.seed: there 0, here 1");
    let again = train(&[]).ok();
    assert!(again.stderr.contains("going on") && again.json()["units"] == report["units"], "{}", again.stderr);

    let agent = ["--agent", "run/agent.safetensors"];
    for search in ["dream", "mpc-cem", "gumbel-dream"] {
        let args = ["optimise", model, "--dry-run", "--json", "--no-measure", "--budget", "20", "--search", search];
        let report = graphopt(folder, &[&args[..], &agent].concat()).ok().json();
        assert_eq!((&report["search"]["method"], &report["check"]["passed"]), (&search.into(), &true.into()));
        let (before, after) = (&report["cost_before"]["time_us"], &report["chosen"]["method_time_us"]);
        assert!(after.as_f64().unwrap() <= before.as_f64().unwrap() + 1e-6, "{search}: {after} of {before}");
    }

    let transfer = |more: &[&str]| {
        let args = ["train-world-model", "--out", "less", "--preset", "debug", "--device", "cpu", "--json"];
        graphopt(folder, &[&args, more].concat())
    };
    let from = ["--model-from", "run", "--objective", "launches"];
    let report = transfer(&from).ok().json();
    assert_eq!(
        (&report["objective"], &report["real_steps"], &report["rounds"]),
        (&"launches".into(), &0.into(), &1.into())
    );
    let row = &report["models"][0];
    assert!(row["model"] == *model && row["greedy"].as_f64() <= row["start"].as_f64(), "{report:#}");
    assert!(transfer(&from).ok().stderr.contains("going on"));
    transfer(&[&from[..], &["--refit", "all"]].concat()).refused("learn.refit: there \"heads\", here \"all\"");
    transfer(&["--model-from", "nowhere"]).refused("nowhere/config.json");
    let other = transfer(&["--model-from", "run", "lora_mlp"]);
    assert!(other.code == 2 && other.stderr.contains("that run had other models"), "{}", other.stderr);
    let searched = ["optimise", model, "--dry-run", "--no-measure", "--budget", "5", "--search", "dream", "--agent"];
    let searched = graphopt(folder, &[&searched[..], &["less/agent.safetensors"]].concat()).ok();
    assert!(searched.stderr.contains("it was trained for less launches"), "{}", searched.stderr);

    let like = |file: &str, more: &[&str]| {
        let args = ["train-world-model", "--config", file, "--out", "like", "--device", "cpu"];
        graphopt(folder, &[&args, more].concat())
    };
    like("run/config.json", &[]).ok();
    let settings = |run: &str| fs::read_to_string(folder.join(run).join("config.json")).unwrap();
    let returns = |run: &str| {
        let text = fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
        let told = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        told.map(|unit| unit["return/true_candidates"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((settings("like"), returns("like")), (settings("run"), returns("run")));
    like("run/config.json", &["--seed", "1"]).refused("learn.seed: there 0, here 1");
    let both = like("run/config.json", &["--rounds", "3"]);
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    like("less/config.json", &[]).refused("less/config.json: model_from");
    fs::write(
        folder.join("none.json"),
        settings("run").replace("\"rounds\": 2,\n    \"ep", "\"rounds\": 0,\n    \"ep"),
    )
    .unwrap();
    like("none.json", &[]).refused("none.json: learn: rounds is 0, and must be from 1 to 1000");

    let evaluate = |more: &[&str]| {
        let all = ["evaluate", model, "--budget", "10", "--seeds", "1", "--device", "cpu", "--json"];
        let report = graphopt(folder, &[&all[..], &agent, more].concat()).ok().json();
        let runs = report["runs"].as_array().unwrap().iter();
        runs.map(|r| r["method"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let dreamt = ["dream", "mpc", "mpc-random", "mpc-cem", "gumbel", "gumbel-dream"];
    assert!(evaluate(&[]).ends_with(&dreamt.map(str::to_owned)));
    assert_eq!(evaluate(&["--methods", "gumbel,greedy"]), ["greedy", "gumbel"]);

    let books = ["train-world-model", model, "--out", "books", "--books", "--rounds", "1", "--preset", "debug"];
    graphopt(folder, &[&books[..], &["--device", "cpu"]].concat()).ok();
    assert!(settings("books").contains("\"books\": 10.0") && !settings("run").contains("books"));

    let other = |out: &str, more: &[&str]| {
        let args = ["train-world-model", model, "--out", out, "--preset", "debug", "--device", "cpu", "--json"];
        graphopt(folder, &[&args, more].concat()).ok();
        fs::read_to_string(folder.join(out).join("metrics.jsonl")).unwrap()
    };
    let ensemble = ["--ensemble", "2", "--disagreement-penalty", "0.5", "--explore-disagreement"];
    let ppo = ["--controller", "ppo", "--rollout-shape", "10x2"];
    assert!(other("ensemble", &[&ensemble[..], &ppo].concat()).contains("practice/policy_loss"));
    assert!(folder.join("ensemble/data/shard-0004.json").exists(), "what the curious one played");
    let hidden = ["--controller-sees", "state", "--controller-hidden", "3", "--encoder", "trained"];
    let imitation = ["--controller", "imitation", "--rounds", "1", "--encoder-loss", "task"];
    let told = other("imitation", &[&imitation[..], &hidden].concat());
    assert!(told.contains("practice/agreement") && told.contains("losses/vision_next"));

    let refused = |args: &[&str], text: &str| graphopt(folder, &[args, &["--device", "cpu"]].concat()).refused(text);
    refused(&["optimise", model, "--search", "dream"], "train-world-model");
    refused(&["train-world-model", model, "--out", "wide", "--rollout-shape", "10x10"], "--controller ppo");
    refused(&["optimise", model, "--search", "ppo", "--agent", "run/agent.safetensors"], "graphopt-dreamer");
    refused(&["train-world-model", model, "--out", "wide", "--hidden", "512"], "fewer than 1000");
    refused(&["train-world-model", model, "--out", "wide", "--books", "--objective", "memory"], "--objective time");
    refused(&["train-world-model", model, "--out", "wide", "--controller-hidden", "8"], "hidden layer of 8");
    refused(&["train-world-model", model, "--out", "wide", "--encoder-from", model], "not a safetensors file");
}
