//! `bivouac report`: the picture of a job, as a page or as SVG.

use crate::cli::args::verbs::ReportArgs;
use crate::cli::discover::the_last;
use crate::cli::picture;
use crate::cli::terminal;
use bivouac::ending::FINISHED;
use bivouac::{Error, Result};
use std::fs;

pub(crate) fn run(report: &ReportArgs) -> Result<u8> {
    let named = report.states.iter().map(|state| the_last(Some(state.as_path()), |_| true));
    let mut states = named.collect::<Result<Vec<_>>>()?;
    if states.is_empty() {
        states.push(the_last(None, |_| true)?);
    }
    let text = if report.svg { picture::svg(&states)? } else { picture::page(&states)? };
    match &report.output {
        Some(path) => fs::write(path, text).map_err(|e| Error::named(path, "write", &e))?,
        None => terminal::result(text.as_bytes())?,
    }
    Ok(FINISHED)
}
