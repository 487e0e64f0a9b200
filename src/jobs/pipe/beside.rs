//! A sink for jobs whose commands also write files beside the output. It looks after these files whenever the output begins,
//! is recorded, or is looked for.

use super::pieces::Pieces;
use super::told::Part;
use bivouac::error::Advice;
use bivouac::{Committed, Error, Result, Sink, StopFd};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files.
#[derive(Clone, Debug)]
pub(crate) enum Files {
    /// They are merged into the output.
    Pieces(Arc<Pieces>),
    /// They are listed in the output.
    Parts,
}

/// The sink.
#[derive(Debug)]
pub(crate) struct Beside<S> {
    inner: S,
    files: Files,
    output: PathBuf,
}

impl Files {
    /// For a run with its state and its output there.
    pub(crate) fn beside<S: Sink>(self, sink: S, (state, output): (&Path, Option<&Path>)) -> Beside<S> {
        match &self {
            Files::Pieces(pieces) => pieces.place(state),
            Files::Parts => {}
        }
        Beside { inner: sink, files: self, output: output.map(Path::to_path_buf).unwrap_or_default() }
    }
}

impl<S> Beside<S> {
    /// The first part that is missing or has another size, of those that so many bytes of the list name.
    fn lost(&self, list: &Path, bytes: u64) -> Result<Option<PathBuf>> {
        if !matches!(self.files, Files::Parts) || bytes == 0 {
            return Ok(None);
        }
        let mut text = Vec::new();
        let read = File::open(list).and_then(|file| file.take(bytes).read_to_end(&mut text));
        read.map_err(|e: io::Error| Error::io(list, "read", &e))?;
        let parts = serde_json::Deserializer::from_slice(&text).into_iter::<Part>();
        Ok(parts.flatten().find_map(|part| part.lost_from(list.parent().unwrap_or(Path::new("")))))
    }

    fn unfinished(&self) -> PathBuf {
        let mut part = self.output.clone().into_os_string();
        part.push(".part");
        part.into()
    }
}

impl<S: Sink> Sink for Beside<S> {
    delegate::delegate! {
        to self.inner {
            fn interrupt_by(&mut self, stop: &Arc<StopFd>);
            fn may_give_up(&self) -> bool;
            fn may_begin(&self) -> Result<()>;
            fn write(&mut self, bytes: &[u8]) -> Result<()>;
            fn make_durable(&mut self) -> Result<Committed>;
            fn begin_provisional(&mut self) -> Result<bool>;
            fn end_provisional(&mut self, keep: bool) -> Result<()>;
            fn can_continue(&self, committed: &Committed) -> bool;
            fn is_immediate(&self) -> bool;
            fn publish(&mut self) -> Result<()>;
            fn abandon(&mut self);
        }
    }

    fn may_go_on(&mut self, committed: &Committed) -> Result<()> {
        self.inner.may_go_on(committed)?;
        match self.lost(&self.unfinished(), committed.bytes)? {
            Some(part) => {
                Err(Error::refused(part.display(), "is missing, or is not the file that was written")
                    .advise("nothing was changed; bring the file back")
                    .or(Advice::StartAfresh))
            }
            None => Ok(()),
        }
    }

    fn begin(&mut self, committed: Option<&Committed>) -> Result<()> {
        match &self.files {
            Files::Pieces(pieces) => pieces.begin()?,
            Files::Parts => {}
        }
        self.inner.begin(committed)
    }

    fn recorded(&mut self) {
        match &self.files {
            Files::Pieces(pieces) => pieces.recorded(),
            Files::Parts => {}
        }
    }

    fn is_published(&mut self, committed: &Committed) -> Result<bool> {
        Ok(self.inner.is_published(committed)? && self.lost(&self.output, committed.bytes)?.is_none())
    }
}
