//! Templates and items against the words that they must become; those of a shell, by shells.

use super::*;
use bivouac::error::Kind;
use std::path::Path;
use std::process::{Command as Process, Output};

fn template(words: &[&str], shell: bool, columns: usize) -> Result<Template> {
    let shell = shell.then(|| Shell::named("sh".as_ref()).unwrap());
    let syntax = Syntax { columns: Some(columns), ..Syntax::default() };
    Template::new(words.iter().map(OsString::from).collect(), shell, syntax)
}

fn item(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// The item is number 7 and runs in slot 2.
fn argv(template: &Template, words: &[Vec<u8>]) -> Vec<OsString> {
    template.argv(&Filling { words, number: 7, slot: 2, total: 12 })
}

#[test]
fn without_a_shell_each_word_is_filled_for_itself() {
    let table: [(&[&str], &[&str], &[&str]); 19] = [
        (&["echo"], &["a b"], &["echo", "a b"]),
        (&["echo"], &["a", "b"], &["echo", "a", "b"]),
        (&["echo", "{}"], &["a", "b"], &["echo", "a", "b"]),
        (&["echo", "x{}y"], &["a", "b"], &["echo", "xa by"]),
        (&["{}", "x"], &["ls"], &["ls", "x"]),
        (&["cp", "{}", "{.}.old"], &["d/f.txt"], &["cp", "d/f.txt", "d/f.old"]),
        (&["{/}", "{//}", "{/.}"], &["d/f.txt"], &["f.txt", "d", "f"]),
        (&["echo", "{.}", "{/}z"], &["x/a.c", "y/b.d"], &["echo", "x/a", "y/b", "a.c b.dz"]),
        (&["echo", "{2}", "{1}", "{-1}", "{-2}"], &["a", "b"], &["echo", "b", "a", "b", "a"]),
        (&["echo", "{1.}", "{1/}", "{1//}", "{1/.}"], &["a/b.c"], &["echo", "a/b", "b.c", "a", "b"]),
        (&["echo", "{#}-{%}", "{}"], &["a"], &["echo", "7-2", "a"]),
        (&["echo", "{#}"], &["a"], &["echo", "7"]),
        (&["awk", "{print $1}", "{}"], &["f"], &["awk", "{print $1}", "f"]),
        (&["echo", "{}}", "{{}}", "{{", "{0}"], &["a"], &["echo", "a}", "{a}", "{{", "{0}"]),
        (&["echo", "\\{}"], &["a"], &["echo", "\\a"]),
        (&["echo", "{}{}"], &["{}"], &["echo", "{}{}"]),
        (&["echo", "", "{}"], &[""], &["echo", "", ""]),
        (&["echo", "{}"], &["$(x) `y` \"'\n;*"], &["echo", "$(x) `y` \"'\n;*"]),
        // The last task of `-n 2`.
        (&["echo", "{1}", "{2}", "{-1}"], &["a"], &["echo", "a", "", "a"]),
    ];
    for (words, given, expected) in table {
        let made = argv(&template(words, false, given.len().max(2)).unwrap(), &item(given));
        assert_eq!(made, expected, "{words:?}");
    }
    let template = template(&["echo", "x{}"], false, 1).unwrap();
    assert_eq!(template.fill(&[b"\xff\n".to_vec()], 1, 1).unwrap().to_string(), r"echo x\xff\n");
    assert_eq!(template.fill(&item(&["a\0b"]), 1, 1), None);
}

#[test]
fn what_cannot_be_filled_is_wrong_usage_and_is_named() {
    let table: [(&[&str], bool, usize, &str); 9] = [
        (&[], false, 1, "the command: is missing"),
        (&["echo", "{3}"], false, 2, "{3}: "),
        (&["echo", "{-2/}"], false, 1, "{-2}: "),
        (&["echo \"{2}\""], true, 1, "{2}: "),
        (&["echo ${1}"], true, 1, "${1}: "),
        (&["f() { echo \"${#}\"; }; f {}"], true, 1, "${#}: "),
        (&["cat <<E\n{}\nE"], true, 1, "{}: stands in or after a here-document"),
        (&["cat <<E\nx\nE\n"], true, 1, "the command: does not say"),
        (&["echo 'x"], true, 1, "the command: does not say"),
    ];
    for (words, shell, columns, start) in table {
        let error = template(words, shell, columns).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().starts_with(start), "{error}");
        assert!(error.to_string().contains("\n  "), "it says what to do: {error}");
    }
}

#[test]
fn the_identity_tells_templates_apart() {
    let identity = |words: &[&str], shell| template(words, shell, 1).unwrap().identity();
    let all = [
        identity(&["echo", "{}"], false),
        identity(&["echo", "{}"], true),
        identity(&["echo {}"], true),
        identity(&["echo"], false),
        identity(&[], true),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|other| other != one), "{one}");
    }
}

#[test]
fn a_script_gets_one_parameter_for_each_placeholder() {
    let table: [(&[&str], &[&str], &[&str]); 8] = [
        (&["echo", "{}", "| wc"], &["a"], &[r#"_item1=${1}; set --; echo "${_item1}" | wc"#, "sh", "a"]),
        (
            &["echo {} \"{}\" '{}' {.}"],
            &["a.b"],
            &[
                r#"_item1=${1} _item2=${2}; set --; echo "${_item1}" "${_item1}" ''"${_item1}"'' "${_item2}""#,
                "sh",
                "a.b",
                "a",
            ],
        ),
        (
            &["echo {}"],
            &["a", "b"],
            &[r#"_item1=${1} _item2=${2}; set --; echo "${_item1}" "${_item2}""#, "sh", "a", "b"],
        ),
        (
            &["echo '{}'"],
            &["a", "b"],
            &[r#"_item1=${1} _item2=${2}; set --; echo ''"${_item1} ${_item2}"''"#, "sh", "a", "b"],
        ),
        (&["echo {#}>f \"{%}\""], &["a"], &[r#"echo "7">f "2""#, "sh"]),
        (&["echo \n"], &["a"], &[r#"_item1=${1}; set --; echo "${_item1}""#, "sh", "a"]),
        (&["echo `date` {}"], &["a"], &[r#"_item1=${1}; set --; echo `date` "${_item1}""#, "sh", "a"]),
        (&[], &["echo a", "b"], &["echo a b"]),
    ];
    for (words, given, expected) in table {
        let made = argv(&template(words, true, given.len()).unwrap(), &item(given));
        assert_eq!(made[..2], ["/bin/sh", "-c"]);
        assert_eq!(made[2..], *expected, "{words:?}");
    }
    assert_eq!(argv(&template(&[], true, 1).unwrap(), &item(&["-e x"]))[2], " -e x");
}

/// Items that would do harm where they became part of a script: each would leave a file behind.
const NASTY: [&[u8]; 20] = [
    b"plain",
    b"",
    b"a  b\tc",
    b"$(touch hit)",
    b"`touch hit`",
    b"; touch hit; '\"",
    b"'; touch hit; '",
    b"\"; touch hit; \"",
    b"'\"$(touch hit)\"'",
    b"\"'$(touch hit)'\"",
    b"x\ntouch hit\ny",
    b"*",
    b"\\",
    b"\\$(touch hit) \\\\",
    b"-n ~ $HOME ${IFS} $1 !! #x",
    b"a[$(touch hit)]",
    b"$((1+1)) ${x:=$(touch hit)}",
    b") && touch hit; (",
    b"{} } }} && touch hit",
    b"\xff\xfe > hit",
];

/// Scripts that print the item between some other text, and what they print of `ITEM`.
const SCRIPTS: [(&str, &str); 35] = [
    ("printf '<%s>' {}", "<ITEM>"),
    ("printf '<%s>'", "<ITEM>"),
    ("printf '<%s>' a{}b", "<aITEMb>"),
    ("printf '<%s>' \"a {} b\"", "<a ITEM b>"),
    ("printf '<%s>' 'a {} b'", "<a ITEM b>"),
    ("printf '<%s>' 'it'\\''s {}'", "<it's ITEM>"),
    ("printf '<%s>' \"it's {}\" '\"{}'", "<it's ITEM><\"ITEM>"),
    ("printf '<%s>' \\{} {} \\\"{}", "<{}><ITEM><\"ITEM>"),
    ("printf '<%s>' \"\\\"{}\\\\{}\\{}\"", "<\"ITEM\\ITEM\\ITEM>"),
    ("printf '<%s>' \"\\${}\" \\${}", "<$ITEM><$ITEM>"),
    ("printf '<%s>' '${}'", "<$ITEM>"),
    ("x={}; printf '<%s>' \"$x\"", "<ITEM>"),
    ("x=a{}b y='{}'; printf '<%s>' \"$x$y\"", "<aITEMbITEM>"),
    ("printf '<%s>' \"$(printf '%s' {})\"", "<ITEM>"),
    ("printf '<%s>' \"$(printf '%s' \"{}\")\"", "<ITEM>"),
    ("printf '<%s>' \"$(printf '%s' '{}')\" \"{}\"", "<ITEM><ITEM>"),
    ("printf '<%s>' \"$(printf '%s' \"$(printf '%s' {})\")\"", "<ITEM>"),
    ("printf '<%s>' \"$( (printf '%s' {}) )\" '{}'", "<ITEM><ITEM>"),
    ("printf '<%s>' \"$(case x in y) ;; x) printf '%s' {};; esac)\" '{}'", "<ITEM><ITEM>"),
    ("printf '<%s>' \"$(printf case)\" '{}'", "<case><ITEM>"),
    ("printf '<%s>' \"$(printf '%s' {} # it's )\n)\" '{}'", "<ITEM><ITEM>"),
    ("# don't\nprintf '<%s>' {} # isn't it {}", "<ITEM>"),
    ("printf '<%s>' a#'{}'", "<a#ITEM>"),
    ("printf '<%s>' \"`printf '%s' {}`\"", "<ITEM>"),
    ("printf '<%s>' \"`printf '%s' \\\"{}\\\"`\"", "<ITEM>"),
    ("x=`printf '%s' \"{}\"`; printf '<%s>' \"$x\"", "<ITEM>"),
    ("printf '<%s>' \"`printf '%s' \\\"\\`printf '%s' {}\\`\\\"`\"", "<ITEM>"),
    ("printf '<%s>' \"`(printf '%s' '{}') # it's`\"", "<ITEM>"),
    ("printf '<%s>' \"${nothing:-{}}\" {}", "<ITEM><ITEM>"),
    ("printf '<%s>' ${nothing:-{}} '{}'", "<ITEM><ITEM>"),
    ("printf '<%s>' \"${nothing:-\"{}\"}\"", "<ITEM>"),
    ("x=a; printf '<%s>' \"${x:+'{}'}\"", "<'ITEM'>"),
    ("case {} in *) printf '<%s>' \"{}\";; esac", "<ITEM>"),
    ("for x in {} {}; do printf '<%s>' \"$x\"; done", "<ITEM><ITEM>"),
    ("printf '<%s>' \"$((1 + (2)))\" \"$(( {#} * {%} ))\" '{}'", "<3><14><ITEM>"),
];

fn run(shell: &str, arguments: &[OsString], dir: &Path) -> Output {
    Process::new(shell).args(arguments).current_dir(dir).output().unwrap()
}

#[test]
fn in_whatever_quotes_an_item_is_one_word_and_nothing_of_it_is_executed() {
    for (script, printed) in SCRIPTS {
        let template = template(&[script], true, 1).unwrap();
        let (before, after) = printed.split_at(printed.find("ITEM").unwrap());
        let expected_of = |item: &[u8]| {
            let after: Vec<_> = after.split("ITEM").map(str::as_bytes).collect();
            [before.as_bytes(), &after.join(item)].concat()
        };
        for item in NASTY {
            let words = argv(&template, &[item.to_vec()]);
            let shown = [OsString::from("-c"), template.show(&[item.to_vec()], 7, 2).into()];
            for (shell, arguments) in [("dash", &words[1..]), ("bash", &words[1..]), ("bash", &shown)] {
                let dir = tempfile::tempdir().unwrap();
                let output = run(shell, arguments, dir.path());
                let about = format!("{shell} {arguments:?}: {output:?}");
                assert_eq!(output.stdout, expected_of(item), "{about}");
                assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{about}");
            }
        }
    }
}

/// What the scanner does not know, or knows only of one of the shells: words may be wrong there.
#[test]
fn where_the_quotes_are_wrong_nothing_of_an_item_is_executed_either() {
    let scripts = [
        "echo $'a\\'{}' '{}'",
        "echo \"${x#'{}'}\" \"${x%\"{}\"}\"",
        "echo $\"{}\" $[{}] \"$[{}]\" ${x:{}} \"${x[{}]}\" ${{}} ${x{}}",
        "echo $(( {} )) \"$(({}+1))\" $(( ${x:-{}} ))",
        "echo $((echo {}) | cat)",
        "echo \"$(echo do case {})\" {} '{}'",
        "echo {} '",
        "echo {} \"",
        "echo `{}",
        "echo $({}",
        "echo {} \\",
        "f() { echo {}; }; f x; set -- {}; echo {}",
        "cat <<< {}",
        "cat <<E {}\n$x\nE",
        "echo {} <<'E'\n'\nE\n",
        "echo ${nothing:?{}}",
    ];
    for script in scripts {
        let template = template(&[script], true, 1).unwrap();
        for item in NASTY {
            let words = argv(&template, &[item.to_vec()]);
            for shell in ["dash", "bash"] {
                let dir = tempfile::tempdir().unwrap();
                let output = run(shell, &words[1..], dir.path());
                assert!(!dir.path().join("hit").exists(), "{shell} {words:?}: {output:?}");
            }
        }
    }
}

#[test]
fn arithmetic_is_done_with_numbers_only() {
    let template = template(&["printf '<%s>' \"$(({}*2))\""], true, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for shell in ["dash", "bash"] {
        let run = |item: &str| run(shell, &argv(&template, &[item.into()])[1..], dir.path());
        for (number, twice) in [("21", "42"), ("-3", "-6"), ("0x10", "32")] {
            assert_eq!(run(number).stdout, format!("<{twice}>").as_bytes(), "{shell}");
        }
        let output = run("a[$(touch hit)]");
        assert!(!output.status.success() && !dir.path().join("hit").exists(), "{shell}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("not a number"), "{output:?}");
    }
}

#[test]
fn what_is_shown_can_be_read_and_pasted() {
    let table: [(&[&str], bool, &[&str], &str); 14] = [
        (&["echo"], false, &["a"], "echo a"),
        (&["echo", "x {}"], false, &["b"], "echo 'x b'"),
        (&["echo"], false, &["a b", "it's"], "echo 'a b' \"it's\""),
        (&["echo"], false, &["a\nb"], "echo $'a\\012b'"),
        (&["echo"], false, &["a\0b"], "echo $'a\\000b'"),
        (&["echo {} | wc"], true, &["a b"], "echo 'a b' | wc"),
        (&["echo \"{} {.}\" '{}'"], true, &["a.b"], "echo \"a.b a\" 'a.b'"),
        (&["echo \"{}\" '{}'"], true, &["$x"], "echo \"\"'$x'\"\" '$x'"),
        (&["echo '{}'"], true, &["it's"], "echo ''\"it's\"''"),
        (&["echo $(({}+{#}))"], true, &["3"], "echo $((3+7))"),
        (&["echo {#}"], true, &["a"], "echo 7"),
        (
            &["echo `echo {}`"],
            true,
            &["a b"],
            "/bin/sh -c $'_item1=${1}; set --; echo $( echo \"${_item1}\"\\012)' sh 'a b'",
        ),
        (&[], true, &["echo $HOME | wc"], "echo $HOME | wc"),
        (&[], true, &["echo a\necho b"], "/bin/sh -c $'echo a\\012echo b'"),
    ];
    for (words, shell, given, expected) in table {
        let template = template(words, shell, given.len()).unwrap();
        assert_eq!(template.show(&item(given), 7, 2), expected, "{words:?}");
    }
}

#[test]
fn a_word_is_repeated_for_each_item_only_where_that_was_asked_for() {
    let words = ["cp", "x{}", "{.}y", "{}", "-t", "{#}"];
    let given = item(&["a.c", "b.d"]);
    let together = template(&words, false, 9).unwrap();
    assert_eq!(argv(&together, &given), ["cp", "xa.c b.d", "a by", "a.c", "b.d", "-t", "7"]);
    let repeated = template(&words, false, 9).unwrap().repeating().unwrap();
    assert_eq!(argv(&repeated, &given), ["cp", "xa.c", "xb.d", "ay", "by", "a.c", "b.d", "-t", "7"]);
    assert!(template(&["echo x{}"], true, 9).unwrap().repeating().is_err());
    assert!(template(&["echo {} | wc"], true, 9).unwrap().repeating().is_ok());
}

#[test]
fn placeholders_of_other_programs_are_refused_and_braces_of_programs_are_not() {
    for word in ["{0%}", "{%.gz}", "x{^.gz}", "{= s/a/b/ =}", "{@(.*)}", "{uniq}"] {
        assert_eq!(template(&["echo", word], false, 1).unwrap_err().kind(), Kind::Usage, "{word}");
    }
    for word in ["{print $1}", "{%s}", "{%03d}", "${x%.gz}", "{a,b}", "{0}", "{1..5}", "{\"a\":1}"] {
        assert!(template(&["echo", word], false, 1).is_ok(), "{word}");
    }
}

/// bash evaluates what stands there, also what a variable holds.
#[test]
fn no_item_is_evaluated_by_bash() {
    let dir = tempfile::tempdir().unwrap();
    let hacked = dir.path().join("hacked");
    let nasty = format!("a[$(touch {})]", hacked.display());
    for text in
        ["(( {} > 1 ))", "[[ {} -gt 1 ]]", "[[ 1 -lt \"{}\" ]]", "let x={}", "[[ -v {} ]]", ": $(( {} ))"]
    {
        let words = vec![OsString::from(text)];
        let template =
            Template::new(words, Some(Shell::named("bash".as_ref()).unwrap()), Syntax::default()).unwrap();
        for word in [nasty.as_str(), "2"] {
            let argv = argv(&template, &item(&[word]));
            Process::new(&argv[0]).args(&argv[1..]).output().unwrap();
            assert!(!hacked.exists(), "{text}");
        }
    }
}

#[test]
fn a_template_that_is_the_item_is_a_command_line_with_a_shell_only() {
    let given = item(&["echo a b"]);
    assert_eq!(argv(&template(&["{}"], true, 1).unwrap(), &given), ["/bin/sh", "-c", "echo a b"]);
    assert_eq!(argv(&template(&["{}"], false, 1).unwrap(), &given), ["echo a b"]);
}
