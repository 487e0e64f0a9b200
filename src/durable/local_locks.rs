//! File systems on which a lock holds on one host only.
//!
//! `flock` on a network file system reaches the server, unless the mount says otherwise. Then two hosts both get the
//! lock, no error says so, and both write. Nothing but the table of mounts tells it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a lock at `path` does not exclude other hosts, if that is known: the mount and its option.
pub fn why(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let device = path.ancestors().find_map(|above| fs::metadata(above).ok())?.dev();
    why_in(&fs::read_to_string("/proc/self/mountinfo").ok()?, (libc::major(device), libc::minor(device)))
}

fn why_in(mounts: &str, (major, minor): (u32, u32)) -> Option<String> {
    let device = format!("{major}:{minor}");
    // The last mount at a place hides earlier ones.
    let line = mounts.lines().rev().find(|line| line.split(' ').nth(2) == Some(&device))?;
    let (before, after) = line.split_once(" - ")?;
    let place = before.split(' ').nth(4)?;
    let mut fields = after.split(' ');
    let (kind, options) = (fields.next()?, fields.nth(1).unwrap_or_default());
    let all = before.split(' ').nth(5).into_iter().flat_map(|options| options.split(','));
    const LOCAL: &[&str] =
        &["nolock", "local_lock=all", "local_lock=flock", "localflock", "localflocks", "nobrl"];
    let is_local = |option: &&str| LOCAL.contains(option);
    if let Some(option) = options.split(',').chain(all).find(is_local) {
        return Some(format!("{place} ({kind}) is mounted with {option}"));
    }
    (kind == "fuse.sshfs").then(|| format!("{place} is sshfs, which has no locks between hosts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_says_whether_a_lock_reaches_the_server() {
        let mounts = "\
24 30 0:22 / /proc rw,nosuid - proc proc rw
90 30 0:51 / /a rw,relatime shared:1 - nfs srv:/a rw,vers=3,nolock,proto=tcp,local_lock=all,addr=1.2.3.4
91 30 0:52 / /b rw,relatime shared:1 - nfs4 srv:/b rw,vers=4.2,local_lock=none,addr=1.2.3.4
92 30 0:53 / /c rw,relatime - lustre 1.2.3.4@tcp:/c rw,localflock,lazystatfs
93 30 0:54 / /d rw,nosuid - fuse.sshfs user@host: rw,user_id=0
94 30 0:52 / /e rw,relatime - nfs srv:/b rw,vers=3,local_lock=flock";
        let why = |minor| why_in(mounts, (0, minor));
        assert_eq!(why(51).unwrap(), "/a (nfs) is mounted with nolock");
        assert_eq!(why(52).unwrap(), "/e (nfs) is mounted with local_lock=flock");
        assert_eq!(why(53).unwrap(), "/c (lustre) is mounted with localflock");
        assert!(why(54).unwrap().contains("sshfs"));
        assert_eq!((why(22), why(99)), (None, None));
        assert_eq!(why_in(&mounts.lines().take(3).collect::<Vec<_>>().join("\n"), (0, 52)), None);
    }
}
