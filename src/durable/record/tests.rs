//! The bytes of a record, and everything that is not one.

use super::*;
use crate::error::Kind;
use crate::task::Stretch;
use serde_json::json;

pub(crate) fn sample() -> Record {
    Record {
        format: FORMAT,
        program: "bivouac 0.1.0".into(),
        run: "5f1c".into(),
        job: "grep".into(),
        fingerprint: json!({"pattern": "a|b", "invert": false}),
        inputs: json!([{"path": "in.txt", "bytes": 9}]),
        journal_bytes: 0,
        phase: Phase::Working,
        epoch: 2,
        seq: 17,
        frontier: 3,
        mark: None,
        beyond: [],
        ahead: None,
        finished: Tasks::default(),
        failing: Tasks::default(),
        reach: None,
        whole: None,
        total: json!({"lines": 12, "mean": 0.1}),
        failed: 0,
        input_bytes: 12_582_912,
        tasks: Some(8),
        output: Some(Committed {
            bytes: 6,
            stretches: vec![Stretch { bytes: 6, crc32: 1 }],
            tail: "YWJjZGVm".into(),
            of_next: 0,
        }),
        saved_at: 1_796_000_000,
    }
}

fn parse(bytes: &[u8]) -> Result<Record> {
    Unverified::new(bytes.to_vec()).verify(Path::new("s/checkpoint.json"))
}

/// The format is a promise to other versions: a change of these bytes must raise [`FORMAT`].
const GOLDEN: &str = r#"{
  "format": 1,
  "program": "bivouac 0.1.0",
  "run": "5f1c",
  "job": "grep",
  "fingerprint": {
    "invert": false,
    "pattern": "a|b"
  },
  "inputs": [
    {
      "bytes": 9,
      "path": "in.txt"
    }
  ],
  "phase": "working",
  "epoch": 2,
  "seq": 17,
  "frontier": 3,
  "mark": null,
  "beyond": [],
  "total": {
    "lines": 12,
    "mean": 0.1
  },
  "failed": 0,
  "input_bytes": 12582912,
  "tasks": 8,
  "output": {
    "bytes": 6,
    "stretches": [
      {
        "bytes": 6,
        "crc32": 1
      }
    ],
    "tail": "YWJjZGVm"
  },
  "saved_at": 1796000000,
  "checksum": "ede3470f181aa6ef9c082701e0ff9addda334d14501d6447570c07409375a2ce"
}
"#;

#[test]
fn the_bytes_are_the_documented_ones() {
    let encoded = String::from_utf8(sample().encode().unwrap()).unwrap();
    assert_eq!(encoded, GOLDEN);
    assert_eq!(parse(GOLDEN.as_bytes()).unwrap(), sample());
}

#[test]
fn phases_and_exact_floats_survive() {
    for phase in [Phase::Working, Phase::Finalizing { code: 0 }, Phase::Done { code: 1 }] {
        let total = json!([0.1 + 0.2, 1.0 / 3.0, 123_456_789.123_456_79, u64::MAX]);
        let record = Record { phase, total, ..sample() };
        assert_eq!(parse(&record.encode().unwrap()).unwrap(), record);
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let bytes = sample().encode().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = parse(&flipped).expect_err("every byte of the file counts");
        assert_eq!(error.kind(), Kind::Refused, "bit {bit}: {error}");
    }
}

#[test]
fn no_cut_and_no_addition_goes_unnoticed() {
    let bytes = sample().encode().unwrap();
    for length in 0..bytes.len() {
        assert_eq!(parse(&bytes[..length]).unwrap_err().kind(), Kind::Refused, "cut to {length}");
    }
    assert!(parse(&[&bytes[..], b"\n"].concat()).is_err());
}

#[test]
fn a_newer_format_is_refused_before_anything_else_is_looked_at() {
    let error = parse(b"{\n  \"format\": 2,\n  nothing that we know").unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("format 2") && error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_damaged_record_is_named_and_the_way_out_too() {
    let text = parse(b"").unwrap_err().to_string();
    assert!(text.contains("s/checkpoint.json") && text.contains("start over"), "{text}");
}

#[test]
fn a_right_checksum_does_not_make_a_record() {
    let body = "{\n  \"format\": 1,\n  \"program\": 5,\n";
    let file = format!("{body}{CHECKSUM}{}{CLOSING}", blake3::hash(body.as_bytes()).to_hex());
    let error = parse(file.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("shape"), "{error}");
}
