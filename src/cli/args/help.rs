//! The text after the options in `--help` and in the manual: exit codes and examples.
//!
//! A line that begins at the margin and ends with a colon is a heading; the manual relies on it.
//! The tests parse every line that begins with `  bivouac `, so an example cannot become wrong.

/// The part of the exit codes that all jobs share.
macro_rules! exit_codes {
    ($finished:literal) => {
        concat!(
            "Exit codes:\n",
            $finished,
            "  2  wrong usage; nothing was touched
  3  refused, nothing was changed: the state belongs to another job, an
     input changed, or the checkpoint is damaged
  4  an error during the run (disk full, I/O error); the state is kept:
     remove the cause and run the same command again
  5  another run holds this state
  75 stopped with a checkpoint, by --max-runtime or a warning of a batch
     system (USR2, XCPU, PWR)
After SIGINT, SIGTERM or SIGHUP the process writes a checkpoint and dies
of that signal; a shell shows that as 130, 143 or 129. With --stop-code N
the code of every stop is N. A job that becomes complete within the grace
exits with its own code, with one exception: after Ctrl-C at a terminal
it still dies of SIGINT, so that a loop around it ends.

"
        )
    };
}

/// Of the verb `help`, which is the parser's.
pub(crate) const HELP: &str = "Print this message, or the help of a verb";

pub(crate) const MAIN: &str = "\
Signals:
  INT, TERM, HUP    stop with a checkpoint; INT or TERM again: cancel
                    what runs; again: die at once
  TSTP, CONT        suspend and go on (Ctrl-Z, fg)
  USR1              write a checkpoint now, say how far the job is, go on
  QUIT              die at once; the last checkpoint stays
  USR2, XCPU, PWR   stop with a checkpoint and exit code 75
`--on SIGNAL=REQUEST` changes a row; `bivouac signals` prints the table.

Examples:
  bivouac grep 'error [0-9]+' huge.log --output errors
                          Ctrl-C, and the same line again: it continues
  bivouac digest ~/photos -o photos.b3
  bivouac count *.txt
  bivouac pipe huge.json -o names -- jq -c .name
  bivouac each gzip ::: *.log
  bivouac status --watch  from another terminal; also pause, resume,
                          checkpoint, stop
  bivouac list            all jobs here and below
  bivouac slurm --help    the same on a cluster, as an array of Slurm
  bivouac grep --help     all options of a verb
";

pub(crate) const COUNT: &str = concat!(
    exit_codes!("  0  finished\n  1  finished, but a file could not be read and is left out\n"),
    "\
Examples:
  bivouac count huge.log                lines, words and bytes
  bivouac count -l *.csv -o lines.txt   lines of each file and in total
  bivouac count --format fastq --decompress reads.fastq.gz
                                        how many records
  find . -name '*.c' -print0 | bivouac count -l --files0-from -
  bivouac count --limit-rate 50MiB/s huge.log
                                        spare a shared disk
  bivouac count --verify-inputs huge.log -o n
                                        detect a change by its contents
"
);

/// What `-q` is to those that come from grep.
pub(crate) const QUIET_GREP: &str = "Print nothing and stop at the first line that matches: the exit \
     code tells, and no state is kept. With --output: print only errors, warnings and, after a stop, how to continue";

pub(crate) const GREP: &str = concat!(
    exit_codes!("  0  finished, a line matched\n  1  finished, no line matched\n"),
    "  2 is also the code, as with grep, when some files could not be read;
  the others were searched.

Examples:
  bivouac grep 'error [0-9]+' huge.log --output errors.txt
  bivouac grep -c -i -F 'out of memory' *.log
                                        how many lines match in each file
  bivouac grep -n -e '^BEGIN' -e '^END' huge.log
                                        several patterns, line numbers
  bivouac grep -rwl unsafe src          files below src with this word
  bivouac grep -m 1 -C 3 panic huge.log
                                        the first match, with context
  bivouac grep -o '[a-z]+@[a-z.]+' mail.mbox | sort -u
  bivouac grep -q 'out of memory' huge.log && echo look
  bivouac grep --format fastq --decompress 'ACGT{3}' reads.fastq.gz
                                        whole records
  query | bivouac grep error - --output errors.txt
                                    to continue, give the stream again
"
);

pub(crate) const DIGEST: &str = concat!(
    exit_codes!(
        "  0  finished; with --check: all checksums are right
  1  finished, but a file could not be read or changed meanwhile, and is
     left out; with --check: a file differs or is missing\n"
    ),
    "  4 is also the code when the machine fails (a device, too many open
  files), or when a file found in a tree cannot be read and the result
  goes to a file. Run the same command again to continue at that file;
  --keep-going leaves it out.

Examples:
  bivouac digest /usr/share -o share.b3
  bivouac digest --check share.b3       --quiet: only differences
                                        --status: only the code
  bivouac digest --algorithm sha256 -c SHA256SUMS --ignore-missing
  bivouac digest --algorithm sha256 *.iso > SHA256SUMS
"
);

pub(crate) const PIPE: &str = concat!(
    exit_codes!("  0  finished\n  1  finished, but chunks failed and are left out (--keep-going)\n"),
    "  4 is also the code when the command of a chunk fails: remove the
  cause and run the same line again.
  126, 127  the command cannot be started, does not exist

Examples:
  bivouac pipe huge.json -o small.json -- jq -c .name
  bivouac pipe huge.log -o upper.log -- tr a-z A-Z
  bivouac pipe --ok-codes 0,1 *.log -o errors -- grep error
  bivouac pipe genome.fa --record-start '>' -o out.fa -- ./filter --fast
  bivouac pipe huge.csv -o sums --shell -- 'cut -d, -f3 | grep -v none'
  bivouac pipe huge.csv.gz --decompress --format csv --output-header \\
      -o small.csv.zst -- mlr --csv filter '$n > 7'
  query | bivouac pipe - -o out -- awk '{ print $2 }'
  bivouac pipe huge -o sorted --merge 'sort -m' -- sort
  bivouac pipe huge -o top --merge 'sort -rnm | head' -- sort -rn
  bivouac pipe huge.csv --split-output parts/{#}.csv -- ./filter
"
);

pub(crate) const EACH: &str = concat!(
    exit_codes!("  0  finished\n  1  finished, but items failed\n"),
    "  4 is also the code when --halt ends the job.
  126, 127  the command cannot be started, does not exist

Placeholders in COMMAND:
  {}     the item                {#}     the command's number, from 1
  {.}    without its extension   {%}     its slot, from 1 to --jobs
  {/}    without its directory   {##}    how many commands there are
  {//}   its directory           {0#}    {#} with zeros before it
  {/.}   without both            {1} {2} of the first, second source;
  {..}   without two extensions          also {1.} {1/} {1//} {1/.}
  {...}  without three           {size}  with --header: the column
  {+.} {+/}  only the extension, only the directory
With --plus, where RE is a regular expression (all also as in {2%RE}):
  {%RE} {%%RE}    without the shortest, longest match at the end
  {#RE} {##RE}    the same at the beginning
  {/RE/NEW}       NEW for the first match; {//RE/NEW} for each
  {^RE} {^^RE}    the match, every match in upper case
  {,RE} {,,RE}    in lower case
  {:N} {:N:M}     from byte N on, M bytes of it
  {:-WORD}        WORD for an empty one

Sources of items:
  ::: ITEM...     these words
  :::: FILE...    the lines of FILE
  :::+ ITEM...    these words, in step with the source before
  ::::+ FILE...   these lines, in step with the source before
Several sources give all combinations; the last source varies fastest.
--link takes them in step.

The environment of a command has {#} as BIVOUAC_SEQ and {%} as
BIVOUAC_SLOT, and all of that of bivouac but other BIVOUAC_ variables:
with --shell=bash also functions that were exported. Options of GNU
parallel that are not needed here have no effect: --will-cite,
--no-notice, --gnu, --plain, --group.

Examples:
  bivouac each gzip -9 ::: *.log
  bivouac each -j 4 --timeout 10m ./convert {} {.}.png ::: *.tiff
  find . -name '*.wav' -print0 | bivouac each -0 --tag sox {} -n stat
  bivouac each -a hosts.txt --results out ping -c 1 {}
  bivouac each echo {1}-{2} ::: a b ::: 1 2
  bivouac each --csv --header : -a hosts.csv ping -c {count} {host}
  bivouac each --shell -a commands.txt  each line is a command
  bivouac each --shell=bash 'diff <(sort {}) {.}.ok' ::: *.txt
  bivouac each -X -a files.txt cp -t /backup
                                        as many files for each cp as fit
  bivouac log --failed                  what failed, and how
"
);

/// The part of the exit codes that the control verbs share.
macro_rules! control_codes {
    ($done:literal) => {
        concat!(
            "Exit codes:\n",
            $done,
            "  2  wrong usage, no STATE here, or several
  3  refused: the job is not running, cannot be reached from here
     (another host or container), or has no signal for this request
  4  an error, or the wait was longer than --timeout

"
        )
    };
}

pub(crate) const STATUS: &str = "\
Exit codes:
  0  done
  2  wrong usage, or no STATE here
  3  the checkpoint is damaged, or the state belongs to another user
  4  the state could not be read

Examples:
  bivouac status
  bivouac status errors.txt.bivouac
  bivouac status errors.txt             the state beside this output
  bivouac status 4711                   the job of this process
  bivouac status --watch
  bivouac status --json | jq .percent
";

pub(crate) const LIST: &str = "\
Exit codes:
  0  done
  2  wrong usage
  4  a directory could not be read

Examples:
  bivouac list
  bivouac list --json ~/data | jq -r 'select(.running) | .state'
";

pub(crate) const PAUSE: &str = concat!(
    control_codes!("  0  the job is paused\n"),
    "\
SIGURG leaves a job in the foreground of its shell. If no signal means
`pause` to the job (--on URG=…), the verb suspends it, and says so.

Examples:
  bivouac pause
  bivouac pause errors.txt.bivouac --timeout 1m
"
);

pub(crate) const RESUME: &str = concat!(
    control_codes!("  0  the job runs\n"),
    "\
Examples:
  bivouac resume
  bivouac resume errors.txt.bivouac
"
);

pub(crate) const CHECKPOINT: &str = concat!(
    control_codes!("  0  a checkpoint written after this request is durable\n"),
    "\
Examples:
  bivouac checkpoint
  bivouac checkpoint && cp -r errors.txt.part errors.txt.bivouac /backup
"
);

/// What --timeout is to a verb whose job has a limit of its own.
pub(crate) const TIMEOUT_STOP: &str =
    "Wait at most DURATION: `90s`, `2h`, `inf`; the job has its own --grace";

pub(crate) const STOP: &str = concat!(
    control_codes!("  0  the job has ended, or was not running\n"),
    "\
Examples:
  bivouac stop
  bivouac stop errors.txt.bivouac --timeout inf
"
);

pub(crate) const SET: &str = concat!(
    control_codes!("  0  the settings are in force\n"),
    "\
Examples:
  bivouac set jobs=8
  bivouac set jobs=+2 rate=30/m errors.txt
  bivouac set limit-rate=none 4711
"
);

pub(crate) const TOP: &str = "\
Exit codes:
  0  left by q, or the frame is printed
  2  wrong usage, or this is no terminal: see `bivouac list` and
     `bivouac status --watch`
  by signal  ended by INT, TERM, HUP or QUIT; the terminal is given back
     as it was before

Examples:
  bivouac top
  bivouac top ~/data
  bivouac top errors.txt                one job, with its slots
  bivouac top --once --width 120
";

pub(crate) const MERGE: &str = "\
Exit codes:
  those of the job; 3 also if a shard is not done

Examples:
  bivouac merge errors.txt
";

pub(crate) const SLURM: &str = "\
Typed again, the same line says how far the shards are, and submits those
that are neither done nor queued: after a cancelled array, a node that
was lost, a time limit without a warning.

Files, in OUT.bivouac/slurm/:
  job.sh      the script; sbatch is told nothing else
  K.log       what shard K has said, over all its starts
  submitted   the numbers of the arrays, with their elements

Exit codes:
  0  submitted, or nothing was to be submitted
  2  wrong usage: an option of sbatch that the script has itself, an
     array that is too large for this site
  3  refused: the state belongs to another job, or to other shards
  4  Slurm did not do it and its words are printed; nothing has changed

Examples:
  bivouac slurm --shards 8 -t 1:00:00 -- count -l huge.log -o lines
  bivouac slurm --shards 4 -t 30 -- pipe huge.json -o out -- jq -c .name
  bivouac slurm --shards 64 --at-most 16 -c 4 -- digest /data -o data.b3
  bivouac slurm --dry-run --shards 2 -- count huge.log -o n
                                        print the script
  bivouac slurm --check -p low          what this site does to a job
";

pub(crate) const LOG: &str = "\
Exit codes:
  0  done; a job without commands has an empty log
  2  wrong usage, or no STATE here
  4  the log could not be read

Examples:
  bivouac log
  bivouac log small.json.bivouac --failed
  bivouac log --slowest 10
  bivouac log --since 2h --format json | jq .seconds
";

pub(crate) const REPORT: &str = "\
Exit codes:
  0  done
  2  wrong usage, or no STATE here
  3  the checkpoint is damaged, or the state belongs to another user
  4  the state could not be read, or the page could not be written

Examples:
  bivouac report -o report.html
  bivouac report small.json.bivouac other.json.bivouac -o both.html
  bivouac report --svg -o timeline.svg
";

pub(crate) const CLEAN: &str = "\
Exit codes:
  0  done, or there was nothing to do
  2  wrong usage, or STATE is no state directory
  3  a named STATE is kept: its job can be continued
  4  a state could not be removed
  5  a named STATE is in use

Examples:
  bivouac clean
  bivouac clean errors.txt.bivouac
  bivouac clean --force .bivouac/0123456789abcdef
";

pub(crate) const SIGNALS: &str = "\
Requests:
  stop        start no task, let running tasks finish within --grace,
              commit, end; INT or TERM again: abort, and again: die
  abort       cancel the running tasks, commit what is done, end
  die         end at once; the last checkpoint stays
  pause       hold the tasks where they are, until a resume
  suspend     stop the process and the commands, as Ctrl-Z does
  resume      go on; never cancels a stop
  checkpoint  write a checkpoint now, report how far the job is, go on
  status      report how far the job is
  reload      read the configuration again, open the log again
  redraw      draw the progress line again
  ignore      do nothing

Exit codes:
  0  done
  2  wrong usage: an unknown name, a signal that cannot be mapped, a
     broken configuration

Examples:
  bivouac signals
  bivouac signals --on USR2=checkpoint --on HUP=ignore
  bivouac grep error huge.log --output errors.txt --on USR2=pause
";

pub(crate) const CONFIG: &str = "\
Exit codes:
  0  done
  2  wrong usage, or FILE is wrong or cannot be read

Examples:
  bivouac config --example > job.toml
  bivouac config --schema > bivouac.schema.json
  bivouac config job.toml && systemctl reload job
";

pub(crate) const COMPLETIONS: &str = "\
Exit codes:
  0  done
  2  wrong usage

Examples:
  bivouac completions --install
  bivouac completions zsh > ~/.zfunc/_bivouac
";

pub(crate) const MAN: &str = "\
Exit codes:
  0  done
  2  wrong usage
  4  a page could not be written

Examples:
  bivouac man ~/.local/share/man/man1
";
