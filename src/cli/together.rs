//! Several observers of one run: the person at the terminal, the log, the service manager, the metrics.
//!
//! The obvious way is an observer around an observer; then each of them repeats the methods that it only passes on.

use crate::cli::format::TaskWord;
use crate::cli::logfile::{LogFile, Logged};
use crate::cli::metrics::Metrics;
use crate::cli::report::{ReportContext, in_full};
use crate::cli::service::Service;
use bivouac::ending::Exit;
use bivouac::{Ending, Notice, Observer, Progress};

/// The places besides the terminal to which a run is reported.
pub(crate) struct Elsewhere {
    pub(crate) log: Option<LogFile>,
    pub(crate) service: Option<Service>,
    pub(crate) metrics: Option<Metrics>,
}

impl Elsewhere {
    /// All observers, the log first: a person who reads a message may look into it.
    pub(crate) fn and(&self, watch: impl Observer + 'static, word: TaskWord) -> Together {
        fn boxed<O: Observer + 'static>(observer: O) -> Box<dyn Observer> {
            Box::new(observer)
        }
        let log = self.log.clone().map(|log| boxed(Logged::new(log, word)));
        let (service, metrics) = (self.service.clone().map(boxed), self.metrics.clone().map(boxed));
        Together([log, Some(boxed(watch)), service, metrics].into_iter().flatten().collect())
    }

    /// Reports that the run is over. The service manager is not told if a merge follows in this process.
    pub(crate) fn ends(&self, (ending, exit): (&Ending, Exit), context: ReportContext<'_>, merges: bool) {
        if let Some(log) = &self.log {
            log.ends(ending, exit);
        }
        if let Some(metrics) = &self.metrics {
            metrics.ends(ending, exit);
        }
        if let (Some(service), false) = (&self.service, merges && matches!(ending, Ending::Finished { .. })) {
            service.ends(ending, in_full(ending, context).lines().next().unwrap_or_default());
        }
    }
}

/// Several observers, in the order in which they are called.
pub(crate) struct Together(Vec<Box<dyn Observer>>);

impl Observer for Together {
    fn progress(&mut self, now: &Progress) {
        self.0.iter_mut().for_each(|observer| observer.progress(now));
    }

    fn notice(&mut self, notice: &Notice) {
        self.0.iter_mut().for_each(|observer| observer.notice(notice));
    }

    fn is_behind(&self) -> bool {
        self.0.iter().any(|observer| observer.is_behind())
    }

    fn leave_terminal(&mut self) {
        self.0.iter_mut().for_each(|observer| observer.leave_terminal());
    }
}
