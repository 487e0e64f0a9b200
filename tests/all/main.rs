//! The specification of the command, as tests that start the real program and send it real signals.
//!
//! Read [`harness`] first (how a test talks to the program), then whichever chapter interests:
//!
//! | file | question |
//! |---|---|
//! | `stop` | what happens on INT, TERM, QUIT, KILL, and on a second and third one? |
//! | `resume` | does the continued run give the same bytes? |
//! | `policy` | can every signal be made to mean something else? |
//! | `reload` | what does SIGHUP change in a running job, and what not? |
//! | `log` | is everything that happened in the log file? |
//! | `pause` | what happens on TSTP and CONT, and is a stop stronger? |
//! | `ask` | what does USR1 answer, and does the job go on? |
//! | `control` | do `status`, `pause`, `resume`, `checkpoint` and `stop` do what they say, and only that? |
//! | `set` | is what was set in force when the verb returns, and nothing else? |
//! | `top` | what is on the screen, what do the keys do, and how is the terminal left? |
//! | `status` | is what `status` prints what its documentation says? |
//! | `ran` | what does `bivouac log` tell? |
//! | `picture` | does the page of `bivouac report` tell the same, and is it one whole file? |
//! | `refuse` | what is refused, and does the refusal leave everything as it was? |
//! | `copies` | is what a state has lost, and can do without, done again? |
//! | `slips` | what is said where an option or a place is not what was meant? |
//! | `starts` | what if equal runs start in the same instant? |
//! | `unchanged` | the same of everything that can be wrong with a state, as a table |
//! | `inputs` | empty, missing, unreadable, growing, changing, piped |
//! | `unread` | one input of many cannot be read: are the others done, and is nothing missing for ever? |
//! | `contents` | what if inputs look the same and are not, or look otherwise and are the same? |
//! | `streams` | when is the end of a pipe an end, what does a pipe cost, and what is an error of it? |
//! | `checklists` | does `digest --check` say of a list what `sha256sum --check` says of it? |
//! | `others` | what if another user's file or link is where ours is to be? |
//! | `disk` | what if the disk is full, or standard output has no reader? |
//! | `foreground` | what does a `pause` from another terminal do to a job in a shell? |
//! | `masks` | do all threads but one have the signals blocked? |
//! | `progress` | what does the terminal show while a job runs, in a wide window and a narrow one? |
//! | `terminal` | Ctrl-C, Ctrl-Z and `fg` under a real shell on a real terminal |
//! | `jobcontrol` | `bg`, `kill %1`, a closed window, `nohup`, `setsid`, `timeout`, process 1 |
//! | `table` | every signal × phase × kind of start, as one table |
//! | `storm` | do thousands of signals at once do any harm? |
//! | `examples` | do the four exercises do what they teach, in Rust and in Python? |
//! | `front` | do programs of a few lines come to the same bytes, however they are interrupted? |
//! | `pattern` | does the whole idea in one file keep what it promises? |
//! | `documents` | do the links to lines hit, and do the Python sketches run as they are quoted? |
//! | `book` | does every block of commands in the book run, and print what the page shows? |
//! | `listening` | does a program without a job hear signals, and give back what it borrowed? |
//! | `library` | does a run in another program's process give back what it borrowed? |
//! | `ahead` | do the others go on after a slow task, and where do their results wait? |
//! | `commands` | how do commands end, and what becomes of what they have started? |
//! | `clusters` | do the lines for other schedulers do what the page says? |
//! | `slurm` | does `bivouac slurm` submit what is missing, and nothing else? |
//! | `warned` | does `--after-warning` ask for another run when it must, and only then? |
//! | `metrics` | are the metrics right, whole, and no reason for a job to fail? |
//! | `service` | what does the service manager get to know, and when? |
//! | `settings` | do the example, the schema, the environment and the command line mean the same settings? |
//! | `hooks` | do `--on-finish`, `--on-stop` and `--on-failure` tell what is news, once? |
//! | `pipe` | does a command per chunk give the bytes of one command, whatever happens to either? |
//! | `each` | is a command per item run once, whatever happens? |
//! | `verbs` | do the verbs agree with their GNU counterparts? |
//! | `tidy` | does the source keep the rules that this project gave itself? |
//!
//! All of it is one binary, since each integration binary is linked on its own.

#![allow(clippy::unwrap_used, reason = "in a test a panic with a location is the report")]

mod ahead;
mod ask;
mod book;
mod checklists;
mod clusters;
mod commands;
mod contents;
mod control;
mod copies;
mod data;
mod disk;
mod documents;
mod each;
mod examples;
mod foreground;
mod front;
mod harness;
mod hooks;
mod inputs;
mod jobcontrol;
mod jobs;
mod library;
mod listening;
mod log;
mod masks;
mod messages;
mod metrics;
mod operating;
mod options;
mod others;
mod pattern;
mod pause;
mod picture;
mod pipe;
mod policy;
mod progress;
mod ran;
mod refuse;
mod reload;
mod resume;
mod running;
mod service;
mod set;
mod settings;
mod shards;
mod slips;
mod slurm;
mod starts;
mod status;
mod stop;
mod storm;
mod streams;
mod stubborn;
mod table;
mod terminal;
mod tidy;
mod top;
mod tty;
mod unchanged;
mod unread;
mod verbs;
mod walls;
mod warned;
