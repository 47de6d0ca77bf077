//! What campaigns came to, in words; and the part of `docs/guarantees.md` that says it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::outage::Outage;
use crate::plan::fault::Fault;
use crate::plan::{Behaviour, Campaign};
use crate::verdict::totals::{KINDS, Share, Totals, Why, named};

const BEGIN: &str = "<!-- simulation:begin -->";
const END: &str = "<!-- simulation:end -->";
const HEADING: &str = "# Guarantees\n";

/// One campaign that was run.
#[derive(Debug)]
pub struct Run {
    /// Which.
    pub campaign: Campaign,
    /// The first seed.
    pub from: u64,
    /// What it came to.
    pub totals: Totals,
    /// How long it took.
    pub took: Duration,
}

fn thousands(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl Run {
    /// What it came to, as Markdown.
    pub fn told(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.tell(&mut out);
        out
    }

    fn tell(&self, out: &mut String) -> std::fmt::Result {
        let totals = &self.totals;
        let years = totals.time / (365 * 24 * 3_600_000);
        writeln!(
            out,
            "**Campaign {}**: {} seeds from {}, {} simulated years, up to {} instances and {} visitors; {} visitors judged, \
             each at the end of a time of faults; {:.0} min.\n",
            self.campaign.name(),
            thousands(totals.runs),
            self.from,
            thousands(years),
            totals.largest.0,
            thousands(u128::try_from(totals.largest.1).unwrap_or(0)),
            thousands(totals.judged),
            self.took.as_secs_f64() / 60.0,
        )?;
        writeln!(out, "| injected | times | injected | times |\n| --- | ---: | --- | ---: |")?;
        for pair in Fault::ALL.chunks(2) {
            let cells: Vec<_> = pair
                .iter()
                .map(|fault| format!("{} | {}", fault.name(), thousands(totals.injected[*fault as usize])))
                .collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
        let [mints, renewals, again, refused, failed] = totals.asked.map(thousands);
        let [served, errors, losses, searched] = totals.told.map(thousands);
        writeln!(
            out,
            "\nAsked of the endpoint: {mints} mints, {renewals} renewals ({again} with a token spent before), {refused} refused, \
             {failed} failed on purpose. Callers: {served} served, {errors} told of an error. {losses} events spoke of a loss, \
             for the moment or for good."
        )?;
        writeln!(
            out,
            "Searched for secrets: {searched} errors, events and lines of traces; {} runs with all that they trace.",
            thousands(totals.traced)
        )?;
        match self.campaign {
            Campaign::Ok => self.verdict(out),
            Campaign::Rest => self.losses(out),
        }
    }

    fn verdict(&self, out: &mut String) -> std::fmt::Result {
        use crate::verdict::judge::Breach::{Behind, Leaked, Lost, Mixed, NotServed, Returned, Unkept};
        let totals = &self.totals;
        let [lost, mixed, leaked, returned, behind, unserved, unkept] =
            [Lost, Mixed, Leaked, Returned, Behind, NotServed, Unkept].map(|breach| totals.broken[breach as usize]);
        writeln!(
            out,
            "\n**{lost} visitors lost, {mixed} identities mixed, {leaked} secrets printed**; {returned} forgotten and back, \
             {behind} calls answered with what was there before a sign-in or forget on the same instance, {unserved} not served in the end, {unkept} not in the store. Seeds in which everything holds: {} of {}. New visitors \
             that were served before the store could be reached, and gave way to another instance's: {}.\n\n\
             What is taken for granted: where a spent token works for a while only, somebody renews within that while after it \
             was spent in vain, and within half an hour with a single-use one; a pause is no longer than that; a failover takes \
             back neither a visitor's first record, which nobody else knows, nor what the application did twice over, or where no \
             process that was told of it lives until it is put back.",
            thousands(totals.clean),
            thousands(totals.runs),
            thousands(totals.given_up),
        )
    }

    fn losses(&self, out: &mut String) -> std::fmt::Result {
        let totals = &self.totals;
        let sum = |share: &Share| share.lost.values().sum::<u64>();
        let lost: u64 = totals.losses.values().map(sum).sum();
        writeln!(
            out,
            "\n{} of {} visitors were lost, each for a reason that is explained above.\n",
            thousands(lost),
            thousands(totals.judged)
        )?;
        let heads = Behaviour::ALL.map(Behaviour::name).join(" | ");
        writeln!(out, "| why | {heads} |\n| --- | ---: | ---: | ---: | ---: |")?;
        for (why, counts) in totals.reasons() {
            writeln!(out, "| {} | {} |", why.name(), counts.map(thousands).join(" | "))?;
        }
        writeln!(out, "\n| faults that met | {heads} | why |\n| --- | ---: | ---: | ---: | ---: | --- |")?;
        let at = |row, behaviour| totals.losses.get(&(row, behaviour));
        let all =
            |row: &usize| Behaviour::ALL.iter().filter_map(|behaviour| at(*row, *behaviour)).map(sum).sum::<u64>();
        let mut rows: Vec<usize> = (0..1 << KINDS.len()).filter(|row| all(row) > 0).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(all(row)));
        for row in rows {
            let cells = Behaviour::ALL.map(|behaviour| {
                at(row, behaviour).map_or_else(
                    || "–".to_owned(),
                    |share| format!("{} of {}", thousands(sum(share)), thousands(share.judged)),
                )
            });
            let mut reasons: BTreeMap<Why, u64> = BTreeMap::new();
            for share in Behaviour::ALL.iter().filter_map(|behaviour| at(row, *behaviour)) {
                share.lost.iter().for_each(|(why, count)| *reasons.entry(*why).or_default() += count);
            }
            let reasons: Vec<_> =
                reasons.into_iter().map(|(why, count)| format!("{} {}", thousands(count), why.name())).collect();
            writeln!(out, "| {} | {} | {} |", named(row), cells.join(" | "), reasons.join("; "))?;
        }
        Ok(())
    }
}

/// What an outage came to, in a sentence or two.
pub fn outage(outage: &Outage) -> String {
    format!(
        "**A dead endpoint**: {} visitors on four instances, no grant for {} hours. {} calls meanwhile led to {} grants, at most {} \
         for one visitor, where the pauses allow {}. After it {} visitors are served with their own identity again, {} are not.\n",
        thousands(u128::try_from(outage.visitors).unwrap_or(0)),
        outage.dead / 3_600_000,
        thousands(outage.calls),
        thousands(outage.grants),
        outage.most,
        outage.bound,
        thousands(u128::try_from(outage.well).unwrap_or(0)),
        outage.visitors - outage.well,
    )
}

/// Puts this between the marks of the document, which is begun if it is not there.
///
/// # Errors
/// What keeps the file from being written.
pub fn write(path: &Path, command: &str, text: &str) -> std::io::Result<()> {
    let document = match std::fs::read_to_string(path) {
        Ok(document) => document,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => format!("{HEADING}\n{BEGIN}\n{END}\n"),
        Err(error) => return Err(error),
    };
    let document = if document.contains(BEGIN) { document } else { format!("{document}\n{BEGIN}\n{END}\n") };
    let (before, rest) = document.split_once(BEGIN).unwrap_or((&document, ""));
    let after = rest.split_once(END).map_or("\n", |(_, after)| after);
    let date = jiff::Timestamp::now().to_string();
    let date = date.split('T').next().unwrap_or_default();
    let text = format!(
        "{before}{BEGIN}\nWritten by `{command}` on {date}, at commit {}.\n\n{text}{END}{after}",
        commit().unwrap_or_else(|| "unknown".to_owned())
    );
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    let id = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{id}, with changes") } else { id })
}
