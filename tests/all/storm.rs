//! A storm: thousands of signals that end nothing, from two senders at once, while a job works.
//!
//! Signals do not queue, so most of these are never seen, and which ones is chance. What must hold
//! whatever is seen: the job is not stuck at the end, and its bytes are right. `scripts/torture` has the
//! same with a hundred thousand.

use crate::data::Random;
use crate::jobs::GREP;
use nix::sys::signal::Signal::{SIGCONT, SIGTSTP, SIGUSR1, SIGWINCH};
use nix::sys::signal::kill;
use std::thread;

const EACH: usize = 2500;

#[test]
fn five_thousand_signals_from_two_senders_do_no_harm() {
    let world = GREP.world();
    let run = GREP.braked(&world).start().until_checkpoint_at_least(1);
    let pid = run.pid();
    let sent: usize = thread::scope(|scope| {
        let senders = [1, 2].map(|seed| {
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for number in 0..EACH {
                    // Suspended and continued, or something that is only asked.
                    let signals: &[_] = match random.below(4) {
                        0 => &[SIGUSR1],
                        1 => &[SIGCONT],
                        2 => &[SIGWINCH],
                        _ => &[SIGTSTP, SIGCONT],
                    };
                    // None of these ends it, so the number stays its own; if it did, the next fails.
                    if signals.iter().any(|&signal| kill(pid, signal).is_err()) {
                        return number;
                    }
                    // A breath, or the kernel sees one signal where a hundred were sent.
                    thread::park_timeout(std::time::Duration::from_micros(200));
                }
                EACH
            })
        });
        senders.map(|sender| sender.join().unwrap()).iter().sum()
    });
    assert_eq!(sent, 2 * EACH, "the job ended before the storm");
    // One more, since the last TSTP of one sender may have come behind the last CONT of the other.
    run.signal(SIGCONT).let_go().wait().expect_code(0);
    GREP.expect_right_output(&world);
}
