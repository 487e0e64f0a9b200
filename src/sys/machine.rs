//! How busy the machine is: what `/proc` says of all processes together.

use std::fs;

/// How many threads run or want to run, this one not among them. `None` if the kernel does not say it.
pub(crate) fn runnable() -> Option<u64> {
    parse_runnable(&fs::read_to_string("/proc/loadavg").ok()?)
}

/// How many bytes of memory programs may still take without swapping. `None` if the kernel does not say it.
pub(crate) fn available_memory() -> Option<u64> {
    parse_available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_runnable(loadavg: &str) -> Option<u64> {
    let (running, _) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    running.parse::<u64>().ok().map(|running| running.saturating_sub(1))
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_both() {
        assert_eq!(parse_runnable("0.20 0.18 0.12 3/80 11206\n"), Some(2));
        assert_eq!(parse_available("MemTotal: 9 kB\nMemAvailable:     2048 kB\n"), Some(2 << 20));
        assert_eq!((parse_runnable(""), parse_available("x")), (None, None));
        assert!(runnable().is_some() && available_memory().is_some());
    }
}
