//! Extended and basic regular expressions as GNU grep reads them, in the words of `regex`.
//!
//! The two differ in places where both accept the pattern, and then a line is found or not without a word. So the
//! pattern is read here by the rules of POSIX, and written again in full. Where GNU itself warns, or means
//! something that no reader of the pattern expects (`{1}a` finds `1}a`), the pattern is refused with what to write
//! instead. Escapes that POSIX leaves open stay what `regex` makes of them: `\d`, `\t`, `\x41`, and groups with
//! flags, `(?i)`.

/// Translates an extended pattern into one for `regex`. The error is a sentence that says why that is impossible.
pub(super) fn translated(pattern: &str) -> Result<String, String> {
    read(pattern, |reader, next| reader.one(next))
}

/// Translates a basic pattern: some characters are operators only after a backslash.
pub(super) fn translated_basic(pattern: &str) -> Result<String, String> {
    read(pattern, |reader, next| reader.one_basic(next))
}

fn read(pattern: &str, one: fn(&mut Reader<'_>, char) -> Result<(), String>) -> Result<String, String> {
    let mut reader = Reader::new(pattern);
    while let Some(next) = reader.take() {
        one(&mut reader, next)?;
    }
    Ok(reader.out)
}

/// The first part of an extended pattern that plain `grep` reads otherwise, and what it means here. Only a part that hardly
/// anybody means so is one: an operator of basic patterns, or an anchor that lets nothing match.
pub(super) fn read_otherwise_by_plain_grep(pattern: &str) -> Option<(&'static str, &'static str)> {
    const OPERATORS: [(&str, &str); 5] = [
        (r"\|", "the character |"),
        (r"\(", "the character ("),
        (r"\{", "the character {"),
        (r"\+", "the character +"),
        (r"\?", "the character ?"),
    ];
    let mut reader = Reader::new(pattern);
    loop {
        let (text, before) = (reader.rest, reader.before);
        let next = reader.take()?;
        match next {
            '\\' => {
                if let Some(operator) = OPERATORS.into_iter().find(|(operator, _)| text.starts_with(operator))
                {
                    return Some(operator);
                }
            }
            '^' if matches!(before, Before::Operand | Before::Repeated) => {
                return Some(("^", "the beginning of a line"));
            }
            '$' if !(reader.rest.is_empty() || reader.rest.starts_with(['|', ')'])) => {
                return Some(("$", "the end of a line"));
            }
            _ => {}
        }
        reader.one(next).ok()?;
    }
}

/// What stands before a place in the pattern: a repetition there would repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// The beginning, or `^`, `(`, `|`.
    Nothing,
    /// A place, such as `$` and `\b`: it has no characters that could be repeated.
    Anchor(&'static str),
    Operand,
    Repeated,
}

struct Reader<'p> {
    rest: &'p str,
    out: String,
    before: Before,
    open: usize,
}

/// POSIX has these classes, and `regex` has them with the same names.
const CLASSES: [&str; 12] = [
    "alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph", "cntrl",
    "xdigit",
];

/// More repetitions are an error of grep.
const MOST: u32 = 32_767;

impl<'p> Reader<'p> {
    fn new(pattern: &'p str) -> Self {
        Self { rest: pattern, out: String::new(), before: Before::Nothing, open: 0 }
    }
}

impl Reader<'_> {
    fn take(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn takes(&mut self, wanted: &str) -> bool {
        self.rest.strip_prefix(wanted).map(|rest| self.rest = rest).is_some()
    }

    fn put(&mut self, text: &str, before: Before) -> Result<(), String> {
        self.out.push_str(text);
        self.before = before;
        Ok(())
    }

    fn one(&mut self, next: char) -> Result<(), String> {
        match next {
            '\\' => self.escape(),
            '[' => self.bracket(),
            '(' => self.group(),
            ')' if self.open == 0 => self.put("\\)", Before::Operand),
            ')' => {
                self.open -= 1;
                self.put(")", Before::Operand)
            }
            '|' => self.put("|", Before::Nothing),
            '^' => self.put("^", Before::Nothing),
            '$' => self.put("$", Before::Anchor("$")),
            '*' | '+' | '?' => self.repetition(next),
            '{' => self.interval(),
            '}' => self.put("\\}", Before::Operand),
            _ => self.put(next.encode_utf8(&mut [0; 4]), Before::Operand),
        }
    }

    fn one_basic(&mut self, next: char) -> Result<(), String> {
        let begins =
            self.out.is_empty() || (self.before == Before::Nothing && self.out.ends_with(['(', '|']));
        let ends = self.rest.is_empty() || self.rest.starts_with("\\)") || self.rest.starts_with("\\|");
        let is_itself = match next {
            '\\' => return self.basic_escape(),
            '*' => self.before == Before::Nothing,
            '^' => !begins,
            '$' => !ends,
            _ => "(){}|+?".contains(next),
        };
        if is_itself { self.put(&format!("\\{next}"), Before::Operand) } else { self.one(next) }
    }

    fn basic_escape(&mut self) -> Result<(), String> {
        let next = self.rest.chars().next().filter(|next| "(){|+?".contains(*next));
        let Some(next) = next else { return self.escape() };
        self.take();
        match next {
            ')' if self.open == 0 => Err("`\\)` closes no group; write ) for the character".into()),
            '(' => {
                self.open += 1;
                self.put("(", Before::Nothing)
            }
            '{' => {
                let (inner, rest) = self.rest.split_once("\\}").ok_or("`\\{` has no `\\}`")?;
                let text = format!("{inner}}}");
                let numbers = interval(&text)?.filter(|(_, _, length)| *length == text.len());
                let (least, most, _) =
                    numbers.ok_or_else(|| format!("`\\{{{inner}\\}}` is no number of repetitions\nat most {MOST}, and the smaller number first"))?;
                self.rest = rest;
                self.times(least, most, &text)
            }
            '+' | '?' if self.before == Before::Nothing => {
                Err(format!("`\\{next}` has nothing to repeat; write {next} for the character"))
            }
            _ => self.one(next),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(next) = self.take() else { return Err("ends with a backslash".into()) };
        match next {
            '`' => return self.put("\\A", Before::Anchor("\\`")),
            '\'' => return self.put("\\z", Before::Anchor("\\'")),
            '1'..='9' => {
                return Err(format!("\\{next} refers back to a group, and this search cannot\nGNU grep can"));
            }
            _ => {}
        }
        self.out.extend(['\\', next]);
        // `\x{41}`, `\p{Greek}`, `\b{start}`: the brace belongs to the escape.
        let has_name = self.rest.strip_prefix('{').is_some_and(|name| {
            matches!(next, 'x' | 'u' | 'U' | 'p' | 'P')
                || (next == 'b' && name.starts_with(|first: char| first.is_ascii_alphabetic()))
        });
        if let (true, Some(end)) = (has_name, self.rest.find('}')) {
            self.out.push_str(&self.rest[..=end]);
            self.rest = &self.rest[end + 1..];
        }
        let anchor = ["\\b", "\\B", "\\<", "\\>"].into_iter().find(|anchor| anchor.ends_with(next));
        self.put("", anchor.map_or(Before::Operand, Before::Anchor))
    }

    fn group(&mut self) -> Result<(), String> {
        self.open += 1;
        self.put("(", Before::Nothing)?;
        if ["?=", "?!", "?<=", "?<!"].iter().any(|look| self.rest.starts_with(look)) {
            return Err(LOOK_AROUND.into());
        }
        if self.rest.starts_with('?') {
            let end = self.rest.find([':', ')', '>']).unwrap_or(self.rest.len());
            let end = if self.rest[end..].starts_with(')') { end } else { (end + 1).min(self.rest.len()) };
            self.out.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
        }
        Ok(())
    }

    fn repetition(&mut self, how: char) -> Result<(), String> {
        match (self.before, how) {
            // GNU finds other lines with -o than without.
            (Before::Nothing, _) if self.out.ends_with('^') => {
                Err(format!("`{how}` has nothing to repeat after `^`\nwrite \\{how} or [{how}] for the sign"))
            }
            (Before::Nothing, '*') if self.out.ends_with('(') && self.rest.starts_with(')') => {
                Err("`(*)` repeats nothing\nwrite (\\*) for an asterisk".into())
            }
            // GNU warns, and finds what it would find without it.
            (Before::Nothing, _) => Ok(()),
            (Before::Anchor(place), _) => {
                Err(format!("`{how}` has nothing to repeat after `{place}`\nwrite [{how}] for the sign"))
            }
            (Before::Repeated, '?') => {
                Err("`?` after a repetition: with -P as few as possible; or write (…)?".into())
            }
            (Before::Operand | Before::Repeated, _) => {
                self.put(how.encode_utf8(&mut [0; 4]), Before::Repeated)
            }
        }
    }

    /// `{2}`, `{2,}`, `{,3}`, `{2,3}`; any other brace is itself, as it is when GNU selects lines (the -o of GNU leaves
    /// one out at the beginning).
    fn interval(&mut self) -> Result<(), String> {
        let Some((least, most, length)) = interval(self.rest)? else {
            return self.put("\\{", Before::Operand);
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.times(least, most, text)
    }

    fn times(&mut self, least: u32, most: Option<u32>, text: &str) -> Result<(), String> {
        if matches!(self.before, Before::Nothing | Before::Anchor(_)) {
            return Err(format!("`{{{text}` has nothing to repeat\nwrite [{{] for a brace"));
        }
        if most.is_some_and(|most| most < least) || most.unwrap_or(least) > MOST {
            return Err(format!(
                "`{{{text}` is no number of repetitions\nat most {MOST}, and the smaller number first"
            ));
        }
        let most = most.map(|most| most.to_string()).unwrap_or_default();
        self.put(&format!("{{{least},{most}}}"), Before::Repeated)
    }

    fn bracket(&mut self) -> Result<(), String> {
        const OPEN: &str = "`[` has no `]`";
        let inner = self.rest.split_once(']').map_or("", |(inner, _)| inner);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        if inner.strip_prefix(':').and_then(|inner| inner.strip_suffix(':')).is_some_and(is_name) {
            return Err(format!("a class has two pairs of brackets\nwrite [[{inner}]] for it"));
        }
        self.out.push('[');
        if self.takes("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if self.rest.is_empty() {
                return Err(OPEN.into());
            }
            if !first && self.takes("]") {
                return self.put("]", Before::Operand);
            }
            first = false;
            if self.takes("[:") {
                let (name, rest) = self.rest.split_once(":]").ok_or(OPEN)?;
                if !CLASSES.contains(&name) {
                    return Err(format!(
                        "[:{name}:] is no class\nclasses are [:digit:], [:space:], [:alpha:] and others of isalpha(3)"
                    ));
                }
                self.out.push_str(&format!("[:{name}:]"));
                self.rest = rest;
            } else {
                self.range()?;
            }
        }
    }

    /// A character of a set, or a range of them.
    fn range(&mut self) -> Result<(), String> {
        let from = self.member()?;
        push_member(&mut self.out, from);
        if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
            return Ok(());
        }
        self.takes("-");
        let to = self.member()?;
        if to < from || (self.rest.starts_with('-') && !self.rest.starts_with("-]")) {
            return Err(format!(
                "the range `{from}-{to}` has no such end\nthe smaller character stands first, and a - itself last, as in [az-]"
            ));
        }
        self.out.push('-');
        push_member(&mut self.out, to);
        Ok(())
    }

    fn member(&mut self) -> Result<char, String> {
        for (open, close) in [("[.", ".]"), ("[=", "=]")] {
            if self.takes(open) {
                let (name, rest) = self.rest.split_once(close).ok_or("`[` has no `]`")?;
                self.rest = rest;
                let mut chars = name.chars();
                return match (chars.next(), chars.next()) {
                    (Some(only), None) => Ok(only),
                    _ => Err(format!("`{open}{name}{close}` is no single character")),
                };
            }
        }
        let next = self.take().ok_or("`[` has no `]`")?;
        if next == '\\' && !self.takes("\\") && self.rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let letter = self.take().unwrap_or_default();
            let class = match letter {
                'd' => ", or [[:digit:]]",
                's' => ", or [[:space:]]",
                'w' => ", or [[:alnum:]_]",
                _ => "",
            };
            return Err(format!(
                "in brackets `\\{letter}` is two characters\nfor both: [\\\\{letter}]; for what Perl means: -P{class}"
            ));
        }
        Ok(next)
    }
}

/// The reason for what many look for in vain.
pub(super) const LOOK_AROUND: &str = "looks around the match, and this search cannot\nGNU grep -P can";

fn push_member(out: &mut String, member: char) {
    // `\<` is something else.
    if member.is_ascii_punctuation() && !matches!(member, '<' | '>') {
        out.push('\\');
    }
    out.push(member);
}

/// The numbers of an interval, and its length after the brace.
fn interval(text: &str) -> Result<Option<(u32, Option<u32>, usize)>, String> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((inner, _)) = text.split_once('}') else { return Ok(None) };
    let parts: Vec<&str> = inner.split(',').collect();
    if !parts.iter().all(|part| is_number(part)) {
        return Ok(None);
    }
    let number = |part: &str, missing| match part {
        "" => Ok(missing),
        _ => part.parse().map(Some).map_err(|_| {
            format!("`{{{inner}}}` is no number of repetitions\nat most {MOST}, and the smaller number first")
        }),
    };
    let (least, most) = match parts.as_slice() {
        [both] if !both.is_empty() => (number(both, None)?, number(both, None)?),
        [least, most] => (number(least, None)?, number(most, None)?),
        _ => {
            return Err(format!(
                "`{{{inner}}}` is no number of repetitions\nat most {MOST}, and the smaller number first"
            ));
        }
    };
    Ok(Some((least.unwrap_or(0), most, inner.len() + 1)))
}
