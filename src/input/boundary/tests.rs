//! What a boundary says of itself, and where it finds one.

pub(in crate::input) mod naive;

use super::*;

#[test]
fn its_text_says_exactly_what_it_is() {
    let all = [
        (Boundary::newline(), r#"between "\n" and """#),
        (Boundary::nul(), r#"between "\x00" and """#),
        (Boundary::between(b"\n", b">").unwrap(), r#"between "\n" and ">""#),
        (Boundary::between(b"", b"\n>").unwrap(), r#"between "" and "\n>""#),
        (Boundary::between(b"a\" and \"", b"").unwrap(), r#"between "a\" and \"" and """#),
        (Boundary::between("é\\".as_bytes(), b"").unwrap(), r#"between "\xc3\xa9\\" and """#),
        (Boundary::fixed(100).unwrap(), "every 100 bytes"),
    ];
    for (boundary, text) in all {
        assert_eq!(boundary.to_string(), text);
    }
}

#[test]
fn what_would_be_a_boundary_everywhere_or_nowhere_is_wrong_usage() {
    for error in [Boundary::between(b"", b"").unwrap_err(), Boundary::fixed(0).unwrap_err()] {
        assert_eq!(error.kind(), crate::error::Kind::Usage);
    }
}

#[test]
fn only_what_ends_as_it_begins_can_overlap() {
    let apart = |end: &[u8], start: &[u8]| Boundary::between(end, start).unwrap().apart();
    assert_eq!(Boundary::newline().apart(), None);
    assert_eq!([apart(b"//\n", b""), apart(b"\n", b">"), apart(b"a", b"a")], [None; 3]);
    assert_eq!([apart(b"\n\n", b""), apart(b"", b"aba"), apart(b"aa", b"a")], [Some(2), Some(3), Some(2)]);
    assert_eq!(nearest(b"abcabcab"), 3);
    assert_eq!(nearest(&[b'a'; 100_000]), 1);
}

#[test]
fn a_search_finds_the_place_between_both_strings() {
    let fasta = Boundary::between(b"\n", b">").unwrap();
    assert_eq!(fasta.find_in(b">one\nAC>GT\n>two\n"), Some(11));
    assert_eq!(Boundary::between(b"", b">").unwrap().find_in(b"AC>GT"), Some(2));
    assert_eq!((fasta.back(), fasta.ahead()), (1, 1));
    assert_eq!(fasta.find_last_in(b">one\nAC>GT\n>two\n>three"), Some(16));
    assert_eq!(Boundary::between(b"", b">").unwrap().find_last_in(b">AC"), None, "nothing before it");
    assert_eq!(Boundary::fixed(10).unwrap().by_arithmetic(11), Some(20));
    assert_eq!(Boundary::fixed(10).unwrap().by_arithmetic(u64::MAX), Some(u64::MAX));
}
