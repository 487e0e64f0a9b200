//! Symlinks of other users where we are about to write.
//!
//! In a directory that all users may write to (`/tmp`), another user may put a link under a name that we will use: to a file
//! that we may write and its owner may not. The kernel refuses to follow such a link (`fs.protected_symlinks`). But it does
//! not see links that a program resolves by itself, as the output does in order to rename within one directory. So the same
//! rule stands here: in a sticky directory that others may write to, a link is followed if it is ours or belongs to the
//! owner of the directory.

use super::{Dir, Disk, Facts, OsDisk, split};
use crate::error::{At, Error, Result};
use std::path::Path;

/// Sticky, and open to everybody.
const SHARED: u32 = 0o1002;

/// Refuses a link in `dir`, of which `link` is known, if it is another user's trap.
pub(crate) fn refuse_trap(dir: &dyn Dir, link: &Facts, path: &Path) -> Result<()> {
    let above = dir.own_facts().at(path, "look at the directory of")?;
    let is_trap = above.mode & SHARED == SHARED && link.uid != above.uid && !is_ours(link);
    if is_trap { Err(anothers(path, link)) } else { Ok(()) }
}

/// As `refuse_trap`, for a path whose last part may be a link. If nothing is there, there is no trap.
pub fn refuse_trap_at(disk: &dyn Disk, path: &Path) -> Result<()> {
    found(disk, path).map_or(Ok(()), |(dir, link)| refuse_trap(&*dir, &link, path))
}

/// Refuses another user's link, but not root's, for a name that we chose and the user has not typed.
pub fn refuse_anothers(path: &Path) -> Result<()> {
    match found(&OsDisk, path) {
        Some((_, link)) if !is_ours(&link) && link.uid != 0 => Err(anothers(path, &link)),
        Some(_) | None => Ok(()),
    }
}

/// The link of this name and its directory, if it is one. An error comes again when the path is opened.
fn found(disk: &dyn Disk, path: &Path) -> Option<(std::sync::Arc<dyn Dir>, Facts)> {
    let (above, name) = split(path)?;
    let dir = disk.open_dir(above).ok()?;
    let facts = dir.facts(name).ok()??;
    let is_link = !facts.is_file && !facts.is_dir && dir.read_link(name).is_ok();
    is_link.then_some((dir, facts))
}

fn is_ours(link: &Facts) -> bool {
    link.uid == nix::unistd::geteuid().as_raw()
}

fn anothers(path: &Path, link: &Facts) -> Error {
    let problem = format_args!("is a symlink of another user (uid {})", link.uid);
    Error::refused(path.display(), problem)
        .advise("nothing was touched; name the place itself, or another one")
}
