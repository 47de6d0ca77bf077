//! `inspect`: all of a record but its secrets.

use serde_json::{Value, json};
use wix_visitor::housekeeping::{Holding, Housekeeper, Inspection};
use wix_visitor::{StoreKey, Timestamp};

use super::list::site_of;
use crate::args::SiteArgs;
use crate::exit::{Exit, Failure};
use crate::moment::{absolute, span};
use crate::output::{Console, Out};
use crate::progress::of_store;
use crate::setup::{Target, client_id, refuse_two_targets};
use crate::store_choice::StoreChoice;

/// How many keys are looked through at once.
const PAGE: usize = 1000;
/// As many digits as tell any two visitors apart.
const DIGITS: usize = 16;

pub(super) async fn run(args: &SiteArgs, console: Console, hash: Option<&str>) -> Result<Exit, Failure> {
    let choice = StoreChoice::of(args).await?;
    let mut housekeeper = choice.housekeeper().await?;
    let key = match hash {
        Some(digits) => {
            if args.client_id.is_some() {
                housekeeper = housekeeper.site(client_id(args)?);
            }
            find(&housekeeper, digits).await?
        }
        None => {
            refuse_two_targets(args)?;
            let target = Target::of(args, &choice, console).await?;
            let key = StoreKey::new(target.issuer(), &client_id(args)?, &args.visitor);
            target.close().await;
            key
        }
    };
    let found = housekeeper.inspect(&key).await.map_err(of_store)?;
    let Some(found) = found else {
        let message = format!("there is no record of visitor {}", key.visitor_id());
        return Err(Failure::new(Exit::Other, "no_record", message).advise("`wix-visitor list` shows who has one"));
    };
    let fields = fields(&found);
    let mut out = Out::new();
    if console.is_json() {
        let fields = fields.into_iter().map(|(name, value)| (name.replace(' ', "_"), value));
        out.json(&Value::Object(fields.collect())).await?;
    } else {
        let line = |(name, value): &(&str, Value)| match value {
            Value::String(text) => format!("{name:<20}{text}\n"),
            Value::Null => format!("{name:<20}none\n"),
            other => format!("{name:<20}{other}\n"),
        };
        out.write(fields.iter().map(line).collect::<String>().as_bytes()).await?;
    }
    Ok(Exit::Done)
}

/// The one visitor whose hash begins with these digits.
async fn find(housekeeper: &Housekeeper, digits: &str) -> Result<StoreKey, Failure> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::usage("a visitor is named by the first digits of its hash, such as 5eed0a1b"));
    }
    let digits = digits.to_ascii_lowercase();
    let (mut found, mut from) = (Vec::<StoreKey>::new(), None);
    loop {
        let page = housekeeper.list(from.as_ref(), PAGE).await.map_err(of_store)?;
        found.extend(page.keys.into_iter().filter(|key| hash_of(key).starts_with(&digits)));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    match &found[..] {
        [] => {
            Err(Failure::new(Exit::Other, "no_record", format!("there is no visitor whose hash begins with {digits}"))
                .advise("`wix-visitor list` shows who there is"))
        }
        [one] => Ok(one.clone()),
        several => {
            let names: Vec<_> = several.iter().take(5).map(|key| hash_of(key).chars().take(DIGITS).collect()).collect();
            let names: Vec<String> = names;
            let message =
                format!("the hashes of {} visitors begin with {digits}: {} …", several.len(), names.join(", "));
            Err(Failure::usage(message).advise("give more digits"))
        }
    }
}

fn hash_of(key: &StoreKey) -> &str {
    key.as_str().rsplit('/').next().unwrap_or_default()
}

fn at(moment: Timestamp) -> Value {
    absolute(moment).map_or_else(|| json!(moment.as_millis()), Value::String)
}

fn fields(found: &Inspection) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("visitor", json!(found.key.visitor_id().to_string())),
        ("client id", json!(site_of(&found.key))),
        ("etag", json!(format!("{:032x}", found.etag.to_bits()))),
        ("bytes", json!(found.bytes)),
        ("sealed by", json!(found.sealed_by)),
        ("epoch", json!(found.epoch)),
    ];
    match &found.holding {
        Holding::Nothing => fields.push(("holds", json!("nothing yet"))),
        Holding::Forgotten { lineage } => {
            fields.extend([("holds", json!("that the visitor was forgotten")), ("lineage", json!(lineage))]);
        }
        Holding::Retired { lineage, since } => fields.extend([
            ("holds", json!("that the visitor was retired")),
            ("lineage", json!(lineage)),
            ("since", at(*since)),
        ]),
        Holding::Tokens {
            lineage,
            generation,
            replaces,
            began,
            role,
            access,
            refresh,
            lifetime,
            refused,
            alternates,
            spent,
            doubts,
            ..
        } => fields.extend([
            ("holds", json!("tokens")),
            ("role", json!(role.to_string())),
            ("lineage", json!(lineage)),
            ("generation", json!(generation)),
            ("replaces", json!(replaces.as_ref().map(|(lineage, generation)| format!("{generation} of {lineage}")))),
            ("began", at(*began)),
            ("access token ends", access.map_or(Value::Null, |(ends, _)| at(ends))),
            ("access token size", json!(access.map(|(_, size)| size))),
            ("refresh token size", json!(refresh)),
            ("lifetime", json!(span(*lifetime))),
            ("refused", json!(refused)),
            ("alternates", json!(alternates)),
            ("spent", json!(spent)),
            ("doubts", json!(doubts.map(|(count, _, _)| count))),
            ("doubts since", doubts.map_or(Value::Null, |(_, since, _)| at(since))),
        ]),
        _ => fields.push(("holds", json!("something that a later release knows"))),
    }
    fields.extend([
        ("claim", json!(found.claim)),
        ("failures", json!(found.failures)),
        ("last error", json!(found.last_error)),
        ("paused until", found.paused_until.map_or(Value::Null, at)),
    ]);
    fields
}
