//! An open file on the simulated disk.

use super::{Core, Omit, SimDisk, Verdict, errno};
use crate::durable::disk::{DiskFile, Facts};
use crate::sync::lock;
use std::io;
use std::sync::MutexGuard;

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) ino: u64,
    pub(super) handle: u64,
}

impl SimFile {
    fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.disk.0)
    }

    /// For a change through this file.
    fn unfenced(&self) -> io::Result<MutexGuard<'_, Core>> {
        let mut core = self.core();
        if !core.dead {
            core.here = core.name_of(self.ino);
        }
        match core.fenced.as_ref().is_some_and(|fenced| fenced.contains(&self.handle)) {
            true => Err(errno(libc::EIO)),
            false => Ok(core),
        }
    }

    fn sync(&self, omitted_as: Option<Omit>) -> io::Result<()> {
        let mut core = self.unfenced()?;
        match core.step(omitted_as)? {
            Verdict::Done => core.file(self.ino)?.sync(),
            Verdict::Omitted => {}
            Verdict::Broken(error) => {
                core.file(self.ino)?.dirty.clear();
                return Err(error);
            }
            Verdict::Torn { .. } => return Err(errno(libc::EIO)),
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut core = self.unfenced()?;
        let verdict = core.step(None)?;
        let (file, offset) = (core.file(self.ino)?, offset as usize);
        match verdict {
            Verdict::Done | Verdict::Omitted => file.write(bytes, offset),
            Verdict::Broken(error) => {
                file.write(&bytes[..bytes.len() / 2], offset);
                return Err(error);
            }
            Verdict::Torn { first } => {
                file.tear(bytes, offset, first);
                return Err(errno(libc::EIO));
            }
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut core = self.core();
        core.alive()?;
        let content = &core.file(self.ino)?.now;
        let from = content.len().min(offset as usize);
        let count = buf.len().min(content.len() - from);
        buf[..count].copy_from_slice(&content[from..from + count]);
        Ok(count)
    }

    fn facts(&self) -> io::Result<Facts> {
        let core = self.core();
        core.alive()?;
        core.facts(self.ino)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut core = self.unfenced()?;
        match core.step(Some(Omit::Truncate))? {
            Verdict::Done => core.file(self.ino)?.truncate(bytes as usize),
            Verdict::Omitted => {}
            Verdict::Broken(error) => return Err(error),
            Verdict::Torn { .. } => return Err(errno(libc::EIO)),
        }
        Ok(())
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mut core = self.unfenced()?;
        let name = core.here.clone();
        core.whole_step(&name)?;
        core.file(self.ino)?.mode = mode;
        Ok(())
    }

    fn is_remote(&self) -> bool {
        self.core().fenced.is_some()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(Some(Omit::SyncData))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(None)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut core = self.core();
        core.alive()?;
        Ok(*core.locks.entry(self.ino).or_insert(self.handle) == self.handle)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut core = self.core();
        if core.locks.get(&self.ino) == Some(&self.handle) {
            core.locks.remove(&self.ino);
        }
    }
}
