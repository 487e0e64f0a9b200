//! What stands behind the options in `--help`, and in the manual: exit codes and examples.
//!
//! A line that begins at the margin and ends with a colon is a heading; the manual relies on it.
//! The tests parse every line that begins with `  bivouac `, so an example cannot grow old.

/// The part of the exit codes that all jobs share.
macro_rules! exit_codes {
    ($finished:literal) => {
        concat!(
            "Exit codes:\n",
            $finished,
            "  2  wrong usage; nothing was touched
  3  refused, nothing was changed: the state belongs to another job, an input changed, the
     checkpoint is damaged
  4  broke during the run (disk full, I/O error); the state stands, run it again after mending
  5  another run holds this state
  75 stopped, to be continued, by --max-runtime or a warning of a batch system (USR2, XCPU, PWR)
After SIGINT, SIGTERM or SIGHUP the process ends by that signal, with a checkpoint; a shell calls
that 130, 143 or 129. With --stop-code N both end with N. A job that becomes complete within the grace
ends with its code; after Ctrl-C at a terminal by SIGINT all the same, which ends a loop around it.

"
        )
    };
}

pub(crate) const MAIN: &str = "\
Signals:
  INT, TERM, HUP    stop with a checkpoint; INT or TERM again: cancel what runs; again: die at once
  TSTP, CONT        pause and go on (Ctrl-Z, fg)
  USR1              write a checkpoint now, say how far the job is, go on
  QUIT              die at once; the last checkpoint stands
  USR2, XCPU, PWR   stop with a checkpoint and exit code 75
`--on SIGNAL=REQUEST` changes a row, `bivouac signals` prints the table.

Examples:
  bivouac grep 'error [0-9]+' huge.log --output errors
                               Ctrl-C, and the same line again: it goes on where it was
  bivouac digest ~/photos -o photos.b3
  bivouac count *.txt
  bivouac pipe huge.json -o names -- jq -c .name
  bivouac each gzip ::: *.log
  bivouac status               how far it is, from another terminal; also pause, resume, checkpoint, stop
  bivouac grep --help          all options of one verb
";

pub(crate) const COUNT: &str = concat!(
    exit_codes!("  0  finished\n  1  finished, but a file could not be read and is left out\n"),
    "\
Examples:
  bivouac count huge.log                       lines, words and bytes
  bivouac count -l *.csv -o lines.txt          lines of each file and in total
  bivouac count --limit-rate 50MiB/s huge.log  be kind to a shared disk
  bivouac count --verify-inputs huge.log -o n  sizes and times are not enough: compare contents
"
);

pub(crate) const GREP: &str = concat!(
    exit_codes!("  0  finished, a line matched\n  1  finished, no line matched\n"),
    "  2 is also the code when files could not be read, and the others were searched, as grep has it.

Examples:
  bivouac grep 'error [0-9]+' huge.log --output errors.txt
  bivouac grep -c -i -F 'out of memory' *.log        number of matching lines in each file
  bivouac grep -n -e '^BEGIN' -e '^END' huge.log     several patterns, with line numbers
  bivouac grep -o '[a-z]+@[a-z.]+' mail.mbox | sort -u
"
);

pub(crate) const DIGEST: &str = concat!(
    exit_codes!(
        "  0  finished; with --check: all checksums are right
  1  finished, but a file could not be read, or changed meanwhile, and is left out;
     with --check: something differs or is missing\n"
    ),
    "  4 is also the code when a file found in a tree cannot be read and the result goes to a file, or when the
  machine is in trouble (a device, too many open files): the same command goes on there; --keep-going leaves it out.

Examples:
  bivouac digest /usr/share -o share.b3
  bivouac digest --check share.b3              --quiet: only what differs; --status: only the code
  bivouac digest --algorithm sha256 -c SHA256SUMS --ignore-missing
  bivouac digest --algorithm sha256 *.iso > SHA256SUMS
"
);

pub(crate) const PIPE: &str = concat!(
    exit_codes!("  0  finished\n  1  finished, but chunks failed and are left out (--keep-going)\n"),
    "  4 is also the code when a chunk fails for good: mend the cause and run the same command again.
  126, 127  the command cannot be started; there is no such command

Examples:
  bivouac pipe huge.json -o small.json -- jq -c .name
  bivouac pipe huge.log -o upper.log -- tr a-z A-Z
  bivouac pipe --ok-codes 0,1 *.log -o errors -- grep error
  bivouac pipe genome.fa --record-start '>' -o out.fa --retries 2 -- ./filter --fast
  bivouac pipe huge.csv -o sums --shell -- 'cut -d, -f3 | grep -v none'
  zcat huge.gz | bivouac pipe - -o out -- awk '{ print $2 }'
"
);

pub(crate) const EACH: &str = concat!(
    exit_codes!("  0  finished\n  1  finished, but items failed\n"),
    "  4 is also the code when --halt ends the job.
  126, 127  the command cannot be started; there is no such command

In COMMAND, of the item:
  {}       the item                       {#}   the number of the command, from 1
  {.}      without its extension          {%}   the slot in which it runs, from 1 to --jobs
  {/}      without its directory          {1} {2}    of the first, of the second source of items;
  {//}     its directory                             likewise {1.} {1/} {1//} {1/.}
  {/.}     without both

Sources of items:
  ::: ITEM...    these                    :::+ ITEM...    in step with the source before
  :::: FILE...   the lines of FILE        ::::+ FILE...   likewise
Several sources give all combinations, the last one varying fastest.

In the environment of a command, BIVOUAC_SEQ is what {#} is, and BIVOUAC_SLOT what {%} is.

Examples:
  bivouac each gzip -9 ::: *.log
  bivouac each -j 4 --timeout 10m --retries 3 ./convert {} {.}.png ::: *.tiff
  find . -name '*.wav' -print0 | bivouac each -0 -k --tag --shell 'sox {} -n stat 2>&1 | head -1'
  bivouac each -a hosts.txt --results out ping -c 1 {}
  bivouac each echo {1}-{2} ::: a b ::: 1 2
  bivouac each --shell -a commands.txt        each line is a command; the same as --shell {}
  bivouac each --shell=bash 'diff <(sort {}) {.}.ok' ::: *.txt
  bivouac each -X -a files.txt cp -t /backup  as many files for one cp as fit
  bivouac log --failed                        what failed, and how
"
);

/// The part of the exit codes that the control verbs share.
macro_rules! control_codes {
    ($done:literal) => {
        concat!(
            "Exit codes:\n",
            $done,
            "  2  wrong usage, no STATE here, or several
  3  refused: the job is not running, it cannot be reached from here (another host or container),
     or no signal asks it for this
  4  it did not come in time, or something broke

"
        )
    };
}

pub(crate) const STATUS: &str = "\
Exit codes:
  0  said
  2  wrong usage, no STATE here, or several
  3  the checkpoint is damaged, or the state belongs to another user
  4  the state could not be read

Examples:
  bivouac status
  bivouac status errors.txt.bivouac
  bivouac status --json | jq .percent
";

pub(crate) const PAUSE: &str = concat!(
    control_codes!("  0  it is paused, or was already\n"),
    "\
It sends SIGURG, so a job in the foreground of a shell stays there. If no signal means `pause` to the job
(--on URG=…), it is suspended instead, and that is said.

Examples:
  bivouac pause
  bivouac pause errors.txt.bivouac --timeout 1m
"
);

pub(crate) const RESUME: &str = concat!(
    control_codes!("  0  it goes on, or did already\n"),
    "\
Examples:
  bivouac resume
  bivouac resume errors.txt.bivouac
"
);

pub(crate) const CHECKPOINT: &str = concat!(
    control_codes!("  0  a checkpoint is durable that was written after this was asked for\n"),
    "\
Examples:
  bivouac checkpoint
  bivouac checkpoint errors.txt.bivouac && cp -r errors.txt.part errors.txt.bivouac /backup
"
);

pub(crate) const STOP: &str = concat!(
    control_codes!("  0  it has ended, or was not running\n"),
    "\
Examples:
  bivouac stop
  bivouac stop errors.txt.bivouac --timeout inf
"
);

pub(crate) const LOG: &str = "\
Exit codes:
  0  said, or there is nothing to say
  2  wrong usage, no STATE here, or several
  4  the log could not be read

Examples:
  bivouac log
  bivouac log small.json.bivouac --failed
  bivouac log --format json | jq .seconds
";

pub(crate) const CLEAN: &str = "\
Exit codes:
  0  done, or there was nothing to do
  2  wrong usage, or STATE is no state directory
  3  a STATE that was named is kept: its job can still be continued
  4  a state could not be removed
  5  a STATE that was named is in use

Examples:
  bivouac clean
  bivouac clean errors.txt.bivouac
  bivouac clean --force .bivouac/0123456789abcdef
";

pub(crate) const SIGNALS: &str = "\
Requests:
  stop        start no task, let those in flight finish within --grace, commit, end;
              INT or TERM again: abort, and again: die
  abort       cancel the tasks in flight, commit what is done, end
  die         end at once; the last checkpoint stands
  pause       hold the tasks where they are, until a resume
  suspend     pause, and stop the process as Ctrl-Z does
  resume      go on; never cancels a stop
  checkpoint  write a checkpoint now, say how far the job is, go on
  status      say how far the job is
  reload      read the configuration again, reopen the log
  redraw      draw the progress line anew
  ignore      nothing

Exit codes:
  0  done
  2  wrong usage: a name that is not known, a signal that must not be mapped, a broken file

Examples:
  bivouac signals
  bivouac signals --on USR2=checkpoint --on HUP=ignore
  bivouac grep error huge.log --output errors.txt --on USR2=pause
";

pub(crate) const COMPLETIONS: &str = "\
Exit codes:
  0  done
  2  wrong usage

Examples:
  bivouac completions bash > ~/.local/share/bash-completion/completions/bivouac
  bivouac completions zsh > ~/.zfunc/_bivouac
  bivouac completions fish > ~/.config/fish/completions/bivouac.fish
";

pub(crate) const MAN: &str = "\
Exit codes:
  0  done
  2  wrong usage
  4  a page could not be written

Examples:
  bivouac man ~/.local/share/man/man1
";
