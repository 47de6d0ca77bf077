//! Whether the servers are set up to keep what they are given. As far as they say: the store works without these rights.

use std::collections::BTreeSet;

use redis::Value;

use crate::link::Live;

/// What is said where there was no time to look.
pub(crate) const NOT_SEEN: &str = "whether Redis keeps what it is given was not to be found out within the timeout: see that \
                                   maxmemory-policy is noeviction, and that appendonly or save points are on";

/// What is found wrong, each in a sentence.
pub(crate) async fn look(live: &Live) -> Vec<String> {
    let mut warnings = BTreeSet::new();
    let policies = setting(live, "maxmemory-policy", "memory", "maxmemory_policy").await;
    for policy in policies.iter().filter(|policy| policy.as_str() != "noeviction") {
        warnings.insert(format!(
            "maxmemory-policy is {policy}: when the memory is full Redis throws visitors away; set it to noeviction"
        ));
    }
    let logs = setting(live, "appendonly", "persistence", "aof_enabled").await;
    let saves = setting(live, "save", "", "").await;
    // Where the save points are not to be known, nothing is said against them.
    let unsaved = !saves.is_empty() && saves.iter().any(String::is_empty);
    if logs.iter().any(|log| log == "no" || log == "0") && unsaved {
        warnings.insert(
            "neither an append-only file nor save points are on: a restart of Redis loses every visitor; set appendonly yes"
                .to_owned(),
        );
    }
    if policies.is_empty() || logs.is_empty() {
        tracing::debug!("Redis does not say how it is set up: CONFIG GET and INFO are not allowed");
    }
    warnings.into_iter().collect()
}

/// What each server has for this setting, by `CONFIG GET` or else by a section of `INFO`.
async fn setting(live: &Live, name: &str, section: &str, field: &str) -> Vec<String> {
    let mut config = redis::cmd("CONFIG");
    config.arg("GET").arg(name);
    let found = live.wire.ask_each(&config).await.unwrap_or_default();
    let found: Vec<_> = found.iter().filter_map(|answer| pair(answer, name)).collect();
    if !found.is_empty() || section.is_empty() {
        return found;
    }
    let mut info = redis::cmd("INFO");
    info.arg(section);
    let found = live.wire.ask_each(&info).await.unwrap_or_default();
    found.iter().filter_map(text).filter_map(|text| line(&text, field)).collect()
}

fn pair(answer: &Value, name: &str) -> Option<String> {
    let (found, value) = match answer {
        Value::Map(pairs) => pairs.first().map(|(found, value)| (found, value))?,
        Value::Array(parts) => (parts.first()?, parts.get(1)?),
        _ => return None,
    };
    (text(found)? == name).then(|| text(value)).flatten()
}

/// A field of what `INFO` says.
pub(crate) fn line(info: &str, field: &str) -> Option<String> {
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}
