//! The program as its users meet it: exit codes, what goes to stdout and stderr, files that are written.
//! Each process loads libtorch, which takes a while: few processes, several assertions each.

mod program;

use std::fs;

use program::{Ran, graphopt, write_small_model};
use serde_json::Value;

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
    graphopt(dir.path(), &["verify-substitutions", model, "--smt-lib", model]).refused("reads this file");
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
