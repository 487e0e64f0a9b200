//! `bivouac man`: the manual, from the same definitions as `--help`.
//!
//! clap_mangen writes everything but the end: it would put the exit codes and examples into one section
//! named EXTRA, filled like prose. They are tables and commands, so this file writes the sections after the
//! options, line by line as they are.

use crate::cli::args::Cli;
use crate::cli::config::keys::{KEYS, verb};
use bivouac::{Error, Request, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fs;
use std::io;
use std::path::Path;

/// Writes `bivouac.1` and one page for each verb into `directory`.
pub(crate) fn run(directory: &Path) -> Result<()> {
    if let Some(verb) = Cli::command()
        .get_subcommands()
        .map(Command::get_name)
        .find(|verb| *verb != "man" && directory == Path::new(verb))
    {
        return Err(Error::usage(
            directory.display(),
            "is a verb, and here a directory for the manual pages is meant",
        )
        .advise(format_args!("to read about it: bivouac {verb} --help; for a directory: ./{verb}")));
    }
    fs::create_dir_all(directory).map_err(|cause| Error::named(directory, "make this directory", &cause))?;
    let fifth = match directory.file_name() {
        Some(name) if name == "man1" => directory.with_file_name("man5"),
        Some(_) | None => directory.to_path_buf(),
    };
    fs::create_dir_all(&fifth).map_err(|cause| Error::named(&fifth, "make this directory", &cause))?;
    let pages = pages().map(|(name, page)| (directory.join(name), page));
    for (path, page) in pages.chain([(fifth.join("bivouac.toml.5"), Ok(configuration().into_bytes()))]) {
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
        false => {
            let others = ["bivouac(1)", "bivouac.toml(5)", "parallel(1)", "xargs(1)", "signal(7)"];
            others.map(String::from).to_vec()
        }
    };
    roff.extend_from_slice(format!(".SH \"SEE ALSO\"\n{}\n", escape(&see.join(", "))).as_bytes());
    Ok(roff)
}

/// The page of the configuration: its settings are options, and are described where those are.
fn configuration() -> String {
    let mut page =
        format!(".TH bivouac.toml 5 \"\" \"bivouac {}\" \"File Formats\"\n", env!("CARGO_PKG_VERSION"));
    page.push_str(".SH NAME\nbivouac.toml \\- settings of a job of bivouac\n");
    page.push_str(
        ".SH SYNOPSIS\n.nf\nbivouac \\fIverb\\fR \\-\\-config \\fIfile\\fR ...\n.fi\n.SH DESCRIPTION\n",
    );
    page.push_str(&escape(ABOUT_THE_CONFIGURATION));
    page.push_str("\n.SH SETTINGS\n");
    let verb = verb();
    for key in &KEYS {
        let Some(option) = key.option(&verb) else { continue };
        let value =
            option.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!(
            ".TP\n\\fB{}\\fR = \\fI{}\\fR\n{}\n",
            escape(key.name),
            escape(&value),
            escape(&key.help(&verb))
        ));
        let values: Vec<_> =
            option.get_possible_values().iter().map(|one| one.get_name().to_string()).collect();
        if !values.is_empty() {
            page.push_str(&format!("One of: {}.\n", escape(&values.join(", "))));
        }
    }
    let requests = Request::ALL.map(|request| request.to_string()).join(", ");
    page.push_str(".TP\n\\fBsignals.\\fR\\fISIGNAL\\fR = \\fIREQUEST\\fR\n");
    page.push_str(&escape(&format!("What a signal means, as --on says it. Requests: {requests}.")));
    page.push('\n');
    page.push_str(&sections(AN_EXAMPLE));
    page.push_str(".SH \"SEE ALSO\"\nbivouac(1), bivouac\\-signals(1)\n");
    page
}

const ABOUT_THE_CONFIGURATION: &str = "\
A file in TOML, with settings of a job. No file is read that --config does not name. A setting has the name and \
the values of an option, and the option counts more. So does the environment variable of the same name: BIVOUAC_MAX_JOBS \
is max-jobs, BIVOUAC_LOG_FILE is log.file, and BIVOUAC_CONFIG names the file itself; commands get none of them. \
`bivouac config --example` prints a file with all settings, `bivouac config --schema` their schema. Numbers need no quotes. A name that is none is refused. \
SIGHUP, without a terminal, reads the file again; a setting that cannot change during a run is then named.";

const AN_EXAMPLE: &str = "\
Example:
  jobs = 4
  max-jobs = 16
  grace = \"30s\"
  limit-rate = \"200MiB\"
  [log]
  file = \"/var/log/job.log\"
  format = \"json\"
  [signals]
  USR2 = \"checkpoint\"
";

/// Sections that every page has.
const COMMON: &str = "\
Files:
  OUT.part      the output until the job is complete
  OUT.bivouac/  the state of a job with an output file
  .bivouac/     the states of other jobs that were begun here
Environment:
  NO_COLOR      no colours, if it is set and not empty
  BIVOUAC_CONFIG, BIVOUAC_JOBS, BIVOUAC_GRACE and others
                settings; see bivouac.toml(5)
  SHELL         the shell of --shell=auto
  BIVOUAC_SEQ   in a command: the number of its task, from 1
  BIVOUAC_SLOT  in a command: the slot in which it runs
In a command of --on-finish, --on-stop or --on-failure:
  BIVOUAC_EVENT      finish, stop or failure
  BIVOUAC_EXIT_CODE  the code of bivouac; 128 + N after signal N
  BIVOUAC_MESSAGE    what bivouac has said at its end
  BIVOUAC_COMMAND    the command that continues
  BIVOUAC_OUTPUT, BIVOUAC_STATE  paths; empty if there is none
  BIVOUAC_DONE, BIVOUAC_TOTAL    chunks or items; empty if unknown
  BIVOUAC_SHARE      percent
  BIVOUAC_FAILED     how many were left out
  BIVOUAC_SECONDS    how long this run has worked
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
        let fifth = fs::read_to_string(dir.path().join("share/man5/bivouac.toml.5")).unwrap();
        for name in KEYS.map(|key| key.name) {
            assert!(fifth.contains(&format!("\\fB{}\\fR = ", escape(name))), "{name}: {fifth}");
        }
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

    /// `man` sets the text of its sections seven columns to the right.
    #[test]
    fn no_line_that_is_printed_as_it_is_leaves_a_window_of_80_columns() {
        let mut main = Cli::command().disable_help_subcommand(true);
        main.build();
        let ends = main.get_subcommands().chain([&main]).map(|command| {
            let end = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            (command.get_name().to_string(), end)
        });
        for (name, end) in ends.chain([COMMON, AN_EXAMPLE].map(|text| ("all".to_string(), text.to_string())))
        {
            for line in end.lines() {
                assert!(line.chars().count() <= 73, "{name}: {line}");
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
