//! An item that is a row of a table: its columns are the words of the command.
//!
//! The obvious place to take a row apart is where the list is read. But a list is compared with that of the last
//! run, a journal names its items, and a person looks for a line of his file: all of them mean the row as it was
//! written. So the row stays the item, and it is taken apart when a command is made of it. The way in which that happens is
//! part of the job's identity.

use crate::jobs::pattern::regex;
use bivouac::{Error, Result};
use csv_core::{ReadFieldResult, ReaderBuilder};
use regex_automata::meta::Regex;
use serde_json::{Value, json};
use std::borrow::Cow;

#[derive(Debug, Default)]
pub(crate) struct Columns {
    between: Between,
    /// The ends of each column at which white space is removed.
    trim: Trim,
}

#[derive(Debug, Default)]
enum Between {
    /// An item is one word.
    #[default]
    Nothing,
    Pattern(String, Regex),
    /// A byte that is in no quotes: RFC 4180.
    Csv(u8),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trim {
    pub(crate) left: bool,
    pub(crate) right: bool,
}

impl Columns {
    /// Columns with what matches `pattern` between them. They are trimmed, if nothing else is said. A pattern that matches
    /// between any two bytes is refused.
    pub(crate) fn between(pattern: &str, trim: Option<Trim>) -> Result<Self> {
        let refuse = |problem: String, advice: &'static str| Error::usage("--colsep", problem).advise(advice);
        let built = regex(pattern).map_err(|why| {
            let why = why.lines().next().unwrap_or_default();
            let advice = "a backslash takes the meaning from a character of it, as in \\|";
            refuse(format!("`{pattern}` is no regular expression: {why}"), advice)
        })?;
        if built.is_match(b"") {
            let advice = "write \\| for a bar, and + in place of *: it is a regular expression";
            return Err(refuse(format!("`{pattern}` matches an empty text"), advice));
        }
        let trim = trim.unwrap_or(Trim { left: true, right: true });
        Ok(Self { between: Between::Pattern(pattern.to_string(), built), trim })
    }

    pub(crate) fn csv(separator: u8, trim: Option<Trim>) -> Self {
        Self { between: Between::Csv(separator), trim: trim.unwrap_or_default() }
    }

    pub(crate) fn whole(trim: Option<Trim>) -> Self {
        Self { between: Between::Nothing, trim: trim.unwrap_or_default() }
    }

    pub(crate) fn is_one(&self) -> bool {
        matches!(self.between, Between::Nothing)
    }

    pub(crate) fn words<'a>(&self, items: &'a [Vec<u8>]) -> Cow<'a, [Vec<u8>]> {
        if self.is_one() && self.trim == Trim::default() {
            return Cow::Borrowed(items);
        }
        let trimmed = |mut word: &[u8]| {
            if self.trim.left {
                word = word.trim_ascii_start();
            }
            if self.trim.right {
                word = word.trim_ascii_end();
            }
            word.to_vec()
        };
        items.iter().flat_map(|item| self.take_apart(item)).map(|word| trimmed(&word)).collect()
    }

    fn take_apart<'a>(&self, item: &'a [u8]) -> Vec<Cow<'a, [u8]>> {
        match &self.between {
            Between::Nothing => vec![item.into()],
            Between::Pattern(_, pattern) => {
                pattern.split(item).map(|place| item[place.range()].into()).collect()
            }
            Between::Csv(separator) => fields(item, *separator).into_iter().map(Cow::Owned).collect(),
        }
    }

    /// The part of the job's identity that a continued run must repeat; `None` for items that are taken as they are.
    pub(crate) fn identity(&self) -> Option<Value> {
        let Trim { left, right } = self.trim;
        let trim = format!("{}{}", if left { "l" } else { "" }, if right { "r" } else { "" });
        match &self.between {
            Between::Nothing if trim.is_empty() => None,
            Between::Nothing => Some(json!({ "trim": trim })),
            Between::Pattern(pattern, _) => Some(json!({ "colsep": pattern, "trim": trim })),
            Between::Csv(separator) => Some(json!({ "csv": separator, "trim": trim })),
        }
    }

    /// Restores columns from their [`identity`](Columns::identity), to show the commands that were run.
    pub(crate) fn from_identity(identity: &Value) -> Option<Self> {
        let trim = identity["trim"].as_str().unwrap_or_default();
        let trim = Some(Trim { left: trim.contains('l'), right: trim.contains('r') });
        if let Some(pattern) = identity["colsep"].as_str() {
            return Self::between(pattern, trim).ok();
        }
        match identity["csv"].as_u64() {
            Some(separator) => Some(Self::csv(u8::try_from(separator).ok()?, trim)),
            None => Some(Self::whole(trim)),
        }
    }
}

fn fields(record: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut reader = ReaderBuilder::new().delimiter(separator).build();
    let (mut fields, mut field, mut buffer, mut rest) = (Vec::new(), Vec::new(), [0; 1024], record);
    loop {
        // No bytes at all are the end, which is said once the last field is out.
        let (result, read, written) = reader.read_field(rest, &mut buffer);
        rest = &rest[read..];
        field.extend_from_slice(&buffer[..written]);
        match result {
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
            ReadFieldResult::Field { .. } => fields.push(std::mem::take(&mut field)),
            ReadFieldResult::End => break,
        }
    }
    // An empty record is one empty field.
    if fields.is_empty() { vec![field] } else { fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(columns: &Columns, items: &[&str]) -> String {
        let items: Vec<Vec<u8>> = items.iter().map(|item| item.as_bytes().to_vec()).collect();
        let words = columns.words(&items);
        words.iter().map(|word| format!("<{}>", String::from_utf8_lossy(word))).collect()
    }

    #[test]
    fn rows_are_taken_apart_as_gnu_parallel_does() {
        let both = Some(Trim { left: true, right: true });
        let table: [(Columns, &[&str], &str); 13] = [
            (Columns::whole(None), &[" a ", "b"], "< a ><b>"),
            (Columns::whole(Some(Trim { left: true, right: false })), &[" a "], "<a >"),
            (Columns::between(",", None).unwrap(), &["a,b", "c"], "<a><b><c>"),
            (Columns::between(",", None).unwrap(), &["a,,b,"], "<a><><b><>"),
            (Columns::between(",", None).unwrap(), &[" a , b "], "<a><b>"),
            (Columns::between(",", Some(Trim::default())).unwrap(), &[" a , b "], "< a >< b >"),
            (Columns::between("[,;]", None).unwrap(), &["a,b;c"], "<a><b><c>"),
            (Columns::between("\\t", None).unwrap(), &["a\tb"], "<a><b>"),
            (Columns::between(" +", None).unwrap(), &["a   b"], "<a><b>"),
            (Columns::csv(b',', None), &["a,\"b \"\"c\"\"\n,d\",", " e"], "<a><b \"c\"\n,d><>< e>"),
            (Columns::csv(b';', None), &["a;\"b;c\"", ""], "<a><b;c><>"),
            (Columns::csv(b',', both), &[" a , b "], "<a><b>"),
            (Columns::csv(b',', None), &["5\" disk,x"], "<5\" disk><x>"),
        ];
        for (columns, items, expected) in table {
            assert_eq!(words(&columns, items), expected, "{columns:?}");
            let again = Columns::from_identity(&columns.identity().unwrap_or_default()).unwrap();
            assert_eq!(words(&again, items), expected, "{columns:?}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for pattern in ["(", "|", "", ",*"] {
            let error = Columns::between(pattern, None).unwrap_err().to_string();
            assert!(error.starts_with("--colsep: "), "{error}");
        }
    }
}
