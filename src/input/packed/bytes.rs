//! The bytes of a compressed file from one place on, read by position; or of a stream, as they come.
//!
//! A decoder in the middle of a member can neither be asked to wait nor be left and entered again. So the wait for a
//! stream is here, below the decoder. A stop ends it with an error of [`Kind::Interrupted`], which passes through the
//! decoder, and after which nothing is asked of it.

use super::Flaw;
use crate::error::{Error, Kind};
use crate::input::file::InputFile;
use crate::input::once::Once;
use crate::input::stream::Received;
use crate::sync::lock;
use crate::task::ListContext;
use crate::task::stop_fd::StopFd;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex};

const READ: u64 = 256 << 10;

#[derive(Debug)]
enum Origin {
    File(Arc<InputFile>),
    Stream { once: Arc<Mutex<Once>>, stop: StopFd, has_ended: bool },
}

#[derive(Debug)]
pub(super) struct Bytes {
    origin: Origin,
    /// Where `held` ends in the file or stream.
    at: u64,
    held: Vec<u8>,
    from: usize,
}

impl Bytes {
    pub(super) fn new(file: Arc<InputFile>, at: u64) -> Self {
        Self { origin: Origin::File(file), at, held: Vec::new(), from: 0 }
    }

    /// Those of a stream that this listing has taken.
    pub(super) fn of_stream(once: Arc<Mutex<Once>>, cx: &ListContext<'_>) -> Self {
        let origin = Origin::Stream { once, stop: cx.stop.clone(), has_ended: false };
        Self { origin, at: 0, held: Vec::new(), from: 0 }
    }

    /// The size of the file.
    pub(super) fn size(&self) -> u64 {
        match &self.origin {
            Origin::File(file) => file.identity().size,
            Origin::Stream { .. } => self.at,
        }
    }

    /// The place of the next byte.
    pub(super) fn place(&self) -> u64 {
        self.at - (self.held.len() - self.from) as u64
    }

    /// What is in memory from the next byte on: `wanted` bytes, or fewer at the end of the file.
    pub(super) fn look(&mut self, wanted: usize) -> Result<&[u8], Flaw> {
        let held = self.held.len() - self.from;
        if held < wanted {
            self.held.drain(..self.from);
            self.from = 0;
            self.read(held, wanted)?;
        }
        Ok(&self.held[self.from..])
    }

    /// Reads on after the `held` bytes, until there are `wanted` or it ends.
    fn read(&mut self, held: usize, wanted: usize) -> Result<(), Error> {
        match &mut self.origin {
            Origin::File(file) => {
                let left = file.identity().size - self.at;
                let more = left.min(READ.max((wanted - held) as u64)) as usize;
                self.held.resize(held + more, 0);
                let read = file.read_exact_at(&mut self.held[held..], self.at);
                if read.is_err() {
                    self.held.truncate(held);
                }
                read?;
                self.at += more as u64;
            }
            Origin::Stream { once, stop, has_ended } => {
                let stream = &mut lock(once).stream;
                while self.held.len() < wanted && !*has_ended {
                    let before = self.held.len();
                    let full = wanted.max(before + READ as usize);
                    match stream.fill(&mut self.held, full, &ListContext::real(stop))? {
                        Received::Some => {}
                        Received::End => *has_ended = true,
                        Received::Stopped => {
                            return Err(Error::new(
                                Kind::Interrupted,
                                stream.path().display(),
                                "is not read on",
                            ));
                        }
                    }
                    self.at += (self.held.len() - before) as u64;
                }
            }
        }
        Ok(())
    }

    /// The next bytes, which must be there.
    pub(super) fn take(&mut self, wanted: usize) -> Result<&[u8], Flaw> {
        if self.look(wanted)?.len() < wanted {
            return Err(Flaw::At(self.at, "the file ends".into()));
        }
        self.from += wanted;
        Ok(&self.held[self.from - wanted..self.from])
    }

    /// Passes zeros: tape and block devices fill files up with them. `true` at the end of the file.
    pub(super) fn skip_padding(&mut self) -> Result<bool, Flaw> {
        loop {
            let held = self.look(1)?;
            match held.iter().position(|byte| *byte != 0) {
                Some(zeros) => {
                    self.from += zeros;
                    return Ok(false);
                }
                None if held.is_empty() => return Ok(true),
                None => self.from = self.held.len(),
            }
        }
    }
}

/// For decoders that read by themselves.
impl BufRead for Bytes {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.look(1).map_err(|flaw| match flaw {
            Flaw::File(error) => io::Error::other(error),
            Flaw::At(_, why) => io::Error::other(why),
        })
    }

    fn consume(&mut self, amount: usize) {
        self.from += amount;
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// What a decoder says about the bytes at `place`, or this crate's own error that passed through it.
pub(super) fn flaw(error: io::Error, place: u64) -> Flaw {
    match error.downcast::<Error>() {
        Ok(error) => Flaw::File(error),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Flaw::At(place, "the file ends".into()),
        Err(error) => Flaw::At(place, error.to_string()),
    }
}
