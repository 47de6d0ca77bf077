//! Steering a running sandbox over HTTP: `/_sandbox/faults`.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    asked::Asked,
    fault::{Fault, Faults},
    reply::Reply,
};

pub(super) const PATH: &str = "/_sandbox/faults";

/// The most that are planned over HTTP: every request looks through all of them.
const MOST: usize = 10_000;

/// POST plans, one fault a line; DELETE clears; each of them, and GET, answers what is planned then.
pub(super) fn answer(faults: &Faults, asked: &Asked) -> Reply {
    match asked.method {
        Method::GET => {}
        Method::DELETE => faults.clear(),
        Method::POST => match read(&asked.body) {
            Ok(planned) if faults.planned().len() + planned.len() > MOST => {
                let why = format!("no more than {MOST} faults are planned at once: DELETE clears them");
                return Reply::application_error(400, "TOO_MANY_FAULTS", &why);
            }
            Ok(planned) => planned.into_iter().for_each(|fault| faults.plan(fault)),
            Err(why) => return Reply::application_error(400, "NO_FAULT", &why),
        },
        _ => {
            return Reply::application_error(
                405,
                "NO_SUCH_METHOD",
                "GET shows, POST plans and DELETE clears the faults",
            );
        }
    }
    let planned: Vec<Value> = faults.planned().iter().map(Fault::summary).collect();
    Reply::json(200, &json!({ "faults": planned }))
}

/// All of them, or none.
fn read(body: &[u8]) -> Result<Vec<Fault>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the faults are not UTF-8".to_owned())?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let faults: Vec<Fault> =
        lines.map(str::parse).collect::<Result<_, _>>().map_err(|error: super::FaultTextError| error.to_string())?;
    if faults.is_empty() {
        return Err(format!("there is no fault in the body. {}", Fault::grammar()));
    }
    Ok(faults)
}
