//! `bivouac man`: the manual, from the same definitions as `--help`.
//!
//! clap_mangen writes everything but the end: it would put the exit codes and examples into one section
//! named EXTRA, filled like prose. They are tables and commands, so this file writes the sections after the
//! options, line by line as they are.

use crate::cli::args::Cli;
use bivouac::{Error, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fs;
use std::io;
use std::path::Path;

/// Writes `bivouac.1` and one page for each verb into `directory`.
pub(crate) fn run(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(|cause| Error::io(directory, "make this directory", &cause))?;
    for (name, page) in pages() {
        let path = directory.join(name);
        page.and_then(|bytes| fs::write(&path, bytes)).map_err(|cause| Error::io(&path, "write", &cause))?;
    }
    Ok(())
}

/// File name and content of every page.
fn pages() -> impl Iterator<Item = (String, io::Result<Vec<u8>>)> {
    // `help` is for the terminal, and needs no page.
    let mut main = Cli::command().disable_help_subcommand(true);
    // Verbs learn their full names (`bivouac-grep`) and usage lines only by this.
    main.build();
    let verbs: Vec<Command> = main.get_subcommands().cloned().collect();
    std::iter::once(main).chain(verbs).map(|command| {
        let man = Man::new(command.clone())
            .source(concat!("bivouac ", env!("CARGO_PKG_VERSION")))
            .manual("User Commands");
        (man.get_filename(), page(&man, &command))
    })
}

fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    man.render_description_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut roff)?;
    }
    let rest = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    roff.extend_from_slice(sections(&rest.replace("Exit codes:", "Exit status:")).as_bytes());
    roff.extend_from_slice(sections(COMMON).as_bytes());
    let others = command.get_subcommands().map(|verb| format!("bivouac-{}(1)", verb.get_name()));
    let see: Vec<_> = match command.has_subcommands() {
        true => others.collect(),
        false => ["bivouac(1)", "parallel(1)", "xargs(1)", "signal(7)"].map(String::from).to_vec(),
    };
    roff.extend_from_slice(format!(".SH \"SEE ALSO\"\n{}\n", escape(&see.join(", "))).as_bytes());
    Ok(roff)
}

/// Sections that every page has.
const COMMON: &str = "\
Files:
  OUT.part      the output until the job is complete
  OUT.bivouac/  the state of a job with an output file
  .bivouac/     the states of other jobs that were begun here
Environment:
  NO_COLOR      no colours, if it is set and not empty
  SHELL         the shell of --shell=auto
  BIVOUAC_SEQ   in a command: the number of its task, from 1
  BIVOUAC_SLOT  in a command: the slot in which it runs
";

/// The longest heading. A longer line with a colon at its end leads to what follows it.
const LONGEST_HEADING: usize = 40;

/// The end of a help text as sections of a manual page: a heading where a short line at the margin ends
/// with a colon, everything else as it is.
fn sections(text: &str) -> String {
    let mut roff = String::new();
    let mut open = false;
    for line in text.lines() {
        match line.strip_suffix(':').filter(|it| !it.starts_with(' ') && it.len() <= LONGEST_HEADING) {
            Some(heading) => {
                roff.push_str(if open { ".fi\n" } else { "" });
                roff.push_str(&format!(".SH \"{}\"\n.nf\n", escape(&heading.to_uppercase())));
                open = true;
            }
            None => roff.push_str(&format!("{}\n", escape(line))),
        }
    }
    roff.push_str(if open { ".fi\n" } else { "" });
    roff
}

/// A line that roff prints as it is: backslashes, quotes and hyphens can be pasted, and a dot at its
/// beginning is no request.
fn escape(line: &str) -> String {
    let line = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga")
        .replace('^', "\\(ha")
        .replace('~', "\\(ti");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_with_examples_and_exit_codes() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("share/man1");
        run(&target).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&target).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let command = Cli::command();
        let verbs = command.get_subcommands().map(|verb| format!("bivouac-{}.1", verb.get_name()));
        let mut expected: Vec<_> = verbs.chain(["bivouac.1".to_string()]).collect();
        expected.sort();
        assert_eq!(names, expected);
        for name in names.iter().filter(|name| *name != "bivouac.1") {
            let page = fs::read_to_string(target.join(name)).unwrap();
            for section in [
                ".SH NAME",
                ".SH SYNOPSIS",
                ".SH \"EXIT STATUS\"",
                ".SH \"EXAMPLES\"",
                ".SH \"FILES\"",
                ".SH \"ENVIRONMENT\"",
                ".SH \"SEE ALSO\"",
            ] {
                assert!(page.contains(section), "{name}: no {section}");
            }
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = run(Path::new("/dev/null/man")).unwrap_err().to_string();
        assert!(error.starts_with("/dev/null/man: cannot make this directory: Not a directory"), "{error}");
    }

    #[test]
    fn roff_takes_nothing_of_a_line_for_itself() {
        assert_eq!(
            sections("Examples:\n.x 'a-b' \\d\n"),
            ".SH \"EXAMPLES\"\n.nf\n\\&.x \\(aqa\\-b\\(aq \\ed\n.fi\n"
        );
    }
}
