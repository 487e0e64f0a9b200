//! `bivouac completions`: the script by which a shell asks this program what to offer.

use crate::cli::args::verbs::CompletionsArgs;
use crate::cli::complete::script;
use crate::cli::terminal;
use bivouac::ending::FINISHED;
use bivouac::{Error, Result};
use clap_complete::Shell;
use std::env;
use std::fs;
use std::path::PathBuf;

/// Prints the script, or writes it where its shell looks for it.
pub(crate) fn run(completions: &CompletionsArgs) -> Result<u8> {
    let unknown = || {
        Error::usage("SHELL", "is missing, and $SHELL is not a known shell")
            .advise("name one: bivouac completions bash --install")
    };
    let shell = completions.shell.or_else(Shell::from_env).ok_or_else(unknown)?;
    let script = script(&shell.to_string())?;
    if !completions.install {
        return terminal::result(&script).map(|()| FINISHED);
    }
    let path = place(shell)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|cause| Error::io(directory, "make this directory", &cause))?;
    }
    fs::write(&path, script).map_err(|cause| Error::io(&path, "write", &cause))?;
    let more = match shell {
        Shell::Zsh => "; ~/.zshrc must have `fpath+=(~/.zfunc)` before `compinit`",
        Shell::Bash | Shell::Elvish | Shell::Fish | Shell::PowerShell | _ => "; a new shell will find it",
    };
    terminal::message(&format!("written to {}{more}", path.display()));
    Ok(FINISHED)
}

/// Where a shell looks for the completions of a user.
fn place(shell: Shell) -> Result<PathBuf> {
    let home = || {
        env::var_os("HOME").map(PathBuf::from).ok_or_else(|| {
            Error::usage("HOME", "is not set").advise("HOME=DIR bivouac completions --install SHELL")
        })
    };
    let base =
        |variable: &str, below_home: &str| match env::var_os(variable).filter(|value| !value.is_empty()) {
            Some(directory) => Ok(PathBuf::from(directory)),
            None => home().map(|home| home.join(below_home)),
        };
    match shell {
        Shell::Bash => Ok(base("XDG_DATA_HOME", ".local/share")?.join("bash-completion/completions/bivouac")),
        Shell::Zsh => Ok(home()?.join(".zfunc/_bivouac")),
        Shell::Fish => Ok(base("XDG_CONFIG_HOME", ".config")?.join("fish/completions/bivouac.fish")),
        other @ (Shell::Elvish | Shell::PowerShell | _) => {
            Err(Error::usage(other, "has no directory for completions")
                .advise(format_args!("print the script from its start-up file: bivouac completions {other}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn every_shell_has_a_script_that_asks_this_program() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(&shell.to_string()).unwrap()).unwrap();
            assert!(script.contains("BIVOUAC_COMPLETE") && script.contains("bivouac"), "{shell}: {script}");
        }
    }

    #[test]
    fn bash_understands_its_script() {
        let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(&script("bash").unwrap()).unwrap();
        assert!(bash.wait().unwrap().success());
    }
}
