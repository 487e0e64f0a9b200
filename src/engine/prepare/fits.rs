//! Whether a record belongs to the requested job; and if not, how the two differ.

use crate::durable::record::Record;
use crate::error::{Advice, Error, Result};
use crate::task::erased::AnyJob;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) fn is_same_job(job: &dyn AnyJob, record: &Record, state: &Path) -> Result<()> {
    let difference = if record.job != job.name() {
        format!("the state belongs to another job: it was made by `{}`, not by `{}`", record.job, job.name())
    } else if record.fingerprint != job.fingerprint() {
        let (was, is) = (job.describe(&record.fingerprint), job.describe(&job.fingerprint()));
        let differences = match (was, is) {
            (Some(was), Some(is)) => format!("it was {was}, and is {is}"),
            (_, _) => {
                let mut differences = Vec::new();
                differ("", &record.fingerprint, &job.fingerprint(), &mut differences);
                differences.join("; ")
            }
        };
        format!("was begun with other options: {differences}")
    } else {
        return Ok(());
    };
    Err(Error::refused(state.display(), difference)
        .advise("use another output")
        .or(Advice::NameAnotherState)
        .or(Advice::StartAfresh))
}

/// Names every place in which two descriptions differ, with both values.
fn differ(place: &str, was: &Value, is: &Value, differences: &mut Vec<String>) {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                let of = |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                differ(&place, &of(was), &of(is), differences);
            }
        }
        (was, is) if was == is => {}
        (was, is) if place.is_empty() => differences.push(format!("they were {was} and are {is}")),
        (was, is) => differences.push(format!("{place} was {was} and is {is}")),
    }
}
