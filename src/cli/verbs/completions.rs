//! `bivouac completions`: what a shell needs to complete our verbs and options.

use crate::cli::args::Cli;
use crate::cli::terminal;
use bivouac::Result;
use bivouac::ending::FINISHED;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the script for `shell`. It is made in memory first: clap's generator panics when a write
/// fails, and `bivouac completions bash | head` is no reason to.
pub(crate) fn run(shell: Shell) -> Result<u8> {
    terminal::result(&script(shell))?;
    Ok(FINISHED)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bivouac", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn every_shell_gets_every_verb() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for verb in ["count", "grep", "digest", "clean", "completions", "man"] {
                assert!(script.contains(verb), "{shell}: {verb}");
            }
        }
    }

    #[test]
    fn bash_understands_its_script() {
        let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(&script(Shell::Bash)).unwrap();
        assert!(bash.wait().unwrap().success());
    }
}
