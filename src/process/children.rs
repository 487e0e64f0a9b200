//! The table of children that run. Every signal from this process to a child is sent here.
//!
//! Between "it runs" and `kill` a worker may reap the child, and the kernel may give its number to another process. One
//! rule prevents that: until a child is *reaped*, its number stays its own, and so does that of its group. So the worker
//! that sees the end (`waitid` with `WNOWAIT`) takes the child out of this table and reaps it, both under the lock.
//! Signals are sent under the same lock, to children that are not reaped.

mod memory;

use self::memory::Rest;
use super::limits::Room;
use super::process_groups::ProcessGroups;
use super::spawn::{Inheritance, Streams};
use super::wait;
use crate::sync::lock;
use crate::sys::proc_stat::{self, Signals, Stat};
use crate::task::command::{Command, How, Tag, Usage};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Children {
    inheritance: Inheritance,
    table: Mutex<Table>,
    survey: Mutex<Survey>,
    /// Room for commands, once there was too little.
    pub(super) room: Room,
    /// The job has said that a process holds the output of a command that has ended.
    held_is_said: AtomicBool,
}

/// The living members of each group, and the time at which the last look at them began.
#[derive(Debug, Default)]
struct Survey {
    at: Option<Instant>,
    groups: BTreeMap<i32, Vec<Pid>>,
}

#[derive(Debug, Default)]
struct Table {
    /// All children are stopped.
    held: bool,
    /// By SIGSTOP, which no process can ignore.
    stopped_hard: bool,
    /// No further child may start.
    closed: bool,
    /// All children have received this signal of a stop.
    forwarded: Option<Signal>,
    /// Spawns that have not returned, by number, each with the time at which it began.
    births: BTreeMap<u64, Instant>,
    next_birth: u64,
    running: BTreeMap<i32, Child>,
    /// At least one child was ended.
    interfered: bool,
    /// For the watcher, if there is one.
    groups: Option<ProcessGroups>,
}

/// A child that has ended and is reaped.
pub(super) struct Reaped {
    pub(super) how: How,
    pub(super) usage: Usage,
    /// Whether we had told it to end.
    pub(super) told_to_end: bool,
    /// Its number for the watcher, if there is one.
    pub(super) tag: Option<Tag>,
}

impl Table {
    /// Takes a child out before it is reaped. Returns whether we had told it to end, and its tag.
    fn leave(&mut self, pid: Pid, how: Option<How>) -> (bool, Option<Tag>) {
        let Some(child) = self.running.remove(&pid.as_raw()) else { return (false, None) };
        let was_ended = child.told_to_end || how.is_none_or(is_order);
        self.interfered |= was_ended;
        if let (Some(groups), Some(tag)) = (&mut self.groups, child.tag) {
            if was_ended { groups.retire(tag) } else { groups.leave(tag) }
        }
        (child.told_to_end, child.tag)
    }
}

#[derive(Debug, Default)]
struct Child {
    /// We have asked it to end.
    told_to_end: bool,
    /// By SIGTERM, which is not repeated: to many programs a second SIGTERM means "at once", without cleaning up.
    had_sigterm: bool,
    /// It has ended, and other members of its group live.
    has_lost_its_leader: bool,
    /// Its number for the watcher.
    tag: Option<Tag>,
    /// The number of its birth.
    born: u64,
    rest: Rest,
}

/// During a suspension, a spawn that takes longer than this may hang.
const USUAL_SPAWN: Duration = Duration::from_millis(10);
/// The same at any other time.
const LONG_SPAWN: Duration = Duration::from_millis(200);

/// How long a suspension waits for children to stop by themselves.
pub(crate) const TO_STOP: Duration = Duration::from_millis(50);

impl Children {
    pub(crate) fn new(inheritance: Inheritance, groups: Option<ProcessGroups>) -> Self {
        let table = Mutex::new(Table { groups, ..Table::default() });
        let (survey, room) = (Mutex::default(), Room::default());
        Self { inheritance, table, survey, room, held_is_said: AtomicBool::new(false) }
    }

    /// Whether this is the first pipe that is held by a process after the end of its command.
    pub(super) fn is_first_held_pipe(&self) -> bool {
        !self.held_is_said.swap(true, Ordering::Relaxed)
    }

    pub(super) fn given_as_ignored(&self) -> Signals {
        self.inheritance.ignored
    }

    /// The number of children, also of those that are just being started.
    pub(super) fn count(&self) -> usize {
        let table = lock(&self.table);
        table.running.len() + table.births.len()
    }

    /// Starts a child and puts it into the table. `Ok(None)`: children are held, or none may start any more;
    /// the caller passes the gate and tries again. An error is the system's reason.
    pub(crate) fn spawn(&self, command: &Command, streams: Streams<'_>) -> nix::Result<Option<Pid>> {
        let mut table = lock(&self.table);
        if table.held || table.closed {
            return Ok(None);
        }
        let birth = table.next_birth;
        table.next_birth += 1;
        table.births.insert(birth, Instant::now());
        let tag = table.groups.as_mut().map(ProcessGroups::prepare);
        drop(table);
        let spawned = self.inheritance.spawn(command, streams, tag.unwrap_or_default());
        let mut table = lock(&self.table);
        table.births.remove(&birth);
        if let (Some(groups), Some(tag)) = (&mut table.groups, tag) {
            match spawned {
                Ok(pid) => groups.enter(tag, pid.as_raw()),
                Err(_) => groups.give_back(tag),
            }
        }
        if let Ok(pid) = spawned {
            table.running.insert(pid.as_raw(), Child { tag, born: birth, ..Child::default() });
            // The supervisor may have said it during the spawn.
            let said = if table.closed { Some(Signal::SIGTERM) } else { table.forwarded };
            if let (Some(signal), Some(child)) = (said, table.running.get_mut(&pid.as_raw())) {
                child.end(pid, signal);
            }
            if table.held && !table.closed {
                tell(pid, if table.stopped_hard { Signal::SIGSTOP } else { Signal::SIGTSTP });
            }
        }
        spawned.map(Some)
    }

    /// Pause: SIGTSTP to every group. [`stop_hard`](Children::stop_hard) stops the stubborn a moment later.
    pub(crate) fn hold(&self) {
        let mut table = lock(&self.table);
        (table.held, table.stopped_hard) = (true, false);
        for (pid, child) in &mut table.running {
            child.rest.stop_the_clock();
            // The kernel drops SIGTSTP for a group without a parent in the session.
            let signal = if child.has_lost_its_leader { Signal::SIGSTOP } else { Signal::SIGTSTP };
            tell(Pid::from_raw(*pid), signal);
        }
    }

    /// The leader of a group has ended, and other members have not.
    pub(crate) fn has_lost_its_leader(&self, pid: Pid) {
        let mut table = lock(&self.table);
        let held = table.held;
        if let Some(child) = table.running.get_mut(&pid.as_raw()) {
            child.has_lost_its_leader = true;
            if held {
                tell(pid, Signal::SIGSTOP);
            }
        }
    }

    /// SIGSTOP to every group, which no process can ignore.
    pub(crate) fn stop_hard(&self) {
        let mut table = lock(&self.table);
        if table.held {
            table.stopped_hard = true;
            for pid in table.running.keys() {
                tell(Pid::from_raw(*pid), Signal::SIGSTOP);
            }
        }
    }

    /// Before a suspension: whether all children that must stand still do. Afterwards no thread can check.
    ///
    /// # Race condition
    ///
    /// The kernel sends a Ctrl-Z to the foreground group. That stops a child that is still in our group, before its
    /// exec, and the thread that spawned it waits in the kernel. The child enters a group of its own next, so a later
    /// SIGCONT to our group does not reach it. So it is continued here, and held as soon as its spawn returns.
    /// (Without this both workers of a loop hung within a third of a second.)
    ///
    /// A child that got a SIGSTOP needs no more: it stops when it leaves the kernel, perhaps after a slow disk.
    pub(crate) fn stand_still(&self) -> bool {
        let table = lock(&self.table);
        if let Some(began) = table.births.values().next() {
            if began.elapsed() >= USUAL_SPAWN {
                rescue(&table);
            }
            return false;
        }
        !table.held
            || table.stopped_hard
            || table.running.keys().all(|pid| is_stopped_or_gone(Pid::from_raw(*pid)))
    }

    /// Resume: SIGCONT to every group, and children may start again.
    pub(crate) fn go_on(&self) {
        let mut table = lock(&self.table);
        table.held = false;
        for (pid, child) in &mut table.running {
            child.rest.start_the_clock();
            if !child.rest.rests {
                tell(Pid::from_raw(*pid), Signal::SIGCONT);
            }
        }
    }

    /// Passes a stop on: `signal`, and SIGCONT, since a stopped process acts on no other signal.
    pub(crate) fn forward(&self, signal: Signal) {
        let mut table = lock(&self.table);
        (table.held, table.forwarded) = (false, Some(signal));
        end(&mut table, signal);
    }

    /// Abort: tells all of them to end, and none may start.
    pub(crate) fn end(&self) {
        let mut table = lock(&self.table);
        (table.held, table.closed) = (false, true);
        end(&mut table, Signal::SIGTERM);
    }

    pub(crate) fn kill(&self) {
        let mut table = lock(&self.table);
        table.closed = true;
        end(&mut table, Signal::SIGKILL);
    }

    /// Tells one child to end: its time is over.
    pub(crate) fn end_one(&self, pid: Pid, signal: Signal) {
        lock(&self.table).running.get_mut(&pid.as_raw()).into_iter().for_each(|child| child.end(pid, signal));
    }

    /// Whether we have told it to end.
    pub(crate) fn was_told(&self, pid: Pid) -> bool {
        lock(&self.table).running.get(&pid.as_raw()).is_some_and(|child| child.told_to_end)
    }

    /// How a child ended, after a wait; [reap](Children::reap) it next. `ECHILD`: it was reaped elsewhere.
    pub(crate) fn wait_for_the_end_of(&self, pid: Pid) -> nix::Result<How> {
        wait::end(pid)
    }

    /// Takes a child that has ended out of the table, and reaps it only then, when no signal can be sent to its number any
    /// more. `family` kills the rest of its group first. `ECHILD`: it was reaped elsewhere.
    pub(super) fn reap(&self, pid: Pid, how: Option<How>, family: bool) -> nix::Result<Reaped> {
        let mut table = lock(&self.table);
        let (told_to_end, tag) = table.leave(pid, how);
        if family {
            tell(pid, Signal::SIGKILL);
        }
        let (how, usage) = wait::reap(pid)?;
        Ok(Reaped { how, usage, told_to_end, tag })
    }

    /// Notes that a scheduler ended the child with this tag, although it seemed to end by itself. So the watcher also kills
    /// the processes that it left behind.
    pub(super) fn call_back(&self, tag: Tag) {
        let mut table = lock(&self.table);
        table.interfered = true;
        if let Some(groups) = &mut table.groups {
            groups.call_back(tag);
        }
    }

    /// The living members of the group of a child that has ended and is not reaped. (So no other group has
    /// that number. `kill` with signal 0 does not tell: it succeeds if only the zombie of the leader is left.)
    ///
    /// The survey looks at all processes. It serves all workers that asked before it began.
    pub(crate) fn living_members(&self, group: Pid) -> Vec<Pid> {
        let asked = Instant::now();
        let mut survey = lock(&self.survey);
        if survey.at.is_none_or(|at| at < asked) {
            survey.at = Some(Instant::now());
            survey.groups.clear();
            for pid in proc_stat::all() {
                if let Some(stat) = Stat::of(pid).filter(|stat| !stat.is_over()) {
                    survey.groups.entry(stat.group).or_default().push(pid);
                }
            }
        }
        survey.groups.get(&group.as_raw()).cloned().unwrap_or_default()
    }

    /// Whether no child is left, and none was ended. If one was ended, a descendant outside its group may still run.
    pub(crate) fn all_ended_by_themselves(&self) -> bool {
        let table = lock(&self.table);
        table.running.is_empty() && table.births.is_empty() && !table.interfered
    }

    /// Takes care of child processes that are not in the table, several times a second. As process 1 of a namespace we
    /// inherit every process whose parent has died, and only we can reap it.
    ///
    /// # Race condition
    ///
    /// A spawn can hang without a suspension: `kill -STOP` to the whole group also stops a child before its exec,
    /// no signal tells us, and the SIGCONT after it does not reach the child any more.
    pub(crate) fn look_after_unlisted(&self) {
        let table = lock(&self.table);
        if let Some(began) = table.births.values().next() {
            if began.elapsed() >= LONG_SPAWN {
                rescue(&table);
            }
            return; // A child whose spawn has not returned is not in the table, and must not be reaped.
        }
        if getpid().as_raw() != 1 {
            return;
        }
        for pid in unlisted(&table, 'Z') {
            waitpid(pid, Some(WaitPidFlag::WNOHANG)).ok();
        }
    }
}

/// Signals a group. That fails when the whole group has ended, and then nothing is left to signal.
fn tell(group: Pid, signal: Signal) {
    killpg(group, signal).ok();
}

/// Whether a child died of a signal that people and schedulers send to end a process, and not of a fault of its own.
pub(super) fn is_order(how: How) -> bool {
    let orders = [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
    matches!(how, How::Signal(number) if orders.iter().any(|order| *order as i32 == number))
}

fn end(table: &mut Table, signal: Signal) {
    for (pid, child) in &mut table.running {
        child.end(Pid::from_raw(*pid), signal);
    }
}

impl Child {
    /// `signal` for its group, and SIGCONT, since a stopped process acts on no other signal.
    fn end(&mut self, group: Pid, signal: Signal) {
        self.told_to_end = true;
        self.rest.end();
        let again = signal == Signal::SIGTERM && std::mem::replace(&mut self.had_sigterm, true);
        if !again {
            tell(group, signal);
        }
        tell(group, Signal::SIGCONT);
    }
}

/// Whether this process is alive and still in this group.
pub(crate) fn lives_in(pid: Pid, group: Pid) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.group == group.as_raw() && !stat.is_over())
}

/// Continues every child of ours that is stopped and not in the table: it was stopped before its exec. It comes
/// into the table as soon as its spawn returns, and is held like the others.
fn rescue(table: &Table) {
    unlisted(table, 'T').for_each(|pid| kill(pid, Signal::SIGCONT).unwrap_or_default());
}

/// Our children in this state, a letter of `/proc/PID/stat`, that are not in the table. (Not every kernel has
/// `/proc/self/task/*/children`: it needs checkpoint-restore.)
fn unlisted(table: &Table, state: char) -> impl Iterator<Item = Pid> {
    let us = getpid().as_raw();
    let is_one = move |stat: Stat| stat.parent == us && stat.state == state;
    let is_unlisted = |pid: &Pid| !table.running.contains_key(&pid.as_raw());
    proc_stat::all().filter(is_unlisted).filter(move |pid| Stat::of(*pid).is_some_and(is_one))
}

fn is_stopped_or_gone(pid: Pid) -> bool {
    !matches!(state_of(pid), Some('R' | 'S' | 'D'))
}

fn state_of(pid: Pid) -> Option<char> {
    Stat::of(pid).map(|stat| stat.state)
}

#[cfg(test)]
mod tests {
    pub(super) use super::state_of;
    use super::*;
    use nix::sys::signal::SigSet;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    pub(super) fn children() -> Children {
        Children::new(Inheritance::new(SigSet::empty(), "test"), None)
    }

    fn spawn(children: &Children, words: &[&str]) -> nix::Result<Option<Pid>> {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let streams = Streams { stdin: None, stdout: null.as_fd(), stderr: null.as_fd(), files: &[] };
        children.spawn(&Command::new(words).unwrap(), streams)
    }

    pub(super) fn start(children: &Children, words: &[&str]) -> Pid {
        spawn(children, words).unwrap().unwrap()
    }

    fn reap(children: &Children, pid: Pid, family: bool) -> nix::Result<(How, bool)> {
        let how = children.wait_for_the_end_of(pid)?;
        let reaped = children.reap(pid, Some(how), family)?;
        assert_eq!(how, reaped.how);
        Ok((how, reaped.told_to_end))
    }

    pub(super) fn until(what: &str, mut reached: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !reached() {
            assert!(Instant::now() < end, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_is_held_goes_on_and_is_ended() {
        let children = children();
        let pid = start(&children, &["sleep", "1000"]);
        children.hold();
        until("it stops", || state_of(pid) == Some('T'));
        children.go_on();
        until("it goes on", || state_of(pid) != Some('T'));
        children.end();
        let (status, told) = reap(&children, pid, false).unwrap();
        assert!(matches!(status, How::Signal(libc::SIGTERM)), "{status:?}");
        assert!(told);
    }

    /// A stop is passed on while a worker starts a command. The command hears of it when it enters the table,
    /// so here the stop comes before that.
    #[test]
    fn one_that_is_born_while_a_stop_is_passed_on_hears_of_it() {
        let children = children();
        children.forward(Signal::SIGINT);
        let pid = start(&children, &["sleep", "20"]);
        assert_eq!(reap(&children, pid, false), Ok((How::Signal(libc::SIGINT), true)));
        assert!(!children.all_ended_by_themselves());
    }

    #[test]
    fn one_that_ignores_sigtstp_is_stopped_all_the_same() {
        let children = children();
        let pid = start(&children, &["bash", "-c", "trap '' TSTP; sleep 1000 & while :; do wait; done"]);
        until("the trap is set", || {
            fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
                let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
                u64::from_str_radix(ignored, 16).unwrap() & (1 << (libc::SIGTSTP - 1)) != 0
            })
        });
        children.hold();
        assert!(!children.stand_still());
        children.stop_hard();
        assert!(children.stand_still(), "there is nothing more to be done");
        until("it stops", || state_of(pid) == Some('T'));
        children.kill();
        assert!(matches!(reap(&children, pid, true).unwrap().0, How::Signal(libc::SIGKILL)));
    }

    #[test]
    fn while_children_are_held_none_begins() {
        let children = children();
        children.hold();
        assert_eq!(spawn(&children, &["true"]), Ok(None));
        children.go_on();
        let pid = start(&children, &["true"]);
        assert!(matches!(reap(&children, pid, false).unwrap(), (How::Code(0), false)));
        children.end();
        assert_eq!(spawn(&children, &["true"]), Ok(None));
    }

    #[test]
    fn a_program_that_is_missing_is_told_from_one_that_cannot_run() {
        let children = children();
        let start = |name: &str| spawn(&children, &[name]).unwrap_err();
        assert!(super::super::spawn::is_missing(start("no-such-program-anywhere")));
        assert!(!super::super::spawn::is_missing(start("/etc/passwd")));
        assert!(!super::super::spawn::is_missing(start("/")));
        assert!(lock(&children.table).births.is_empty());
    }
}
