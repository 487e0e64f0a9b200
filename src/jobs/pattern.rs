//! Patterns that stay within a line.
//!
//! The search runs over many lines at once, so a pattern must not see that there are many:
//! `[^a]` and `\s` would match a newline, `\A` would match at the beginning of a chunk only, and the
//! output would depend on how the file was cut. Looking at each match and trying again line by line
//! if it has a newline in it is slow and subtle (a longer match can hide a shorter one). Instead
//! the parsed pattern is rewritten: newline is taken out of every class, a literal newline
//! becomes "never", and "beginning of text" becomes "beginning of line". Then every match of the
//! whole text is a match of its line.
//!
//! Patterns are ASCII in the sense of the C locale (`\w` and `.` mean bytes), unless they contain
//! other characters themselves; then they are Unicode patterns.

mod posix;

use bivouac::{Error, Result};
use regex_automata::hybrid::dfa::{Cache as LongestCache, DFA};
use regex_automata::meta::{self, Cache, Regex};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Repetition;
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look,
};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) syntax: Syntax,
    pub(crate) ignore_case: bool,
    pub(crate) unit: Unit,
}

/// What the characters of a pattern mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// As for `grep -E`.
    #[default]
    Extended,
    /// As for `grep -G`.
    Basic,
    /// As for the crate `regex`, which is for most patterns as for `grep -P`.
    Perl,
    /// Each character means itself.
    Fixed,
}

/// What a match must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    #[default]
    Anything,
    /// No part of a longer word.
    Words,
    Line,
}

/// Enough for lists of some ten thousand texts; the default of 10 MB is not.
const SIZE_LIMIT: usize = 256 << 20;

#[derive(Debug)]
pub(crate) struct Matcher {
    regex: Regex,
    /// For `-o`: finds the longest of the matches that begin at a place. POSIX wants that one,
    /// `regex` the first by order of alternatives. `None` if a pattern has lazy operators, which POSIX
    /// does not know: then they mean what they mean in `regex`.
    longest: Option<DFA>,
    /// A search needs scratch memory, and the engine's own pool of it is made for one thread (the
    /// others wait for each other). A task takes one of these and puts it back.
    scratch: Mutex<Vec<Scratch>>,
}

#[derive(Debug)]
struct Scratch {
    search: Cache,
    longest: Option<LongestCache>,
}

#[derive(Debug)]
pub(crate) struct Searcher<'m> {
    matcher: &'m Matcher,
    scratch: Option<Scratch>,
}

impl Matcher {
    /// Compiles the patterns; a newline separates two patterns, as with grep.
    pub(crate) fn new(patterns: &[String], reading: Reading) -> Result<Self> {
        let texts = || patterns.iter().flat_map(|text| text.split('\n'));
        let parsed: Vec<Hir> = texts().map(|pattern| parse(pattern, reading)).collect::<Result<_>>()?;
        let lazy = parsed.iter().any(has_lazy_operator);
        let hir = Hir::alternation(parsed.iter().map(within_line).collect());
        let hir = whole(hir, reading.unit, patterns.iter().all(|pattern| pattern.is_ascii()));
        let too_large =
            |e: &dyn std::fmt::Display| Error::usage("pattern", format_args!("cannot be compiled: {e}"));
        let config = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(SIZE_LIMIT));
        let regex = Regex::builder().configure(config).build_from_hir(&hir).map_err(|e| too_large(&e))?;
        let longest = if lazy { None } else { longest(&hir) };
        Ok(Self { regex, longest, scratch: Mutex::new(Vec::new()) })
    }

    pub(crate) fn searcher(&self) -> Searcher<'_> {
        let free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let scratch = free.unwrap_or_else(|| Scratch {
            search: self.regex.create_cache(),
            longest: self.longest.as_ref().map(DFA::create_cache),
        });
        Searcher { matcher: self, scratch: Some(scratch) }
    }
}

impl Searcher<'_> {
    /// The first match in `span`; what surrounds the span decides about `^`, `$` and `\b`.
    #[inline]
    pub(crate) fn find(&mut self, text: &[u8], span: Range<usize>) -> Option<Range<usize>> {
        let cache = &mut self.scratch.as_mut()?.search;
        let found = self.matcher.regex.search_with(cache, &Input::new(text).span(span))?;
        Some(found.range())
    }

    /// The end of the longest match that begins where `found` does and ends at `limit` at most.
    pub(crate) fn longest(&mut self, text: &[u8], found: Range<usize>, limit: usize) -> usize {
        let cache = self.scratch.as_mut().and_then(|scratch| scratch.longest.as_mut());
        let (Some(dfa), Some(cache)) = (&self.matcher.longest, cache) else { return found.end };
        let input = Input::new(text).span(found.start..limit).anchored(Anchored::Yes);
        dfa.try_search_fwd(cache, &input).ok().flatten().map_or(found.end, |half| half.offset())
    }
}

impl Drop for Searcher<'_> {
    fn drop(&mut self) {
        let mut scratch = self.matcher.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.extend(self.scratch.take());
    }
}

/// A regular expression over bytes that has nothing to do with lines: one that cuts an item into columns.
pub(crate) fn regex(pattern: &str) -> std::result::Result<Regex, String> {
    let syntax = syntax::Config::new().utf8(false).unicode(!pattern.is_ascii());
    let config = meta::Config::new().utf8_empty(false);
    let built = Regex::builder().configure(config).syntax(syntax).build(pattern);
    built.map_err(|error| match error.syntax_error() {
        Some(syntax_error) => in_a_word(syntax_error),
        None => error.to_string(),
    })
}

/// With what must stand around it. A lone look to one side is what `grep -w` means: `\b` would ask for a word
/// inside as well, and `-w -- --` finds dashes.
fn whole(hir: Hir, unit: Unit, is_ascii: bool) -> Hir {
    let (before, after) = match (unit, is_ascii) {
        (Unit::Anything, _) => return hir,
        (Unit::Line, _) => (Look::StartLF, Look::EndLF),
        (Unit::Words, true) => (Look::WordStartHalfAscii, Look::WordEndHalfAscii),
        (Unit::Words, false) => (Look::WordStartHalfUnicode, Look::WordEndHalfUnicode),
    };
    Hir::concat(vec![Hir::look(before), hir, Hir::look(after)])
}

/// What helps against most faults in a pattern.
const AS_IT_IS: &str = "for a sign itself write a backslash before it, or -F for the whole pattern";

fn parse(pattern: &str, reading: Reading) -> Result<Hir> {
    let wrong = |why: String| {
        let (fault, advice) = why.split_once('\n').unwrap_or((&why, AS_IT_IS));
        Error::usage(format_args!("pattern `{pattern}`"), fault).advise(advice.to_string())
    };
    let text = match reading.syntax {
        Syntax::Extended => posix::translated(pattern).map_err(wrong)?,
        Syntax::Basic => posix::translated_basic(pattern).map_err(wrong)?,
        // Perl calls the whole pattern again; here it would be a flag.
        Syntax::Perl if pattern.replace(r"\(", "").contains("(?R") => {
            return Err(wrong("`(?R)` is a recursion\nGNU grep -P may know it".to_string()));
        }
        Syntax::Perl => pattern.to_string(),
        Syntax::Fixed => regex_syntax::escape(pattern),
    };
    regex_syntax::ParserBuilder::new()
        .multi_line(true)
        .utf8(false)
        .unicode(!pattern.is_ascii())
        .case_insensitive(reading.ignore_case)
        .build()
        .parse(&text)
        .map_err(|e| wrong(in_a_word(&e)))
}

/// The first part of an extended pattern that plain `grep` reads otherwise, and what it means here. None if the whole is no
/// basic pattern: `main\(` is what it looks like.
pub(crate) fn read_otherwise_by_plain_grep(pattern: &str) -> Option<(&'static str, &'static str)> {
    let found = posix::read_otherwise_by_plain_grep(pattern)?;
    parse(pattern, Reading { syntax: Syntax::Basic, ..Reading::default() }).is_ok().then_some(found)
}

/// The fault in a pattern, without the drawing of several lines that shows the place; in a second line the remedy, if
/// there is a special one.
fn in_a_word(error: &regex_syntax::Error) -> String {
    use regex_syntax::ast::ErrorKind;
    if let regex_syntax::Error::Parse(error) = error {
        let kind = error.kind();
        let is_of_perl = matches!(
            kind,
            ErrorKind::UnsupportedBackreference | ErrorKind::EscapeUnrecognized | ErrorKind::FlagUnrecognized
        );
        return match (*kind == ErrorKind::UnsupportedLookAround, is_of_perl) {
            (true, _) => posix::LOOK_AROUND.to_string(),
            (false, true) => format!("{kind}\nGNU grep -P may know it"),
            (false, false) => kind.to_string(),
        };
    }
    if let regex_syntax::Error::Translate(error) = error {
        return match *error.kind() == regex_syntax::hir::ErrorKind::UnicodeNotAllowed {
            true => "a class of Unicode\nbegin the pattern with (?u)".to_string(),
            false => error.kind().to_string(),
        };
    }
    error.to_string()
}

/// A DFA that follows all alternatives to the end. Not every pattern has one (Unicode `\b`); such
/// a pattern is not one that POSIX knows.
fn longest(hir: &Hir) -> Option<DFA> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(SIZE_LIMIT)))
        .build_from_hir(hir)
        .ok()?;
    DFA::builder()
        .configure(DFA::config().match_kind(MatchKind::All).skip_cache_capacity_check(true))
        .build_from_nfa(nfa)
        .ok()
}

/// The same pattern, unable to match a newline.
fn within_line(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => Hir::fail(),
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(class) => Hir::class(without_newline(class)),
        HirKind::Look(Look::Start) => Hir::look(Look::StartLF),
        HirKind::Look(Look::End) => Hir::look(Look::EndLF),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(within_line(&repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Capture(group) => within_line(&group.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(within_line).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(within_line).collect()),
    }
}

fn without_newline(class: &Class) -> Class {
    match class.clone() {
        Class::Unicode(mut class) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Class::Unicode(class)
        }
        Class::Bytes(mut class) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Class::Bytes(class)
        }
    }
}

fn has_lazy_operator(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => !repetition.greedy || has_lazy_operator(&repetition.sub),
        HirKind::Capture(group) => has_lazy_operator(&group.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_lazy_operator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, text: &[u8]) -> Option<Range<usize>> {
        let reading = Reading { syntax: Syntax::Perl, ..Reading::default() };
        let matcher = Matcher::new(&[pattern.to_string()], reading).unwrap();
        matcher.searcher().find(text, 0..text.len())
    }

    #[test]
    fn no_match_crosses_a_line() {
        assert_eq!(find("a\\s*b", b"a\nb a b"), Some(4..7));
        assert_eq!(find("a[^x]b", b"a\nb"), None);
        assert_eq!(find("(?s)a.b", b"a\nb"), None);
        assert_eq!(find("a\\nb", b"a\nb"), None);
        assert_eq!(find("a[\\n]b", b"a\nb"), None);
        assert_eq!(find("\\Ab", b"a\nb"), Some(2..3));
        assert_eq!(find("a\\z", b"a\nb"), Some(0..1));
        assert_eq!(find("(?-m:^b)", b"a\nb"), Some(2..3));
        assert_eq!(find("ä[^x]ö", "ä\nö".as_bytes()), None);
    }

    #[test]
    fn scratch_memory_is_used_again() {
        let matcher = Matcher::new(&["a".to_string()], Reading::default()).unwrap();
        drop(matcher.searcher());
        drop(matcher.searcher());
        assert_eq!(matcher.scratch.lock().unwrap().len(), 1);
    }

    /// Each is read as GNU grep reads it, or refused.
    #[test]
    fn extended_patterns_mean_what_they_mean_to_grep() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let lines = "a\n*a\nba\n{1}a\na{\na{,2}\naa\naaa\na)\n)\n+\na{1\na{1,x}\na{x}\n\\\nd\n5\n]\nb]\n\\]\na[\n\n\
                     ab\n`\n'\n(\n?\n-\n,\n.\na.b\nA\n";
        std::fs::write(&file, lines).unwrap();
        let patterns = "*a|+a|?a|a{|a{,2}|a{1|a{1,x}|a{x}|a)|)|(*a)|[\\]]|[]]|[[=a=]]|[[.a.]]|[[.-.]]|[:a]|()|a**|\
                        a*{2}|a{2}{2}|a{,}|\\`a|a\\'|[a-]|[%--]|[a\\]b]|\\(|(^a)|a{1}*|a{ 1}|a{1}{|(){2}|[--a]|[a-a]|[.]|[\\.]|\
                        [^a]|[^]a]|[[:alpha:]]|[^[:alpha:]]|[&&a]|[a~~]|\\<a|b\\>|\\w|\\W|\\.|a{2}+|}|[[:digit:]-]|[a^]|$|a$|[*+?{}()]";
        let patterns =
            patterns.split('|').chain(["b|*a", "a|b", "(a|b)(,|\\])?", "a|", "|a", "[a|]", "(+|a)", "(|a)"]);
        finds_what_grep_finds("-aEo", Reading::default(), &file, patterns);
        let basic = Reading { syntax: Syntax::Basic, ..Reading::default() };
        let patterns = [
            r"a*|*a|^*a|a+|a?|\(a\)|(|)|{a|a{1|\(*a\)|\(^a\)|\(a$\)|a\{2\}|a\{1,\}|a\{,2\}|a\+|ba\?|+|?|^^|a^|a$b|$a|a**",
            r"\(\)|\(b\)*a|[]]|[\]|\.|.|^$|\<a|\w|}|\}|a\{2\}*|\(a\{2\}\)|a\{1\}\{2\}|()|{1}a|^+|(^a)",
        ]
        .join("|");
        let patterns =
            patterns.split('|').chain([r"a\|b", r"\(*a\|\*\)", r"^*\|^b", r"a$\|)", "a|b", r"\(a\|^b\)a"]);
        finds_what_grep_finds("-aGo", basic, &file, patterns);
    }

    /// GNU prints `1` for `{1` with -o.
    #[test]
    fn a_brace_that_repeats_nothing_is_itself() {
        for (pattern, line, is_found) in [
            ("{", "b{", true),
            ("{1", "a{1}", true),
            ("{1", "a1", false),
            ("b|{x}", "{x}", true),
            ("^{", "a{", false),
        ] {
            let matcher = Matcher::new(&[pattern.to_string()], Reading::default()).unwrap();
            let found = matcher.searcher().find(line.as_bytes(), 0..line.len());
            assert_eq!(found.is_some(), is_found, "{pattern} {line}");
        }
    }

    fn finds_what_grep_finds<'p>(
        options: &str,
        reading: Reading,
        file: &std::path::Path,
        patterns: impl Iterator<Item = &'p str>,
    ) {
        let lines = std::fs::read_to_string(file).unwrap();
        for pattern in patterns {
            let words = [options, "-e", pattern].map(str::to_string);
            let wanted = crate::jobs::testing::gnu("grep", &words, &[file.to_path_buf()]).stdout;
            let matcher = Matcher::new(&[pattern.to_string()], reading);
            let matcher = matcher.unwrap_or_else(|e| panic!("{pattern}: {e}"));
            let mut searcher = matcher.searcher();
            let mut out = String::new();
            for line in lines.lines() {
                let mut at = 0;
                while let Some(found) = searcher.find(line.as_bytes(), at..line.len()) {
                    let end = searcher.longest(line.as_bytes(), found.clone(), line.len());
                    if end > found.start {
                        out += &line[found.start..end];
                        out.push('\n');
                    }
                    at = end.max(found.start + 1);
                    if at > line.len() {
                        break;
                    }
                }
            }
            assert_eq!(out, String::from_utf8_lossy(&wanted), "{pattern}");
        }
    }

    #[test]
    fn no_pattern_makes_it_panic() {
        const PARTS: [&str; 28] = [
            "\\", "(", ")", "{", "}", "[", "]", "^", "$", "|", "*", "+", "?", ".", ",", "1", "a", "é", "€",
            "-", ":", "=", "x", "b", "<", "p", "[:", "?:",
        ];
        let mut random = crate::jobs::testing::Random(9);
        for _ in 0..20_000 {
            let pattern: String = (0..random.below(7)).map(|_| PARTS[random.below(PARTS.len())]).collect();
            for syntax in [Syntax::Extended, Syntax::Basic, Syntax::Perl, Syntax::Fixed] {
                parse(&pattern, Reading { syntax, ..Reading::default() }).ok();
            }
            read_otherwise_by_plain_grep(&pattern);
        }
    }

    #[test]
    fn a_part_that_plain_grep_reads_otherwise_is_named_if_it_can_be_meant_so() {
        let named =
            [r"a\|b", r"foo\(\)", r"c\+\+", r"a\?", r"a\{2\}", "$HOME", "a^b", "(a|$b)", "a*^b", r"[|]\|a"];
        for (pattern, part) in
            named.iter().zip([r"\|", r"\(", r"\+", r"\?", r"\{", "$", "^", "$", "^", r"\|"])
        {
            assert_eq!(read_otherwise_by_plain_grep(pattern).map(|(part, _)| part), Some(part), "{pattern}");
        }
        for pattern in [
            r"main\(", r"a\{1", "(^a|b$)", "^a$", r"[\|$^]", r"\$a", r"\\|b", "a|b", r"a\)", r"\.", "a{2}",
            "(", "^*",
        ] {
            assert_eq!(read_otherwise_by_plain_grep(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn what_grep_reads_in_a_way_that_nobody_expects_is_refused_with_the_reason() {
        for (pattern, says) in [
            ("{1}a", "[{]"),
            ("$*a", "nothing to repeat"),
            ("^*a", "nothing to repeat"),
            (r"\<*a", r"nothing to repeat after `\<`"),
            (r"a\b{2}", "nothing to repeat"),
            (r"a\`?b", r"nothing to repeat after `\``"),
            ("(*)a", "repeats nothing"),
            ("a+?", "-P"),
            ("a{2,1}", "no number"),
            ("x{1,2,3}", "no number"),
            ("a{}", "no number"),
            ("a{99999}", "no number"),
            ("[\\d]", "[[:digit:]]"),
            ("[a", "no `]`"),
            ("[[.space.]]", "no single character"),
            ("[a[a--b]", "no such end"),
            ("[a-b-c]", "no such end"),
            ("[:space:]", "[[:space:]]"),
            ("[[:foo:]]", "no class"),
            ("(a)\\1", "GNU grep can"),
            ("a(?=b)", "looks around"),
            ("a\\", "backslash"),
            ("(a", "unclosed group"),
        ] {
            let error = Matcher::new(&[pattern.to_string()], Reading::default()).unwrap_err().to_string();
            assert!(error.contains(says), "{pattern}: {error}");
        }
        let basic = Reading { syntax: Syntax::Basic, ..Reading::default() };
        for (pattern, says) in [
            (r"a\(", "unclosed group"),
            (r"a\)", "closes no group"),
            (r"a\{1", r"no `\}`"),
            (r"a\{1a\}", "no number"),
            (r"^\{1\}", "nothing to repeat"),
            (r"\(\{1\}a\)", "nothing to repeat"),
            (r"\+a", "nothing to repeat"),
            (r"\(a\)\1", "GNU grep can"),
            (r"\B*a", r"nothing to repeat after `\B`"),
            (r"a\>\?", r"nothing to repeat after `\>`"),
        ] {
            let error = Matcher::new(&[pattern.to_string()], basic).unwrap_err().to_string();
            assert!(error.contains(says), "{pattern}: {error}");
        }
        let perl = Reading { syntax: Syntax::Perl, ..Reading::default() };
        for (pattern, says) in [
            ("a(?!b)", "looks around"),
            (r"a\K", "GNU grep -P may"),
            ("(?>a)", "GNU grep -P may"),
            (r"\((?:a|(?R))\)", "GNU grep -P may"),
            (r"(a)\1", "GNU grep -P may"),
            (r"\p{L}", "(?u)"),
        ] {
            let error = Matcher::new(&[pattern.to_string()], perl).unwrap_err().to_string();
            assert!(error.contains(says), "{pattern}: {error}");
        }
    }
}
