//! What was found out, in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::campaign::{Cells, Done, cells, singles};
use crate::model::{Behaviour, Fault, Start, names};
use crate::promise::{Verdict, cause};
use crate::rules::{Case, Compared};

/// The whole section.
pub fn report(all: &[Done], rules: &[(Case, Compared)], took: Duration) -> String {
    let mut text = String::new();
    let cells = cells(all);
    // Writing to a string cannot fail, here and below.
    let _ = totals(&mut text, all, took);
    text.push_str(
        "\n`ok`: in every interleaving the visitor survives, and no refresh token is redeemed twice. `ok dup`: the visitor \
         survives; in some interleaving a refresh token is redeemed twice. `lost`: in some interleaving no refresh token of the \
         visitor that still works is left in the store or in a live process, or another visitor stands in its place once \
         everybody has called again. A visitor that is new, and was served by then, is judged like any other; where that makes a \
         difference, it has a row of its own.\n\n### One fault\n\n",
    );
    let _ = table(&mut text, &cells);
    text.push_str("\n### Two faults\n\nEach strikes once, at any step. Columns are the rows' numbers; on the diagonal one fault strikes twice.\n");
    for (column, behaviour) in Behaviour::ALL.iter().enumerate() {
        let _ = matrix(&mut text, &cells, *behaviour, column);
    }
    text.push_str("\n### Why a visitor is lost there\n\n");
    let _ = losses(&mut text, &cells);
    text.push_str(
        "\nAn execution that ends in a cell is told by `cargo run --release -p wix-visitor-proof -- trace <endpoint> <fault>...`, \
         for instance `trace grace crash \"pause past the lease\"`.\n\n### What never happens\n\nIn none of these explorations, \
         whatever the faults:\n\n\
         - are tokens of two identities stored, kept as alternates or put back in one lineage (`Mixed`);\n\
         - is a forgotten visitor back, except where a failover lost the tombstone and every process that knew of it is gone (`Returned`);\n\
         - does an instance that set tokens or forgot, and was told that this is done, go back behind it while it lives, so that a later \
         call is answered with what was there before (`Behind`);\n\
         - does a new visitor that was served give way to another, except where the tables say `lost` (`Twins`);\n\
         - is a newer record overwritten by an older one, except where a failover had taken the newer one away (`Backwards`);\n\
         - is a claim taken from a holder within its lease (`Broken`), or used to send a grant after it (`Overdue`);\n\
         - is a grant sent while a late one of the same visitor may still act, except after a pause, a failover, or a sign-in \
         or forget (`Overlap`);\n\
         - does an execution go on for ever (`Livelock`), or end with somebody still waiting (`Stuck`);\n\
         - does a new visitor take more than one mint, or a renewal more than one grant, while nothing goes wrong (`ManyMints`, \
         `ManyGrants`).\n",
    );
    text.push_str("\n### What each rule is for\n\nThe same exploration with the rule and without it: what is met without it, and never with it.\n\n");
    let _ = earned(&mut text, rules);
    text.push_str(
        "\n### What the model assumes\n\n\
         - One to three instances share one visitor. A fault together with a sign-in or a forget is explored with three at the \
         endpoint that rotates with a grace only, and not together with a pause or a sleep; two of sign-in and forget with two \
         instances only.\n\
         - A store operation is one step, and so is a grant; a pause, a sleep and a crash may come between any two.\n\
         - Somebody calls in each life of an access token, and a grace lasts until all who called have their answer. An instance \
         that crashed starts again, and asks for the same again.\n\
         - A process that holds a later generation than a mint replaced looks at the store within the hour for which it may put \
         that back.\n\
         - What the application sets is a member's tokens; the simulation sets a visitor's too.\n\
         - States are told apart by 64-bit fingerprints.\n",
    );
    text
}

fn totals(text: &mut String, all: &[Done], took: Duration) -> std::fmt::Result {
    let sum = |of: fn(&Done) -> usize| all.iter().map(of).sum::<usize>();
    let depth = all.iter().map(|done| done.explored.depth).max().unwrap_or_default();
    writeln!(text, "| explorations | states | steps | quiescent ends | longest execution | took |")?;
    writeln!(text, "| --- | --- | --- | --- | --- | --- |")?;
    writeln!(
        text,
        "| {} | {} | {} | {} | {depth} steps | {} s |",
        all.len(),
        grouped(sum(|done| done.explored.states)),
        grouped(sum(|done| done.explored.steps)),
        grouped(sum(|done| done.explored.ends)),
        took.as_secs()
    )?;
    writeln!(text, "\n| of these | explorations | states |\n| --- | --- | --- |")?;
    let mut scopes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for Done { config, explored } in all {
        let callers = config.faults.contains(&Fault::Call);
        let faults = config.faults.iter().filter(|fault| **fault != Fault::Call).count();
        let faults = ["no fault", "one fault", "two faults"].get(faults).copied().unwrap_or("more faults");
        let callers = if callers { ", one more caller at any moment" } else { "" };
        let instances =
            if config.instances == 1 { "1 instance".to_owned() } else { format!("{} instances", config.instances) };
        let scope = scopes.entry(format!("{instances}{callers}, {faults}")).or_default();
        scope.0 += 1;
        scope.1 += explored.states;
    }
    for (scope, (count, states)) in scopes {
        writeln!(text, "| {scope} | {count} | {} |", grouped(states))?;
    }
    Ok(())
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn table(text: &mut String, cells: &Cells) -> std::fmt::Result {
    let heads: Vec<_> = Behaviour::ALL.iter().map(|behaviour| behaviour.name()).collect();
    writeln!(text, "| fault | {} |", heads.join(" | "))?;
    writeln!(text, "| --- |{}", " --- |".repeat(heads.len()))?;
    // A row of its own for a visitor that is new where it is worse off.
    let rows = singles().into_iter().map(|faults| (Start::Visitor, faults));
    let firsts = [Fault::FailoverOne, Fault::FailoverTwo].map(|fault| (Start::Absent, vec![fault]));
    for (start, faults) in rows.chain(firsts) {
        let found = |column| cells.get(&(start, faults.clone(), column)).map_or("not explored", |cell| cell.name());
        let row: Vec<_> = (0..heads.len()).map(found).collect();
        let first = if start == Start::Absent { ", of a visitor whose first record it takes" } else { "" };
        writeln!(text, "| {}{first} | {} |", names(&faults), row.join(" | "))?;
    }
    Ok(())
}

fn matrix(text: &mut String, cells: &Cells, behaviour: Behaviour, column: usize) -> std::fmt::Result {
    let numbers: Vec<_> = (1..=Fault::ALL.len()).map(|number| number.to_string()).collect();
    writeln!(text, "\n**{}**\n\n| | {} |", behaviour.name(), numbers.join(" | "))?;
    writeln!(text, "| --- |{}", " --- |".repeat(numbers.len()))?;
    for (row, one) in Fault::ALL.into_iter().enumerate() {
        write!(text, "| {} {} |", row + 1, one.name())?;
        for (at, other) in Fault::ALL.into_iter().enumerate() {
            let cell = cells.get(&(Start::Visitor, vec![one, other], column)).filter(|_| at >= row);
            write!(text, " {} |", cell.map_or("", |cell| cell.name()))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn losses(text: &mut String, cells: &Cells) -> std::fmt::Result {
    let mut causes: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for ((start, faults, column), _) in cells.iter().filter(|(_, found)| **found == Verdict::Lost) {
        let Some(behaviour) = Behaviour::ALL.get(*column) else { continue };
        let known = cause(*behaviour, *start, faults);
        // What loses any visitor loses a new one too, and what one failover does, it does beside other faults.
        let is_new = *start == Start::Absent;
        let by_itself = faults.len() == 1 || !faults.iter().any(|fault| fault.is_failover());
        if !is_new || by_itself && known != cause(*behaviour, Start::Visitor, faults) {
            causes.entry((known, is_new, *column)).or_default().push(names(faults));
        }
    }
    for ((cause, is_new, column), faults) in causes {
        let endpoint = Behaviour::ALL.get(column).map_or("", |behaviour| behaviour.name());
        let whose = if is_new { ", a visitor that is new" } else { "" };
        let sentence = cause.map_or("not explained", |cause| cause.sentence());
        let name = cause.map_or("", |cause| cause.name());
        writeln!(text, "- *{endpoint}{whose}*, {name}: {sentence}. {}.", faults.join("; "))?;
    }
    Ok(())
}

fn earned(text: &mut String, rules: &[(Case, Compared)]) -> std::fmt::Result {
    writeln!(text, "| rule | endpoint | faults | without it |\n| --- | --- | --- | --- |")?;
    for (case, compared) in rules {
        let worse = case.worse.iter().map(|finding| format!("`{finding:?}` {}", compared.without.count(*finding)));
        let worse: Vec<_> = worse.collect();
        let Case { rule, config, .. } = case;
        let (endpoint, faults) = (config.behaviour.name(), names(&config.faults));
        writeln!(text, "| {} | {endpoint} | {faults} | {} |", rule.name(), worse.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::run;
    use crate::model::Config;

    #[test]
    fn every_lost_cell_is_in_the_table_and_explained() {
        let configs = [Config::new(Behaviour::Single, &[Fault::Crash]), Config::new(Behaviour::Single, &[])];
        let text = report(&run(&configs, |_, _| {}), &[], Duration::from_secs(7));
        assert!(text.contains("| crash | not explored | not explored | not explored | lost |"), "{text}");
        assert!(text.contains("| no fault | not explored | not explored | not explored | ok |"), "{text}");
        let new = Config::new(Behaviour::Static, &[Fault::FailoverOne]).from(Start::Absent);
        let fresh = report(&run(&[new], |_, _| {}), &[], Duration::from_secs(7));
        assert!(
            fresh.contains("| failover, one write back, of a visitor whose first record it takes | lost |"),
            "{fresh}"
        );
        assert!(fresh.contains("- *static endpoint, a visitor that is new*, a first record forgotten:"), "{fresh}");
        assert!(
            text.contains("- *single use*, the only reply: the one refresh token") && !text.contains("not explained"),
            "{text}"
        );
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
