//! How names, numbers and matches look: plainly, or in the colours of GNU grep.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    pub(super) color: bool,
    /// A zero byte follows a name.
    pub(super) zero: bool,
}

/// The parts of a line that have a colour, with the default colours of `GREP_COLORS`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Name,
    Number,
    Separator,
    Match,
}

impl Looks {
    pub(super) fn paint(self, part: Part, text: &[u8]) -> Vec<u8> {
        if !self.color || text.is_empty() {
            return text.to_vec();
        }
        let color = match part {
            Part::Name => "35",
            Part::Number => "32",
            Part::Separator => "36",
            Part::Match => "01;31",
        };
        [format!("\x1b[{color}m\x1b[K").as_bytes(), text, b"\x1b[m\x1b[K"].concat()
    }

    pub(super) fn name(self, path: &Path) -> Vec<u8> {
        let name = if path == Path::new("-") { b"(standard input)" } else { path.as_os_str().as_bytes() };
        self.paint(Part::Name, name)
    }

    /// A file's name as it stands before a line, colon included.
    pub(super) fn prefix(self, path: &Path) -> Vec<u8> {
        [self.name(path), self.after_name(b':')].concat()
    }

    fn after_name(self, separator: u8) -> Vec<u8> {
        if self.zero { vec![0] } else { self.separator(separator) }
    }

    pub(super) fn separator(self, separator: u8) -> Vec<u8> {
        self.paint(Part::Separator, &[separator])
    }

    /// The prefix of a line that stands near a selected one.
    pub(super) fn around(self, prefix: &[u8]) -> Vec<u8> {
        match prefix.strip_suffix(self.separator(b':').as_slice()) {
            Some(name) if !self.zero => [name, &self.separator(b'-')].concat(),
            Some(_) | None => prefix.to_vec(),
        }
    }
}
