//! Settings that change while the run is under way.

use super::Supervisor;
use crate::durable::status_file::StatusAnswer;
use crate::engine::commit::CommitCommand;
use crate::engine::reload::{Reloaded, Settings};
use crate::error::Error;
use crate::task::observer::Notice;
use std::time::Instant;

impl Supervisor<'_> {
    /// Asks the thread `reload`, which may wait for a slow disk, to read the settings again.
    pub(super) fn reload(&mut self) {
        match &self.channels.reader {
            Some(reader) => reader.ask(),
            None => {
                let error = Error::usage("reload", "there is no configuration to read again");
                self.view.observer.notice(&Notice::Warning(error));
            }
        }
    }

    pub(super) fn look_for_a_request(&self) {
        if let Some(reader) = &self.channels.reader {
            reader.look();
        }
    }

    pub(super) fn reloaded(&mut self, reloaded: Reloaded) {
        let Reloaded { settings, mut said, asked } = reloaded;
        let adopted = settings.is_some();
        if let Some(settings) = settings {
            said.extend(self.adopt(settings));
        }
        self.view.observer.notice(&Notice::Reloaded { adopted, said: said.clone(), asked: asked.is_some() });
        if let Some(request) = asked {
            self.answer(StatusAnswer { request, adopted, said });
        }
    }

    /// Each setting can be applied twice without harm, so the supervisor does not ask which of them changed. Returns a
    /// sentence if the system gives too few threads.
    fn adopt(&mut self, settings: Settings) -> Option<String> {
        let Settings { jobs, limit_rate, starts_every, checkpoint_every, grace, kill_after, policy } =
            settings;
        let refused = self.workers.allow(jobs);
        self.workers.starts.set_interval(starts_every, Instant::now());
        self.workers.pool.shared.throttle.limit(limit_rate);
        self.command(CommitCommand::CheckpointEvery(checkpoint_every));
        self.reception.subscription.adopt(policy);
        let rules = &mut self.state.rules;
        rules.grace = grace;
        rules.kill_after = kill_after;
        rules.hears_resume = self.reception.subscription.has_resume();
        refused
    }
}
