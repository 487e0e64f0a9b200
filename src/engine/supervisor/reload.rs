//! Settings that change while the run is under way.

use super::Supervisor;
use crate::engine::commit::CommitCommand;
use crate::engine::reload::{Reloaded, Settings};
use crate::error::Error;
use crate::task::Job;
use crate::task::observer::Notice;

impl<J: Job> Supervisor<'_, J> {
    /// Asks the thread that may wait for a file to read the settings again.
    pub(super) fn reload(&mut self) {
        match &self.channels.reader {
            Some(reader) => reader.ask(),
            None => {
                let error = Error::usage("reload", "there is no configuration to read again");
                self.view.observer.notice(&Notice::Warning(error));
            }
        }
    }

    pub(super) fn reloaded(&mut self, reloaded: Reloaded) {
        let adopted = reloaded.settings.is_some();
        if let Some(settings) = reloaded.settings {
            self.adopt(settings);
        }
        self.view.observer.notice(&Notice::Reloaded { adopted, said: reloaded.said });
    }

    /// Each setting can be applied twice without harm, so the supervisor does not ask which of them changed.
    fn adopt(&mut self, settings: Settings) {
        let Settings { jobs, limit_rate, checkpoint_every, grace, kill_after, policy } = settings;
        self.workers.batching.allow(jobs);
        self.workers.pool.shared.throttle.limit(limit_rate);
        self.command(CommitCommand::CheckpointEvery(checkpoint_every));
        self.reception.subscription.adopt(policy);
        let rules = &mut self.state.rules;
        rules.grace = grace;
        rules.kill_after = kill_after;
        rules.hears_resume = self.reception.subscription.has_resume();
    }
}
