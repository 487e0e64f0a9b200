//! `bivouac report`: the picture of a job, as a page or as SVG.

use crate::cli::args::verbs::ReportArgs;
use crate::cli::discover::the_last;
use crate::cli::picture;
use crate::cli::terminal;
use bivouac::ending::FINISHED;
use bivouac::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

pub(crate) fn run(report: &ReportArgs) -> Result<u8> {
    let named = report.states.iter().map(|state| the_last(Some(state.as_path()), |_| true));
    let mut states = named.collect::<Result<Vec<_>>>()?;
    if states.is_empty() {
        states.push(the_last(None, |_| true)?);
    }
    if let Some(path) = &report.output {
        refuse_anything_else(path)?;
    }
    let text = if report.svg { picture::svg(&states)? } else { picture::page(&states)? };
    match &report.output {
        Some(path) => fs::write(path, text).map_err(|e| Error::named(path, "write", &e))?,
        None => terminal::result(text.as_bytes())?,
    }
    Ok(FINISHED)
}

/// Refuses to replace a file that is neither a page of this verb nor an SVG: `report in.txt -o` has the names the wrong way
/// round, and a report can be made again, but an input cannot.
fn refuse_anything_else(path: &Path) -> Result<()> {
    let is_filled = path.metadata().is_ok_and(|facts| facts.is_file() && facts.len() > 0);
    let mut head = Vec::new();
    if is_filled {
        let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut head));
        read.map_err(|e| Error::named(path, "open", &e))?;
    }
    let head = String::from_utf8_lossy(&head);
    if !is_filled || head.starts_with("<svg ") || head.contains("content=\"bivouac ") {
        return Ok(());
    }
    Err(Error::usage(path.display(), "exists, and is no report").advise("name another file, or remove it"))
}
