//! temporary
use std::sync::Arc;
use wix_visitor_simulation::{draft::draft, plan::Campaign, run::{Scrutiny, run}};
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (from, n, log) = (args[0], args[1], args.get(2) == Some(&1));
    let t = std::time::Instant::now();
    let mut bad = 0;
    for seed in from..from + n {
        let plan = Arc::new(draft(seed, Campaign::Ok));
        let o = run(&plan, Scrutiny { log, search: false, trace: false });
        for l in &o.log { println!("{l}"); }
        if !o.findings.is_empty() { bad += 1; if bad < 30 { println!("{seed} {:?} {:?}", plan.site, plan.nodes.len()); for f in o.findings.iter().take(3) { println!("   {f:?}"); } } }
        if log { println!("{:?} {:?} {:?} judged {}", o.asked, o.told, o.injected, o.judged); }
    }
    println!("bad {bad} of {n}, {:?} per seed", t.elapsed() / n as u32);
}
