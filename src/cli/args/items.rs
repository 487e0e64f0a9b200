//! The options of `each` about its items: how they are read, and where they go in the command.
//!
//! They are those of GNU parallel, and some of `xargs`. If a letter means different things to the two, it has the meaning of
//! parallel.

use crate::cli::parse;
use crate::jobs::columns::{Columns, Trim};
use crate::jobs::template::Syntax;
use bivouac::input::Reading;
use bivouac::{Error, Result};
use clap::Args;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// See the [module](self).
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Items")]
pub(crate) struct ItemArgs {
    /// Split each item at REGEX into columns: {1}, {2} and so on; blanks around them go (--trim)
    #[arg(short = 'C', long, value_name = "REGEX", allow_hyphen_values = true)]
    colsep: Option<String>,

    /// Items are records of CSV (RFC 4180), and their fields are columns; --colsep is then a character, not a
    /// comma
    #[arg(long)]
    csv: bool,

    /// With `:`: the first item of each source names its columns: {size} is then what {3} is
    #[arg(long, value_name = ":", value_parser = header, allow_hyphen_values = true)]
    header: Option<HeaderLine>,

    /// Remove white space around items or columns: n (nowhere), l (left), r (right), lr [default: n; with
    /// --colsep: lr]
    #[arg(long, value_name = "ENDS", allow_hyphen_values = true, value_parser = trim)]
    trim: Option<Trim>,

    /// Take one item of each source for each command, in step; a shorter source begins again
    #[arg(long, visible_alias = "xapply")]
    link: bool,

    /// Pass N items to each command, fewer to the last; like -n, but a word with {} in it is repeated for each
    /// item. 0 as with -n
    #[arg(short = 'N', long, value_name = "N", value_parser = parse::whole, allow_hyphen_values = true)]
    max_replace_args: Option<usize>,

    /// The same; and an item that ends with a blank is continued by the next
    #[arg(short = 'L', value_name = "N", allow_hyphen_values = true, value_parser = lines, overrides_with = "max_args")]
    max_lines: Option<usize>,

    /// The same as -L N, or -L 1
    #[arg(short = 'l', long = "max-lines", value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = lines, overrides_with_all = ["max_args", "max_lines"])]
    or_one_line: Option<usize>,

    /// The item STR ends its source; it and what follows are left out
    #[arg(short = 'E', long = "eof", value_name = "STR", allow_hyphen_values = true)]
    eof: Option<OsString>,

    /// Leave out items of nothing but blanks. Without items nothing is run in any case
    #[arg(short = 'r', long)]
    no_run_if_empty: bool,

    /// Take items in a random order; a job that goes on keeps its order. All items are read first
    #[arg(long)]
    shuf: bool,

    /// The order of --shuf: the same number and the same list give the same order
    #[arg(long, value_name = "N", allow_hyphen_values = true, requires = "shuf")]
    seed: Option<u64>,

    /// STR stands for the item in COMMAND, and {} does not. The other placeholders have options as well: --er {.}, --bnr {/},
    /// --dnr {//}, --bner {/.}, --seqreplace {#}, --slotreplace {%}
    #[arg(short = 'I', value_name = "STR", allow_hyphen_values = true, help_heading = "The command")]
    replace_str: Option<OsString>,

    /// The same; STR is {} if it is left out
    #[arg(short = 'i', long, value_name = "STR", num_args = 0..=1, require_equals = true, default_missing_value = "{}", overrides_with = "replace_str", help_heading = "The command")]
    replace: Option<OsString>,

    /// In place of {.}
    #[arg(long, visible_alias = "er", value_name = "STR", hide = true, allow_hyphen_values = true)]
    extensionreplace: Option<OsString>,

    /// In place of {/}
    #[arg(long, visible_alias = "bnr", value_name = "STR", hide = true, allow_hyphen_values = true)]
    basenamereplace: Option<OsString>,

    /// In place of {//}
    #[arg(long, visible_alias = "dnr", value_name = "STR", hide = true, allow_hyphen_values = true)]
    dirnamereplace: Option<OsString>,

    /// In place of {/.}
    #[arg(long, visible_alias = "bner", value_name = "STR", hide = true, allow_hyphen_values = true)]
    basenameextensionreplace: Option<OsString>,

    /// In place of {#}
    #[arg(long, value_name = "STR", hide = true, allow_hyphen_values = true)]
    seqreplace: Option<OsString>,

    /// In place of {%}
    #[arg(long, value_name = "STR", hide = true, allow_hyphen_values = true)]
    slotreplace: Option<OsString>,

    /// More placeholders, with a pattern or a place in them: {%.gz}, {#pre}, {:2:3}, {/old/new}, {^a}
    #[arg(long, help_heading = "The command")]
    plus: bool,
}

/// A random order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) seed: Option<u64>,
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeaderLine;

fn header(text: &str) -> std::result::Result<HeaderLine, String> {
    match text {
        ":" | "1" => Ok(HeaderLine),
        _ => Err("expected `:`: the header is the first line".to_string()),
    }
}

fn trim(text: &str) -> std::result::Result<Trim, String> {
    match text {
        "n" | "no" => Ok(Trim::default()),
        "l" => Ok(Trim { left: true, right: false }),
        "r" => Ok(Trim { left: false, right: true }),
        "lr" | "rl" => Ok(Trim { left: true, right: true }),
        _ => Err("expected `n`, `l`, `r` or `lr`".to_string()),
    }
}

fn lines(text: &str) -> std::result::Result<usize, String> {
    parse::whole(text).and_then(|lines| match lines {
        0 => Err("must be at least one; an example is `2`".to_string()),
        lines => Ok(lines),
    })
}

impl ItemArgs {
    /// How many items one command takes, if one of these options says so.
    pub(crate) fn per_command(&self) -> Option<usize> {
        self.max_replace_args.or(self.lines())
    }

    /// Whether a word with a placeholder in it is repeated for each item.
    pub(crate) fn repeats(&self) -> bool {
        self.per_command().is_some_and(|items| items > 1)
    }

    fn lines(&self) -> Option<usize> {
        self.max_lines.or(self.or_one_line)
    }

    /// Whether the first item of each source is none.
    pub(crate) fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// The order of the items; `None` is that of the list.
    pub(crate) fn order(&self) -> Option<Order> {
        self.shuf.then_some(Order { seed: self.seed })
    }

    /// How items become columns.
    pub(crate) fn columns(&self) -> Result<Columns> {
        match (&self.colsep, self.separator()?) {
            (_, Some(separator)) => Ok(Columns::csv(separator, self.trim)),
            (Some(pattern), None) => Columns::between(pattern, self.trim),
            (None, None) => Ok(Columns::whole(self.trim)),
        }
    }

    /// The byte between two fields of CSV.
    fn separator(&self) -> Result<Option<u8>> {
        if !self.csv {
            return Ok(None);
        }
        let bytes = self.colsep.as_ref().map_or(Ok(parse::Bytes(vec![b','])), |text| parse::bytes(text));
        match bytes {
            Ok(parse::Bytes(bytes)) if matches!(bytes.as_slice(), [byte] if !b"\"\r\n".contains(byte)) => {
                Ok(bytes.first().copied())
            }
            Ok(_) | Err(_) => Err(Error::usage("--colsep", "with --csv it is one byte")
                .advise("give one such as ; or \\t; or leave --csv out where no field has quotes")),
        }
    }

    /// What of the sources is read as an item.
    pub(crate) fn reading(&self) -> Result<Reading> {
        Ok(Reading {
            csv: self.separator()?,
            header: self.has_header(),
            until: self.eof.as_ref().filter(|eof| !eof.is_empty()).map(|eof| eof.as_bytes().to_vec()),
            continued: self.lines().is_some(),
            skips_blank: self.no_run_if_empty,
            in_step: self.link,
        })
    }

    /// How placeholders are written; `words` is how many words an item has.
    pub(crate) fn syntax(&self, names: Vec<Vec<u8>>, words: usize, takes_none: bool) -> Result<Syntax> {
        let item = self.replace_str.as_ref().or(self.replace.as_ref()).filter(|item| *item != "{}");
        let renamed = [
            ("{}", "-I", item),
            ("{.}", "--extensionreplace", self.extensionreplace.as_ref()),
            ("{/}", "--basenamereplace", self.basenamereplace.as_ref()),
            ("{//}", "--dirnamereplace", self.dirnamereplace.as_ref()),
            ("{/.}", "--basenameextensionreplace", self.basenameextensionreplace.as_ref()),
            ("{#}", "--seqreplace", self.seqreplace.as_ref()),
            ("{%}", "--slotreplace", self.slotreplace.as_ref()),
        ];
        let given = renamed.into_iter().filter_map(|(usual, option, text)| Some((usual, option, text?)));
        let given = given.map(|(usual, option, text)| match text.is_empty() {
            true => {
                let advice = "give a text for the placeholder, as in -I ,,";
                Err(Error::usage(option, "is empty").advise(advice))
            }
            false => Ok((usual, text.as_bytes().to_vec())),
        });
        Ok(Syntax {
            renamed: given.collect::<Result<_>>()?,
            plus: self.plus,
            names,
            columns: (self.colsep.is_none() && !self.csv).then_some(words),
            takes_none,
        })
    }
}
