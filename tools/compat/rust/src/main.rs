//! Runs the scenarios of the rdkafka crate with librdkafka 1.9 against a Kafka-protocol server.
//!
//! One JSON request per line on stdin, one JSON answer per line on stdout; what they are says
//! harness/clients.py.

mod admin;
mod consume;
mod produce;
mod run;

use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use run::Run;

type Scenario = (&'static str, fn(&Run));

fn main() {
    // Failures are answers, not noise.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("a panic");
        *run::FAILURE.lock().unwrap() = format!("{text}\nat {at}");
    }));
    let scenarios: Vec<Scenario> =
        [produce::SCENARIOS, consume::SCENARIOS, admin::SCENARIOS].concat();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = if request["list"] == true {
            let names: Vec<&str> = scenarios.iter().map(|(name, _)| *name).collect();
            let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
            json!({"scenarios": names, "version": format!("librdkafka {librdkafka}")})
        } else {
            perform(&scenarios, &request)
        };
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

fn perform(scenarios: &[Scenario], request: &Value) -> Value {
    let wanted = request["scenario"].as_str().unwrap_or_default();
    let Some((_, scenario)) = scenarios.iter().find(|(name, _)| *name == wanted) else {
        return json!({"failure": format!("no scenario {wanted}")});
    };
    let run = Run::new(
        request["bootstrap"].as_str().unwrap(),
        request["topic"].as_str().unwrap(),
        request["brokers"].as_u64().unwrap() as usize,
    );
    match catch_unwind(AssertUnwindSafe(|| scenario(&run))) {
        Ok(()) => json!({"ok": true, "lines": run.lines()}),
        Err(_) => json!({"failure": run::FAILURE.lock().unwrap().clone()}),
    }
}
