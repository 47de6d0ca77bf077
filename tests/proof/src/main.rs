//! `wix-visitor-proof`: runs the proofs.
#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]

use wix_visitor_proof::model::{Behaviour, Config, Fault, explore, replay};

fn main() {
    for behaviour in Behaviour::ALL {
        let configs: Vec<Vec<Fault>> = std::iter::once(vec![]).chain(Fault::ALL.map(|f| vec![f])).collect();
        for faults in configs {
            let config = Config::new(behaviour, &faults);
            let explored = explore(&config, 3_000_000);
            println!(
                "{}: {} states {} steps {} ends depth {} {:?}{}",
                config.title(),
                explored.states,
                explored.steps,
                explored.ends,
                explored.depth,
                explored.took,
                if explored.cut { " CUT" } else { "" }
            );
            for (finding, (count, path)) in &explored.found {
                println!("   {finding:?} x{count}");
                if std::env::args().any(|a| a == format!("{finding:?}")) {
                    for line in replay(&config, path) {
                        println!("        {line}");
                    }
                }
            }
        }
    }
}
