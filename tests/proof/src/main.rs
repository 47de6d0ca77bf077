//! `wix-visitor-proof`: runs the proofs.
#![allow(clippy::print_stdout, reason = "what it finds out is read on stdout")]
use wix_visitor_proof::model::{Behaviour, Config, Fault, Start, explore, replay};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: usize = args[1].parse().unwrap();
    let rounds: usize = args[2].parse().unwrap();
    let pairs = args[3] == "pairs";
    let start = if args[4] == "absent" { Start::Absent } else { Start::Visitor };
    let life: u64 = args[5].parse().unwrap();
    let total = std::time::Instant::now();
    let mut states = 0;
    let mut sets: Vec<Vec<Fault>> = vec![vec![]];
    sets.extend(Fault::ALL.map(|f| vec![f]));
    if pairs { sets.clear(); for (i, a) in Fault::ALL.into_iter().enumerate() { for b in &Fault::ALL[i..] { sets.push(vec![a, *b]); } } }
    for faults in sets {
        let mut cells = vec![];
        let mut details = vec![];
        for behaviour in Behaviour::ALL {
            let mut config = Config::new(behaviour, &faults);
            config.instances = n;
            config.rounds = vec![wix_visitor_proof::model::Call::Serve; rounds];
            config.start = start; config.life = life;
            let e = explore(&config, 4_000_000);
            states += e.states;
            cells.push(format!("{:?}{} {}k", e.found.keys().collect::<Vec<_>>(), if e.cut {" CUT"} else {""}, e.states/1000));
            for (f, (_, path)) in &e.found { if args[6..].iter().any(|a| *a == format!("{behaviour:?}{f:?}")) {
                details.push(format!("   {behaviour:?} {f:?}"));
                for line in replay(&config, path) { details.push(format!("      {line}")); }
            } }
        }
        println!("{faults:?} | {}", cells.join(" | "));
        for d in details { println!("{d}"); }
    }
    println!("{states} states, {:?}", total.elapsed());
}
