//! Words that only a shell understands, in a command that no shell reads.
//!
//! Users of `parallel`, and of the prompt, type `'sort {} | uniq -c'`, a function, `cd`. Without a shell each of
//! these is a program that does not exist, or a filter with a file named `|`: a thousand messages that do not
//! name the cause. So such a command is refused before the first start, with the line that does what was meant.
//!
//! A legitimate word of a program passes: `cut -d '|'`, `expr {} '|' 0`, `find … -exec … ';'`.

use crate::jobs::quote;
use bivouac::{Error, Result};
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Builtins of every POSIX shell.
const BUILTINS: &str = ". : alias bg cd command eval exec exit export fg getopts hash jobs read readonly return set shift \
     times trap type ulimit umask unalias unset wait local history";

/// Words with which a compound command begins.
const KEYWORDS: &str = "! { ( if for while until case ((";

/// Builtins and keywords of `bash` and its relatives.
const OF_BASH: &str =
    "[[ source declare typeset let mapfile readarray pushd popd dirs shopt function select builtin";

/// Between two commands.
const BETWEEN: &str = "| || && ; |&";

/// Before the name of a file.
const REDIRECTIONS: &str = "> >> < <<< 2> 2>> &> 2>&1";

/// Programs that take such words as arguments.
const OPERATOR_PROGRAMS: &str = "expr test [ find awk jq";

/// What `sh` does not know, or takes for something else: `cmd &> f` puts the command into the background.
const WORDS_OF_BASH: [&str; 8] = ["<(", ">(", "[[ ", "<<<", "&>", "|&", "$'", "[@]"];

/// Whether a word is one of such a list.
pub(super) fn is_in(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split(' ').any(|one| one == word)
}

/// The command as it was typed: the words before it, the command, the words after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Typed<'a> {
    pub(crate) before: &'a [OsString],
    pub(crate) command: &'a [OsString],
    pub(crate) after: &'a [OsString],
    /// Whether `--` stands before the command.
    pub(crate) dashes: bool,
}

/// Refuses such a command, with the line to type.
pub(crate) fn refuse(typed: Typed<'_>) -> Result<()> {
    let Some((first, rest)) = typed.command.split_first() else { return Ok(()) };
    let name = first.to_string_lossy();
    // The item decides which program this is.
    let is_known = !name.contains('{') || name.contains(char::is_whitespace);
    if let Some(why) = is_known.then(|| about_the_first(first, &name, rest.is_empty())).flatten() {
        return Err(why.refusal(&name, typed));
    }
    if rest.iter().any(|word| word == "{=") {
        return Err(Error::usage("{=", "begins an expression of GNU parallel, and no Perl is run here")
            .advise("use the placeholders of --plus, or --shell"));
    }
    match about_the_others(&name, rest) {
        Some(word) => Err(Error::usage(
            "COMMAND",
            format_args!("an argument is `{word}`, which only a shell understands:"),
        )
        .advise(line(typed, shell_for(typed.command)))),
        None => Ok(()),
    }
}

/// The warning, if a word has quotes or a `$` that a shell would read: `'"$VAR"'`, `"'two words'"`.
///
/// GNU parallel gives its words to a shell, so these quotes are typed there. Here they are a part of the argument. That
/// may be meant (`grep '"$schema"'`), so the command runs.
pub(crate) fn warning(typed: Typed<'_>) -> Option<String> {
    let word = typed.command.iter().skip(1).find_map(|word| word.to_str().filter(|word| is_quoted(word)))?;
    Some(format!(
        "warning: no shell reads `{}`, so it is passed as it is; with a shell:\n  {}",
        crate::jobs::text::short(word),
        line(typed, shell_for(typed.command))
    ))
}

/// The warning, if a command reads a variable that only GNU parallel sets: it would be empty, without an error.
pub(crate) fn variable_of_parallel(command: &[OsString]) -> Option<String> {
    let is_read = |name: &str| {
        let texts = [format!("${name}"), format!("${{{name}")];
        command.iter().any(|word| texts.iter().any(|text| word.to_string_lossy().contains(text)))
    };
    let names = [("PARALLEL_SEQ", "BIVOUAC_SEQ", "{#}"), ("PARALLEL_JOBSLOT", "BIVOUAC_SLOT", "{%}")];
    let (theirs, ours, placeholder) =
        names.into_iter().find(|(name, ..)| is_read(name) && env::var_os(name).is_none())?;
    Some(format!(
        "warning: ${theirs}: only GNU parallel sets it\n  type ${ours} in its place, or {placeholder}"
    ))
}

/// Whether a word stands in quotes that protect something from a shell, or is a variable of this environment.
fn is_quoted(word: &str) -> bool {
    let within = |quote| word.strip_prefix(quote)?.strip_suffix(quote);
    let has = |text: &str, what: &[char]| text.contains(what);
    let is_variable = || {
        let name = word.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
        let is_ours = |name: &str| name.starts_with("BIVOUAC_") || name.starts_with("PARALLEL_");
        name.is_some_and(|name| is_ours(name) || name.len() > 1 && env::var_os(name).is_some())
    };
    match (within('\''), within('"')) {
        (Some(text), _) => has(text, &[' ', '$', '"', '\\']) && !text.contains('\''),
        (_, Some(text)) => has(text, &['$', '`']) && !text.contains('"'),
        (None, None) => is_variable(),
    }
}

/// The line of a command that was typed for another program, with a shell if it needs one.
pub(crate) fn complete(typed: Typed<'_>) -> String {
    let first = typed.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    if refuse(typed).is_ok() && warning(typed).is_none() {
        let words: Vec<_> = [typed.before, &["--".into()], typed.command, typed.after].concat();
        return quote::shortened(&words);
    }
    let is_of_bash = is_function(&first) || is_in(OF_BASH, &first);
    line(typed, if is_of_bash { "--shell=bash" } else { shell_for(typed.command) })
}

/// The option that names the shell for these words.
fn shell_for(words: &[OsString]) -> &'static str {
    let any = words.iter().any(|word| is_of_bash(&word.to_string_lossy()));
    if any { "--shell=bash" } else { "--shell" }
}

/// Whether a text is for bash and its relatives.
fn is_of_bash(text: &str) -> bool {
    // `${name^^}`, `${name//a/b}`, `${name:2}`, `${name[1]}`
    let edits = |rest: &str| {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let edit = rest.trim_start_matches(name);
        edit.starts_with(['^', ',', '/', '[', '!'])
            || edit.strip_prefix(':').is_some_and(|place| place.starts_with(|c: char| c.is_ascii_digit()))
    };
    WORDS_OF_BASH.iter().any(|word| text.contains(word)) || text.split("${").skip(1).any(edits)
}

/// Whether a text with blanks in it is a command line.
fn is_script(text: &str) -> bool {
    text.contains(['|', '&', ';', '<', '>', '$', '`', '(', '\n'])
}

enum Why {
    Blanks { is_script: bool },
    Builtin { of_bash: bool },
    Function,
    Assignment,
}

impl Why {
    fn refusal(&self, name: &str, typed: Typed<'_>) -> Error {
        let shell = match self {
            Why::Function | Why::Builtin { of_bash: true } => "--shell=bash",
            Why::Blanks { .. } | Why::Builtin { of_bash: false } | Why::Assignment => {
                shell_for(typed.command)
            }
        };
        let what = match self {
            Why::Blanks { is_script: true } => "is for a shell, and none is used unless you ask:",
            Why::Blanks { is_script: false } => {
                "no program has this name; remove the quotes, or use a shell:"
            }
            Why::Builtin { .. } => "is a builtin of the shell, not a program; use a shell:",
            Why::Function => "is a function of your shell, not a program; use a shell:",
            Why::Assignment => "sets a variable, which only a shell understands:",
        };
        Error::usage(crate::jobs::text::short(name), what).advise(line(typed, shell))
    }
}

fn about_the_first(first: &OsStr, name: &str, is_alone: bool) -> Option<Why> {
    if is_program(first) {
        return None;
    }
    if name.contains(char::is_whitespace) && !name.trim().is_empty() {
        let begins = name.split_whitespace().next().unwrap_or_default();
        let is_known = |word: &str| [KEYWORDS, OF_BASH, BUILTINS].iter().any(|list| is_in(list, word));
        if begins == "[[" || is_function(begins) {
            return Some(if begins == "[[" { Why::Builtin { of_bash: true } } else { Why::Function });
        }
        let is_script = is_script(name) || is_known(begins);
        return (is_script || is_alone || is_program(begins.as_ref())).then_some(Why::Blanks { is_script });
    }
    if is_alone && name.contains(['|', '<', '>', ';', '&']) {
        return Some(Why::Blanks { is_script: true });
    }
    if is_function(name) {
        return Some(Why::Function);
    }
    if is_in(OF_BASH, name) {
        return Some(Why::Builtin { of_bash: true });
    }
    if is_in(BUILTINS, name) || is_in(KEYWORDS, name) {
        return Some(Why::Builtin { of_bash: false });
    }
    let variable = name.split_once('=').map(|(variable, _)| variable)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!variable.is_empty() && variable.bytes().all(is_name) && !is_alone).then_some(Why::Assignment)
}

/// The first argument that a shell would interpret.
fn about_the_others(program: &str, rest: &[OsString]) -> Option<String> {
    let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let takes_others = is_in(OPERATOR_PROGRAMS, &program);
    let is_test = ["test", "["].contains(&program.as_ref());
    rest.iter().enumerate().find_map(|(at, word)| {
        let word = word.to_str()?;
        if takes_others && !(is_test && ["||", "&&"].contains(&word)) {
            return None;
        }
        // `-d '|'`: the value of an option.
        let is_value = at.checked_sub(1).is_some_and(|before| {
            let before = rest[before].as_bytes();
            before.starts_with(b"-") && before != b"-"
        });
        let next = rest.get(at + 1);
        let is_one = match next {
            Some(next) if is_in(BETWEEN, word) || is_last_of_several(word) => {
                let name = next.to_string_lossy();
                is_program(next) || is_in(BUILTINS, &name) || is_function(&name)
            }
            Some(_) => is_in(REDIRECTIONS, word),
            None => word == "2>&1",
        } || ends_a_command(word);
        (is_one && !is_value).then(|| word.to_string())
    })
}

/// `echo a\; date`: with a shell, the last word of a command.
fn is_last_of_several(word: &str) -> bool {
    word.strip_suffix(';')
        .is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `sleep {}\; echo {}`, `echo a{}\;cat\;date`, `zcat {} ">"{.}`: GNU parallel gives its words to a shell.
fn ends_a_command(word: &str) -> bool {
    let target = word.trim_start_matches(['2', '&', '>']);
    if target.starts_with('{') && target.len() < word.len() && word.contains('>') {
        return true;
    }
    word.split_once(';').is_some_and(|(before, after)| {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b';');
        let signs = |sign: char| sign.is_ascii_digit() || "./#%-".contains(sign);
        let is_gap = |text: &str| text.trim_end_matches(signs).ends_with('{');
        before.strip_suffix('}').is_some_and(|text| text.starts_with('{') || is_gap(text)) && is_name(after)
    })
}

/// The line with a shell. Operators stay as they are, other words are quoted where they must be. If the first word is a
/// command line, the others go on with it, as with GNU parallel.
fn line(Typed { before, command, after, dashes }: Typed<'_>, shell: &str) -> String {
    let is_plain = |text: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./{}[]#-".contains(c);
        ends_a_command(text)
            || is_last_of_several(text)
            || is_quoted(text)
            || (!text.is_empty() && text.chars().all(is_plain))
    };
    let text = match command {
        [text] => text.clone(),
        [first, ..]
            if first.to_string_lossy().contains(char::is_whitespace)
                && is_script(&first.to_string_lossy()) =>
        {
            command.join(OsStr::new(" "))
        }
        words => {
            let word = |word: &OsString| match word.to_str() {
                // Neither an operator nor a placeholder nor an assignment takes quotes.
                Some(text) if is_in(BETWEEN, text) || is_in(REDIRECTIONS, text) || is_plain(text) => {
                    text.to_string()
                }
                Some(_) | None => quote::argument(word),
            };
            OsString::from(words.iter().map(word).collect::<Vec<_>>().join(" "))
        }
    };
    let mut words: Vec<OsString> = before.to_vec();
    words.push(shell.into());
    if dashes {
        words.push("--".into());
    }
    words.push(text);
    words.extend(after.iter().cloned());
    // As it would be typed: not all that may be quoted must be.
    quote::shortened(&words).replacen("'--shell=bash'", "--shell=bash", 1)
}

/// An exported function of bash is a variable with this name.
fn is_function(name: &str) -> bool {
    env::var_os(format!("BASH_FUNC_{name}%%")).is_some()
}

/// Whether this is a program, for some user.
pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// Whether a program of this name would be found.
fn is_program(name: &OsStr) -> bool {
    if name.as_bytes().contains(&b'/') {
        // A file that exists and cannot be run has its own message.
        return Path::new(name).exists() || !name.to_string_lossy().contains(char::is_whitespace);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    env::split_paths(&path).any(|directory| is_executable(&directory.join(name)))
}
