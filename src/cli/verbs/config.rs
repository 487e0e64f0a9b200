//! `bivouac config`: the settings that there are, and what is wrong with a file of them.

use crate::cli::args::verbs::ConfigArgs;
use crate::cli::config::{Config, keys};
use crate::cli::terminal;
use bivouac::Result;
use bivouac::ending::FINISHED;

pub(crate) fn run(args: &ConfigArgs) -> Result<u8> {
    if let Some(file) = &args.file {
        Config::read(file)?;
    }
    let text = match (args.example, args.schema) {
        (true, _) => keys::example(),
        (false, true) => format!("{:#}\n", keys::schema()),
        (false, false) => String::new(),
    };
    terminal::result(text.as_bytes()).map(|()| FINISHED)
}
