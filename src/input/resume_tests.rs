//! A whole job on a stream: broken, refused with another stream, continued with the same one.

use super::{Boundary, Chunk, Chunks};
use crate::ending::{Exit, REFUSED};
use crate::error::Result;
use crate::sink::FileSink;
use crate::task::{Job, TaskError};
use crate::{Context, Ending, Location, Run};
use serde_json::Value;
use std::fs;
use std::io::{PipeReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every chunk in capitals, with its place; breaks at one of them.
struct Capitals {
    breaks_at: Option<u64>,
    first: Arc<AtomicU64>,
}

impl Job for Capitals {
    type Task = Chunk;
    type Partial = ();
    type Total = ();

    fn name(&self) -> &str {
        "capitals"
    }

    fn fingerprint(&self) -> Value {
        Value::Null
    }

    fn run(&self, chunk: Chunk, cx: &Context<'_>) -> std::result::Result<(), TaskError> {
        if self.breaks_at == Some(cx.task()) {
            return Err(TaskError::Failed("breaks".into()));
        }
        self.first.fetch_min(cx.task(), Ordering::SeqCst);
        cx.emit(format!("{:?}\n", chunk.aligned_in(cx)?).into_bytes())?;
        let mut pieces = chunk.pieces()?;
        while let Some(piece) = pieces.next_piece()? {
            cx.emit(piece.to_ascii_uppercase())?;
        }
        Ok(())
    }

    fn fold(&self, (): &mut (), (): (), _out: &mut Vec<u8>) {}
}

/// A pipe with all of `text` in it, and its path, which is another one for every pipe.
fn pipe_with(text: &str) -> (PipeReader, PathBuf) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    assert!(text.len() < 60_000, "it fits into a pipe");
    writer.write_all(text.as_bytes()).unwrap();
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd()).into();
    (reader, path)
}

/// Runs the job on a file, a stream and the file again; how it ended, and its first task.
fn run(dir: &Path, text: &str, breaks_at: Option<u64>, block: u64) -> Result<(Ending, u64)> {
    let (_pipe, path) = pipe_with(text);
    let file = dir.join("file");
    let source = Chunks::new(vec![file.clone(), path, file], Boundary::newline()).block(Some(block));
    let first = Arc::new(AtomicU64::new(u64::MAX));
    let job = Capitals { breaks_at, first: Arc::clone(&first) };
    let sink = FileSink::new(dir.join("out"))?;
    let state = Location::Directory(dir.join("out.bivouac"));
    let ending = Run::new(job, source).jobs(2).sink(sink).state(state).run();
    Ok((ending, first.load(Ordering::SeqCst)))
}

#[test]
fn a_job_on_a_stream_is_continued_with_the_same_stream_only() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("file"), "first\nsecond\n").unwrap();
    let text: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    let out = || fs::read_to_string(dir.join("out")).unwrap();

    let (ending, _) = run(dir, &text, None, 1000).unwrap();
    assert_eq!(ending.exit(), Exit::Code(0), "{ending:?}");
    let whole = out();
    assert!(whole.contains("LINE 4999\n"));
    let tasks = ending.summary().frontier;
    assert!(tasks > 45);

    // In the stream, and in the file after it.
    for breaks_at in [30, tasks - 1] {
        fs::remove_dir_all(dir.join("out.bivouac")).unwrap();
        let (broken, _) = run(dir, &text, Some(breaks_at), 1000).unwrap();
        assert_eq!(broken.summary().frontier, breaks_at, "{broken:?}");
        let record = || fs::read(dir.join("out.bivouac/checkpoint.json")).unwrap();
        let other = text.replacen("line 77\n", "LINE 77\n", 1);
        for other in [&other, &text[..9000], ""] {
            let (refused, first) = run(dir, other, None, 1000).unwrap();
            assert_eq!((refused.exit(), first), (Exit::Code(REFUSED), u64::MAX), "{refused:?}");
        }
        let frontier =
            |record: Vec<u8>| serde_json::from_slice::<Value>(&record).unwrap()["frontier"].clone();
        assert_eq!(frontier(record()), breaks_at, "what is done stands");
        let (ending, first) = run(dir, &text, None, 1_000_000).unwrap();
        assert_eq!((ending.exit(), first), (Exit::Code(0), breaks_at), "{ending:?}");
        assert_eq!(out(), whole);
    }

    // A finished job: with the same stream it says so; another one is not taken for it, nor lost.
    let (done, _) = run(dir, &text, None, 1000).unwrap();
    assert!(matches!(done, Ending::Finished { already: true, .. }), "{done:?}");
    for other in [format!("{text}more\n"), "other\n".to_string()] {
        let (refused, _) = run(dir, &other, None, 1000).unwrap();
        assert_eq!(refused.exit(), Exit::Code(REFUSED), "{refused:?}");
        assert_eq!(out(), whole);
    }
}
