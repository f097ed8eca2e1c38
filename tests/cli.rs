//! The program as its users meet it: exit codes, what goes to stdout and stderr, files that are written.
//! Each process loads libtorch, which takes a while: few processes, several assertions each.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// What a run gave.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs the program in a folder.
fn graphopt(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::cargo_bin("graphopt").expect("the program is built");
    command.env("NO_COLOR", "1").env("XDG_CACHE_HOME", folder.join("cache")).env_remove("RUST_BACKTRACE");
    let output = command.current_dir(folder).args(args).output().expect("the program starts");
    Ran {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Ran {
    #[track_caller]
    fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// The user's input is at fault: exit code 2 and one line that says `text`; nothing on stdout.
    #[track_caller]
    fn refused(self, text: &str) {
        assert_eq!(self.code, 2, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].contains(text), "{}", self.stderr);
    }
}

/// Writes a small built-in model into the folder.
fn write_small_model(folder: &Path) -> &'static str {
    let sizes = ["--set", "layers=2", "--set", "hidden=16", "--set", "rank=4", "--set", "batch=2"];
    let args = [["models", "lora_mlp", "--write", "."].as_slice(), &sizes].concat();
    assert_eq!(graphopt(folder, &args).ok().stdout, "./lora_mlp.json\n");
    "lora_mlp.json"
}

#[test]
fn help_says_what_each_command_does() {
    let dir = tempfile::tempdir().unwrap();
    let help = graphopt(dir.path(), &["--help"]).ok().stdout;
    insta::assert_snapshot!("help", help);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    for name in names {
        let help = graphopt(dir.path(), &[name, "--help"]).ok().stdout;
        assert!(help.contains("Example"), "{name} shows no example");
        insta::assert_snapshot!(format!("help-{name}"), help);
    }
}

#[test]
fn a_model_is_optimised_checked_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    let input = fs::read(dir.path().join(model)).unwrap();
    let args = ["optimise", model, "--search", "greedy", "--no-measure", "--device", "cpu", "--json"];
    let ran = graphopt(dir.path(), &args).ok();
    let report = ran.json();
    assert_eq!(report["model"], model);
    assert_eq!(report["seed"], 0);
    assert_eq!(report["opaque_nodes"], 0);
    assert_eq!(report["check"]["passed"], true);
    assert!(report["check"]["inputs_tried"].as_u64().unwrap() >= 2);
    for field in ["max_abs_error", "max_rel_error"] {
        assert!(report["check"][field].as_f64().unwrap() < 1e-9, "{report:#}");
    }
    for side in ["cost_before", "cost_after"] {
        for field in ["time_us", "flops", "bytes", "launches", "peak_memory"] {
            assert!(report[side][field].as_f64().unwrap() > 0.0, "{side}.{field}");
        }
    }
    for field in ["seconds", "pops", "graphs_explored"] {
        assert!(report["search"][field].is_number(), "{field}");
    }
    assert_eq!(report["search"]["method"], "greedy");
    assert_eq!(report["search"]["stop_reason"], "exhausted");
    assert_eq!(report["chosen"]["from"], "search");
    assert!(report["chosen"]["method_time_us"].is_number());
    // The low-rank adapters are merged: fewer nodes, less work.
    assert!(report["nodes_after"].as_u64().unwrap() < report["nodes_before"].as_u64().unwrap());
    assert!(report["cost_after"]["flops"].as_f64().unwrap() < report["cost_before"]["flops"].as_f64().unwrap());
    let applied = report["applied"].as_array().unwrap();
    assert!(!applied.is_empty() && applied.iter().all(|a| a["rule"].is_string() && a["nodes"].is_array()));
    assert!(ran.stderr.contains("wrote lora_mlp.optimised.json"), "{}", ran.stderr);
    assert_eq!(fs::read(dir.path().join(model)).unwrap(), input, "the input is never written over");

    let compared = graphopt(dir.path(), &["compare", model, "lora_mlp.optimised.json", "--device", "cpu"]).ok();
    assert!(compared.stdout.starts_with("equivalent on 3 random inputs"), "{}", compared.stdout);
    graphopt(dir.path(), &["optimise", model, "-o", "./lora_mlp.json"]).refused("never written over");
    graphopt(dir.path(), &["optimise", model, "-o", "out.txt"]).refused("ends in .onnx or .json");
    graphopt(dir.path(), &["optimise", model, "--skip-rule", "no-such-rule"]).refused("there is no rule");
}

#[test]
fn a_model_with_an_unknown_operator_and_a_named_dimension_is_optimised_around_them() {
    let dir = tempfile::tempdir().unwrap();
    let weight = |name: &str, shape: &str| {
        format!(
            r#"{{"name": "{name}", "dtype": "f32", "shape": {shape}, "data": {{"init": "normal", "seed": 7, "std": 1}}}}"#
        )
    };
    let text = format!(
        r#"{{"format": "graphopt-graph", "version": 1, "name": "t", "opset": 17, "opset_import": {{"my.domain": 1}},
        "inputs": [{{"name": "x", "dtype": "f32", "shape": ["batch", 3, 8, 8]}}], "outputs": ["y"],
        "weights": [{}, {}],
        "nodes": [{{"name": "c", "op": "Conv", "inputs": ["x", "w"], "outputs": ["a"]}},
                  {{"name": "m", "op": "Mul", "inputs": ["a", "s"], "outputs": ["b"]}},
                  {{"name": "o", "op": "Foo", "domain": "my.domain", "inputs": ["b"], "outputs": ["d"]}},
                  {{"name": "r", "op": "Relu", "inputs": ["d"], "outputs": ["y"]}}]}}"#,
        weight("w", "[4, 3, 3, 3]"),
        weight("s", "[4, 1, 1]"),
    );
    fs::write(dir.path().join("m.json"), &text).unwrap();
    let ran = graphopt(dir.path(), &["optimise", "m.json", "-o", "m.onnx", "--device", "cpu", "--json"]).ok();
    assert!(ran.stderr.contains("Foo"), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!([&report["nodes_before"], &report["nodes_after"], &report["opaque_nodes"]], [4, 3, 1]);
    assert!(report["chosen"]["not_measured"].is_string());
    let compared = graphopt(dir.path(), &["compare", "m.json", "m.onnx", "--dim", "batch=3"]).ok().stdout;
    assert!(compared.contains("not compared: output \"y\""), "{compared}");
    graphopt(dir.path(), &["optimise", "m.json", "--dim", "bach=3"]).refused("batch");
    // Nobody can run it: another operator, or another attribute, is another function.
    for (changed, told) in [
        (text.replace("\"Foo\"", "\"Bar\""), "is my.domain.Foo and my.domain.Bar"),
        (
            text.replace("\"my.domain\",", "\"my.domain\", \"attrs\": {\"alpha\": {\"int\": 2}},"),
            "has another \"alpha\"",
        ),
    ] {
        assert_ne!(changed, text);
        fs::write(dir.path().join("changed.json"), changed).unwrap();
        let ran = graphopt(dir.path(), &["compare", "m.json", "changed.json", "--dim", "batch=3"]);
        assert!(ran.code == 1 && ran.stdout.contains(told), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    let args = ["optimize", model, "--dry-run", "--no-measure", "--search", "greedy", "--stop-after", "1"];
    let ran = graphopt(dir.path(), &args).ok();
    assert!(ran.stdout.contains("stop after") && ran.stdout.contains("equivalent on"), "{}", ran.stdout);
    assert!(ran.stdout.contains("nodes") && ran.stdout.contains("launches"), "{}", ran.stdout);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [model]);
}

#[test]
fn latency_is_learned_and_what_was_measured_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    let args =
        ["optimise", model, "--dry-run", "--device", "cpu", "--search", "greedy", "--learn-latency", "3", "--json"];
    let learned = &graphopt(dir.path(), &args).ok().json()["learned_latency"];
    assert_eq!(learned["measurements"], 3);
    let graphs = learned["graphs"].as_array().unwrap();
    assert_eq!(graphs.len(), 3);
    for key in ["estimate", "predicted", "disagreement", "measured", "standard_error"] {
        assert!(graphs.iter().all(|graph| graph[key].as_f64().unwrap() >= 0.0), "{key}");
    }
    let text = graphopt(dir.path(), &args[..args.len() - 1]).ok().stdout;
    assert!(text.contains("learned latency: 3 measurements"), "{text}");
    for (bad, says) in [("0", "1..=10000"), ("-1", "-1"), ("many", "many"), ("10001", "1..=10000")] {
        let ran = graphopt(dir.path(), &["optimise", model, "--learn-latency", bad]);
        assert!(ran.code == 2 && ran.stderr.contains(says), "{}", ran.stderr);
    }
    let both = graphopt(dir.path(), &["optimise", model, "--learn-latency", "3", "--no-measure"]);
    assert!(both.code == 2 && both.stderr.contains("--no-measure"), "{}", both.stderr);
}

#[test]
fn what_was_learned_is_kept_and_corrects_costs_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    let run = |args: &[&str]| graphopt(dir.path(), args);
    let learn = ["optimise", model, "--dry-run", "--device", "cpu", "--search", "greedy", "--learn-latency", "3"];
    run(&[&learn[..], &["--latency-out", "law.json"]].concat()).ok();
    let law: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("law.json")).unwrap()).unwrap();
    assert_eq!(
        (&law["format"], &law["version"], &law["model"]),
        (&"graphopt-latency".into(), &1.into(), &model.into())
    );
    assert_eq!(law["measurements"].as_array().unwrap().len(), 3);

    let use_it = ["optimise", model, "--dry-run", "--no-measure", "--device", "cpu", "--json", "--latency", "law.json"];
    let corrected = run(&use_it).ok();
    assert_eq!(corrected.json()["cost_model"], "roofline (cpu), corrected by measurements");
    assert!(!corrected.stderr.contains("warning"), "{}", corrected.stderr);
    let time = |ran: &Ran| ran.json()["cost_before"]["time_us"].as_f64().unwrap();
    let plain = run(&use_it[..use_it.len() - 2]).ok();
    assert!((time(&corrected) - time(&plain)).abs() > 1e-9, "costs are corrected");
    let evaluate = ["evaluate", model, "--budget", "3", "--seeds", "1", "--latency", "law.json", "--json"];
    let start_us = run(&evaluate).ok().json()["runs"][0]["start_us"].as_f64().unwrap();
    assert!((start_us - time(&corrected)).abs() < 1e-6, "{start_us} {}", time(&corrected));

    let other = run(&["evaluate", "lora_mlp", "--budget", "1", "--seeds", "1", "--latency", "law.json"]);
    assert!(other.stderr.contains(&format!("law.json: it was learned on {model}")), "{}", other.stderr);
    let elsewhere = fs::read_to_string(dir.path().join("law.json")).unwrap().replace("\"threads\":", "\"threads\":7");
    fs::write(dir.path().join("elsewhere.json"), elsewhere).unwrap();
    let mut args = use_it;
    args[8] = "elsewhere.json";
    assert!(run(&args).ok().stderr.contains("elsewhere.json: it was measured on"));
    args[6] = "--cost=measured";
    let refused = run(&args);
    assert!(refused.code == 2 && refused.stderr.contains("elsewhere.json: costs: it corrects"), "{}", refused.stderr);
    for (name, text, says) in [
        ("empty.json", "", "this is no file of learned latency"),
        ("other.json", r#"{"format": "graphopt-run", "version": 1}"#, "format: expected graphopt-latency"),
        ("cut.json", r#"{"format": "graphopt-latency", "version": 1}"#, "missing field"),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
        for command in
            [&["optimise", model, "--dry-run"][..], &["evaluate", model], &["train-agent", model, "--out", "x"]]
        {
            let ran = run(&[command, &["--latency", name, "--device", "cpu"]].concat());
            assert!(ran.code == 2 && ran.stderr.contains(name) && ran.stderr.contains(says), "{}", ran.stderr);
            assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        }
    }
    let onto_itself = run(&[&learn[..], &["--latency-out", model]].concat());
    assert!(onto_itself.code == 2 && onto_itself.stderr.contains("reads this file"), "{}", onto_itself.stderr);
    let nothing_learned = run(&["optimise", model, "--dry-run", "--latency-out", "law.json"]);
    assert!(nothing_learned.code == 2 && nothing_learned.stderr.contains("--learn-latency"));

    let train = |law: &[&str]| {
        let args =
            ["train-agent", model, "--out", "run", "--preset", "debug", "--total-timesteps", "128", "--device", "cpu"];
        run(&[&args[..], law].concat())
    };
    train(&["--latency", "law.json"]).ok();
    let config = fs::read_to_string(dir.path().join("run/config.json")).unwrap();
    assert!(config.contains("\"latency\": \""), "{config}");
    let other = train(&[]);
    assert!(other.code == 2 && other.stderr.contains("latency: there"), "{}", other.stderr);
}

#[test]
fn graphs_that_differ_are_told_apart_with_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    let text = fs::read_to_string(dir.path().join(model)).unwrap();
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    let nodes = changed["nodes"].as_array_mut().unwrap();
    let scaled = nodes.iter_mut().find(|n| n["op"] == "Add").unwrap();
    scaled["op"] = "Sub".into();
    fs::write(dir.path().join("changed.json"), changed.to_string()).unwrap();
    let ran = graphopt(dir.path(), &["compare", model, "changed.json", "--device", "cpu", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["passed"], false);
    assert!(!report["differences"].as_array().unwrap().is_empty());
}

#[test]
fn conversion_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    graphopt(dir.path(), &["convert", model, "a.onnx"]).ok();
    graphopt(dir.path(), &["convert", "a.onnx", "b.json"]).ok();
    let ran = graphopt(dir.path(), &["convert", "b.json", "b.onnx"]).ok();
    assert_eq!(ran.stdout, "", "notes go to stderr");
    assert!(fs::read(dir.path().join("a.onnx")).unwrap() == fs::read(dir.path().join("b.onnx")).unwrap());
}

#[test]
fn faults_of_the_input_are_one_message_with_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let head = r#""format": "graphopt-graph", "version": 1, "name": "t", "opset": 17"#;
    let x = r#""inputs": [{"name": "x", "dtype": "f32", "shape": [2]}], "weights": [], "outputs": ["y"]"#;
    write("cut.json", r#"{"format": "graphopt-graph", "ver"#);
    write("cut.onnx", "\u{8}\u{7}:\u{7f}");
    let node = r#"{"name": "bad", "op": "Relu", "inputs": ["nothing"], "outputs": ["y"]}"#;
    write("undefined.json", &format!("{{{head}, {x}, \"nodes\": [{node}]}}"));
    let node = r#"{"name": "bad", "op": "Relu", "inputs": ["y"], "outputs": ["y"]}"#;
    write("cycle.json", &format!("{{{head}, {x}, \"nodes\": [{node}]}}"));
    graphopt(dir.path(), &["inspect", "absent.onnx"]).refused("absent.onnx");
    graphopt(dir.path(), &["inspect", "cut.json"]).refused("cut.json");
    graphopt(dir.path(), &["optimise", "cut.onnx"]).refused("cut.onnx");
    graphopt(dir.path(), &["optimise", "undefined.json"]).refused("\"nothing\"");
    graphopt(dir.path(), &["inspect", "cycle.json"]).refused("\"bad\"");
    graphopt(dir.path(), &["inspect", "lora_nlp"]).refused("lora_nlp");
    graphopt(dir.path(), &["models", "lora_mlp", "--set", "hidden=0"]).refused("hidden");
    graphopt(dir.path(), &["verify-substitutions", "undefined.json"]).refused("graphopt-substitutions");
    graphopt(dir.path(), &["optimise", "lora_mlp", "--search", "greedy", "--agent", "a"]).refused("--search greedy");
    let last = u64::MAX.to_string();
    graphopt(dir.path(), &["evaluate", "lora_mlp", "--device", "cpu", "--seed", &last]).refused("--seed");
    let train = ["train-agent", "lora_mlp", "--out", "run", "--preset", "debug", "--weights", "0", "0", "0"];
    graphopt(dir.path(), &train).refused("--weights");
    let usage = graphopt(dir.path(), &["optimise", "m.onnx", "--alpha", "0.5"]);
    assert!(usage.code == 2 && usage.stderr.contains("at least 1"), "{}", usage.stderr);
}

#[test]
fn nothing_that_is_there_is_lost_to_an_output() {
    let dir = tempfile::tempdir().unwrap();
    let model = write_small_model(dir.path());
    let before = fs::read(dir.path().join(model)).unwrap();
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/agent.safetensors"), "an agent").unwrap();
    graphopt(dir.path(), &["inspect", model, "--dot", model]).refused("reads this file");
    graphopt(dir.path(), &["inspect", model, "--html", "a", "--dot", "./a"]).refused("another of its outputs");
    graphopt(dir.path(), &["optimise", model, "-o", model]).refused("never written over");
    let generate = ["gen-substitutions", "--max-ops", "1", "-o"];
    graphopt(dir.path(), &[&generate[..], &[model]].concat()).refused("no graphopt-substitutions");
    graphopt(dir.path(), &[&generate[..], &["q.json", "--left-out", "q.json"]].concat()).refused("q.json");
    fs::write(dir.path().join("q.unproved.json"), &before).unwrap();
    graphopt(dir.path(), &[&generate[..], &["q.json"]].concat()).refused("q.unproved.json");
    for command in ["train-agent", "train-world-model"] {
        let train = |out: &str, more: &[&str]| {
            graphopt(
                dir.path(),
                &[&[command, model, "--preset", "debug", "--device", "cpu", "--out", out], more].concat(),
            )
        };
        train("mine", &[]).refused("mine/agent.safetensors");
        train(model, &[]).refused(model);
        let all = ["residual", "branching", "reparameterised", "recurrent", "transformer", "adapter"];
        let held_out: Vec<&str> = all.iter().flat_map(|kind| ["--hold-out", kind]).collect();
        train("none", &[&["--draw", "2"][..], &held_out].concat()).refused("--hold-out");
    }
    assert_eq!(fs::read(dir.path().join("mine/agent.safetensors")).unwrap(), b"an agent");
    assert!(before == fs::read(dir.path().join(model)).unwrap() && !dir.path().join("none").exists());
    assert!(before == fs::read(dir.path().join("q.unproved.json")).unwrap());
}

#[test]
fn models_rules_and_files_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let models = graphopt(dir.path(), &["models", "--json"]).ok().json();
    let models = models["models"].as_array().unwrap();
    let resnet = models.iter().find(|m| m["name"] == "resnet18").expect("resnet18 is listed");
    assert_eq!(resnet["parameters"], 11_689_512, "torchvision's count");
    let model = write_small_model(dir.path());

    let args = ["inspect", model, "--json", "--dot", "g.dot", "--html", "g.html"];
    let found = graphopt(dir.path(), &args).ok().json();
    assert!(found["nodes"].as_u64().unwrap() > 0 && found["operators"][0]["cost"]["time_us"].is_number());
    assert!(found["matches"].as_array().unwrap().iter().all(|m| m["matches"].as_u64().unwrap() > 0));
    assert!(fs::read_to_string(dir.path().join("g.dot")).unwrap().starts_with("digraph"));
    assert!(fs::read_to_string(dir.path().join("g.html")).unwrap().ends_with("</html>\n"));

    let rules = graphopt(dir.path(), &["explain", "--json"]).ok();
    fs::write(dir.path().join("rules.json"), &rules.stdout).unwrap();
    let rules = rules.json();
    let name = rules["substitutions"][0]["name"].as_str().unwrap();
    let explained = graphopt(dir.path(), &["explain", name]).ok().stdout;
    assert!(explained.starts_with(name) && explained.contains("replaces it by"), "{explained}");
    assert!(graphopt(dir.path(), &["explain", name, "--dot"]).ok().stdout.starts_with("digraph"));
    graphopt(dir.path(), &["verify-substitutions", "rules.json"]).ok();

    let profile = graphopt(dir.path(), &["profile", model, "--device", "cpu", "--time", "0.2", "--json"]).ok().json();
    assert!(profile["nodes"].as_array().unwrap().iter().all(|n| n["median_us"].as_f64().unwrap() > 0.0));
    assert!(fs::read_dir(dir.path().join("cache/graphopt")).unwrap().count() == 1, "measured costs are kept");
    let args = ["optimise", model, "--device", "cpu", "--cost", "measured", "--no-measure", "--dry-run", "--json"];
    let report = graphopt(dir.path(), &args).ok().json();
    assert!(report["cost_model"].as_str().unwrap().contains("measured"), "{}", report["cost_model"]);
}

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
