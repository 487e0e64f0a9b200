//! File names as the GNU tools and `b3sum` print them, byte for byte.
//!
//! A file name may hold any byte but `/` and NUL, so every tool that prints names line by line
//! needs an escape for the newline; and each has chosen another.

use crate::jobs::text::is_invisible;
use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// As `wc` does: as it is, unless it contains a newline; then in the quotes of a shell.
pub(crate) fn as_wc_prints(path: &Path) -> Vec<u8> {
    let name = path.as_os_str().as_bytes();
    if name.contains(&b'\n') { in_shell_quotes(name) } else { name.to_vec() }
}

/// `'plain'$'\n\377''plain'`: unprintable bytes stand in `$'…'`.
fn in_shell_quotes(name: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    // The original makes a second pass over names with a quote and forgets to reset this; what it
    // prints is still right for a shell, with an empty string in front.
    let mut escaping = name.contains(&b'\'') && name.last().is_some_and(|last| !matches!(last, b' '..=b'~'));
    for &byte in name {
        let printable = matches!(byte, b' '..=b'~');
        if byte == b'\'' {
            quoted.extend_from_slice(br"'\''");
            escaping = false;
            continue;
        }
        match (escaping, printable) {
            (false, false) => quoted.extend_from_slice(b"'$'"),
            (true, true) => quoted.extend_from_slice(b"''"),
            (false, true) | (true, false) => {}
        }
        escaping = !printable;
        match byte {
            0x07..=0x0D => quoted.extend_from_slice(&[b'\\', b"abtnvfr"[usize::from(byte - 7)]]),
            _ if printable => quoted.push(byte),
            _ => quoted.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// As `sha256sum` and `b3sum` do, with a backslash before the whole line if anything in the name
/// was escaped; that is the second value. A name that is not UTF-8 is printed as it is, as `sha256sum` does;
/// `b3sum` replaces what it cannot show, and then no program can check that line.
pub(crate) fn escape(path: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if memchr::memchr3(b'\\', b'\n', b'\r', path).is_none() {
        return (Cow::Borrowed(path), false);
    }
    let mut escaped = Vec::with_capacity(path.len() + 1);
    for &byte in path {
        match byte {
            b'\\' => escaped.extend_from_slice(br"\\"),
            b'\n' => escaped.extend_from_slice(br"\n"),
            b'\r' => escaped.extend_from_slice(br"\r"),
            _ => escaped.push(byte),
        }
    }
    (Cow::Owned(escaped), true)
}

/// A name in a line that a person reads, with a backslash before it if anything in it was escaped: as [`escape`] does, and
/// with all other control characters escaped too.
pub(crate) fn for_terminal(path: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => shown.extend_from_slice(br"\\"),
                '\n' => shown.extend_from_slice(br"\n"),
                '\r' => shown.extend_from_slice(br"\r"),
                _ if character.is_ascii_control() => {
                    shown.extend_from_slice(format!("\\x{:02x}", character as u32).as_bytes());
                }
                _ if is_invisible(character) => {
                    shown.extend_from_slice(format!("\\u{{{:x}}}", character as u32).as_bytes());
                }
                _ => shown.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &byte in chunk.invalid() {
            match byte {
                // Where text is not UTF-8, these are control characters too.
                0x80..=0x9f => shown.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
                _ => shown.push(byte),
            }
        }
    }
    if shown != path {
        shown.insert(0, b'\\');
    }
    shown
}

/// Undoes [`escape`]; `None` if any other character follows a backslash.
pub(crate) fn unescape(name: &[u8]) -> Option<PathBuf> {
    let mut path = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        path.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::testing::{Random, gnu};
    use std::ffi::OsStr;
    use std::fs;

    #[test]
    fn odd_names_are_quoted_as_wc_quotes_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(3);
        for n in 0..30 {
            let alphabet = b"a'\"\\\n\t \x01\x1b\x07\xff$`!";
            let name: Vec<u8> = (0..1 + n % 9).map(|_| alphabet[random.below(alphabet.len())]).collect();
            let path = dir.path().join(OsStr::from_bytes(&name));
            fs::write(&path, "").unwrap();
            let mut expected = b"0 ".to_vec();
            expected.extend(as_wc_prints(&path));
            expected.push(b'\n');
            assert_eq!(gnu("wc", ["-l"], &[path]).stdout, expected);
        }
    }

    #[test]
    fn no_name_that_a_person_reads_has_anything_that_a_terminal_obeys() {
        let shown = |name: &[u8]| String::from_utf8(for_terminal(name)).unwrap();
        assert_eq!(shown("größer (1) '木'".as_bytes()), "größer (1) '木'");
        assert_eq!(shown(b"a\x1b[2J\x07\t\n"), r"\a\x1b[2J\x07\x09\n");
        assert_eq!(shown(b"back\\slash\r"), r"\back\\slash\r");
        assert_eq!(shown("\u{9b}2J\u{202e}".as_bytes()), r"\\u{9b}2J\u{202e}");
        assert_eq!(shown(b"\x9b2J"), r"\\x9b2J");
        assert_eq!(for_terminal(b"latin \xfc"), b"latin \xfc");
    }

    #[test]
    fn an_escaped_name_is_read_back() {
        for name in [&b"plain"[..], b"a\\n\n\r\\\\", b"\xff\n"] {
            let (escaped, changed) = escape(name);
            assert_eq!(changed, escaped != name);
            assert_eq!(unescape(&escaped).unwrap().as_os_str().as_bytes(), name);
        }
        assert_eq!(unescape(br"a\t"), None);
        assert_eq!(unescape(br"a\"), None);
    }
}
